"""A queue that people work in already gets more items."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from curation.models import AuditEntry, Queue, Role, Trajectory
from curation.permissions import Access
from curation.services.queues import create_queue, take_next
from curation.services.reviews import Answer, submit_review
from curation.services.tokens import create_token
from tests.factories import make_member, make_project, make_trajectories, make_trajectory, owner_access

pytestmark = pytest.mark.django_db


@pytest.fixture
def access() -> Access:
    return owner_access(make_project())


def make_queue(access: Access) -> Queue:
    make_trajectories(access.project, 1)
    return create_queue(access, name="Queue", trajectories=Trajectory.objects.filter(project=access.project))


def test_what_is_added_is_handed_out_and_what_was_done_stays_done(client: Client, access: Access) -> None:
    queue, person = make_queue(access), make_member(access.project)
    held = take_next(person, queue)
    assert held is not None
    submit_review(person, held, Answer(verdict="accept"))
    assert take_next(person, queue) is None
    new = make_trajectory(access.project, success=False)
    make_trajectory(access.project, success=None)
    client.force_login(access.user)
    place = reverse("curation:queue-extend", args=[access.project.slug])
    answer = client.post(place, {"into": queue.pk, "outcome": "failure"}, follow=True)
    assert "1 added" in answer.content.decode()
    taken = take_next(person, queue)
    assert taken is not None
    assert taken.item.trajectory_id == new.pk
    assert AuditEntry.objects.filter(action="queue.extend").count() == 1


def test_the_page_that_makes_a_queue_offers_those_that_are_there(client: Client, access: Access) -> None:
    queue = make_queue(access)
    client.force_login(access.user)
    page = client.get(reverse("curation:queue-create", args=[access.project.slug]), {"outcome": "success"})
    assert f'<option value="{queue.pk}">Queue</option>' in page.content.decode()


@pytest.mark.parametrize("number", ["", "x", "0", "9" * 30])
def test_a_queue_that_is_not_there_gets_nothing(client: Client, access: Access, number: str) -> None:
    make_queue(access)
    client.force_login(access.user)
    assert (
        client.post(reverse("curation:queue-extend", args=[access.project.slug]), {"into": number}).status_code == 404
    )


def test_only_curators_of_the_project_add_to_its_queues(client: Client, access: Access) -> None:
    queue = make_queue(access)
    place = reverse("curation:queue-extend", args=[access.project.slug])
    client.force_login(make_member(access.project, Role.REVIEWER).user)
    assert client.post(place, {"into": queue.pk}).status_code == 403
    elsewhere = owner_access(make_project())
    client.force_login(elsewhere.user)
    theirs = reverse("curation:queue-extend", args=[elsewhere.project.slug])
    assert client.post(theirs, {"into": queue.pk}).status_code == 404
    assert queue.items.count() == 1


def test_items_are_added_over_rest(access: Access) -> None:
    queue = make_queue(access)
    make_trajectory(access.project, success=False)
    _, secret = create_token(access, name="test", scopes=access.roles)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    place = f"/api/v1/projects/{access.project.slug}/queues/{queue.pk}/items/"
    assert client.post(place, {"filter": {"outcome": "failure"}}, format="json").json() == {"added": 1}
    assert client.post(place, {"filter": {"outcome": "failure"}}, format="json").json() == {"added": 0}
    for wrong in ({"filter": {"colour": "red"}}, {"filter": {"outcome": "x"}}, {}):
        assert client.post(place, wrong, format="json").status_code == 400
    assert queue.items.count() == 2
