"""Before somebody has answered blind, no page, list, filter, export or answer over REST tells them what others know."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from curation.models import Project, Queue, Trajectory
from curation.permissions import Access
from curation.services.decisions import decide_trajectory
from curation.services.queues import create_queue, take_next
from curation.services.reviews import Answer, submit_review
from tests.factories import make_member, make_project, make_trajectory, owner_access

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def review_blind(project: Project) -> tuple[Queue, Trajectory, Access, Access]:
    """A trajectory that one of two has rejected, and the other has still to answer."""
    trajectory = make_trajectory(project, "look", "take", success=True)
    queue = create_queue(
        owner_access(project),
        name="Blind",
        trajectories=Trajectory.objects.filter(project=project),
        blind=True,
        reviews_wanted=2,
    )
    first, second = make_member(project), make_member(project)
    held = take_next(first, queue)
    assert held is not None
    submit_review(first, held, Answer(verdict="reject"))
    return queue, trajectory, first, second


def test_lists_filters_and_exports_leave_it_out_until_it_is_answered(project: Project, client: Client) -> None:
    queue, trajectory, first, second = review_blind(project)
    places = [
        reverse("curation:trajectory-list", args=[project.slug]) + f"?in_queue={queue.pk}&status=rejected",
        reverse("curation:trajectory-list-export", args=[project.slug]) + "?status=rejected",
        f"/api/v1/projects/{project.slug}/trajectories/?status=rejected",
        f"/api/v1/projects/{project.slug}/trajectories/export.jsonl?status=rejected",
        reverse("curation:find", args=[project.slug]) + f"?q={trajectory.pk}",
    ]

    def read(access: Access, place: str) -> str:
        client.force_login(access.user)
        answer = client.get(place)
        content = answer.getvalue() if answer.streaming else answer.content
        return str(content.decode())

    marks = [
        f"/trajectories/{trajectory.pk}/",
        "You act.",
        f'"id":{trajectory.pk}',
        "You act.",
        str(trajectory.task.key),
    ]
    for place, mark in zip(places, marks, strict=True):
        assert mark not in read(second, place), place
        assert mark in read(first, place), place
        assert mark in read(owner_access(project), place), place
    held = take_next(second, queue)
    assert held is not None
    submit_review(second, held, Answer(verdict="accept"))
    disputed = places[0].replace("rejected", "disputed")
    assert marks[0] in read(second, disputed)


def test_its_own_pages_tell_neither_outcome_nor_model_nor_status(project: Project, client: Client) -> None:
    _, trajectory, first, second = review_blind(project)
    client.force_login(second.user)
    address = [project.slug, trajectory.pk]
    page = client.get(reverse("curation:trajectory-detail", args=address)).content.decode()
    assert "to be reviewed blind" in page
    for told in ("✓ success", "Rejected", '<span class="chip">test</span>'):
        assert told not in page
    raw = client.get(reverse("curation:trajectory-raw", args=address)).json()
    assert set(raw) == {"steps"}
    assert client.get(reverse("curation:trajectory-export", args=address)).status_code == 403
    api = APIClient()
    api.force_authenticate(second.user)
    root = f"/api/v1/projects/{project.slug}/trajectories/{trajectory.pk}/"
    assert api.get(root).status_code == 403
    assert set(api.get(f"{root}revisions/0/").json()) == {"steps"}
    api.force_authenticate(first.user)
    assert api.get(root).json()["status"] == "rejected"
    assert "outcome" in api.get(f"{root}revisions/0/").json()


def test_what_a_curator_decided_does_not_give_gold_items_of_a_blind_queue_away(project: Project) -> None:
    queue, trajectory, _, second = review_blind(project)
    decide_trajectory(owner_access(project), trajectory, verdict="accept")
    queue.items.update(gold=True, gold_verdict="accept")
    api = APIClient()
    api.force_authenticate(second.user)
    found = api.get(f"/api/v1/projects/{project.slug}/trajectories/?in_queue={queue.pk}&status=accepted")
    assert found.json()["results"] == []


def test_a_review_is_taken_back_once_however_often_that_is_asked_for(project: Project, client: Client) -> None:
    for _ in range(3):
        make_trajectory(project)
    queue = create_queue(owner_access(project), name="Q", trajectories=Trajectory.objects.filter(project=project))
    person = make_member(project)
    made = []
    for _ in range(2):
        held = take_next(person, queue)
        assert held is not None
        made.append(submit_review(person, held, Answer(verdict="accept")))
    client.force_login(person.user)
    place = reverse("curation:queue-undo", args=[project.slug, queue.pk])
    for _ in range(2):
        answer = client.post(place, {"review": made[-1].pk}, follow=True)
    assert "taken back already" in answer.content.decode()
    api = APIClient()
    api.force_authenticate(person.user)
    again = api.post(f"/api/v1/projects/{project.slug}/queues/{queue.pk}/undo/", {"review": made[-1].pk}, format="json")
    assert again.status_code == 409
    made[0].refresh_from_db()
    assert made[0].submitted_at is not None


def test_a_hold_that_a_curator_ended_is_not_taken_up_again_by_an_open_page(project: Project, client: Client) -> None:
    make_trajectory(project)
    queue = create_queue(owner_access(project), name="Q", trajectories=Trajectory.objects.filter(project=project))
    person = make_member(project)
    held = take_next(person, queue)
    assert held is not None
    client.force_login(owner_access(project).user)
    client.post(reverse("curation:queue-release", args=[project.slug, held.pk]))
    client.force_login(person.user)
    page = reverse("curation:queue-review", args=[project.slug, held.pk])
    answer = client.post(page, {"verdict": "accept", "comment": "an hour"}, follow=True).content.decode()
    assert "Released by" in answer
    assert Trajectory.objects.get().status == "unreviewed"
    again = take_next(person, queue)
    assert again is not None
    reopened = client.get(reverse("curation:queue-review", args=[project.slug, again.pk])).content.decode()
    assert "an hour" in reopened


def test_text_that_the_database_cannot_hold_is_refused_or_cleaned_wherever_queues_take_text(project: Project) -> None:
    make_trajectory(project)
    queue = create_queue(owner_access(project), name="Q", trajectories=Trajectory.objects.filter(project=project))
    api = APIClient()
    api.force_authenticate(owner_access(project).user)
    root = f"/api/v1/projects/{project.slug}/queues/"
    levels = [{"value": 1, "label": "p\x00oor"}, {"value": 2, "label": "good"}]
    criteria = [{"name": "T\x00one", "description": "w\x00hy", "levels": levels}]
    made = api.post(f"{root}{queue.pk}/rubrics/", {"guidelines": "Look.", "criteria": criteria}, format="json")
    assert made.status_code == 201
    assert "\x00" not in str(made.json())
    refused = api.post(root, {"name": "R", "reviewers": ["a\x00b"]}, format="json")
    assert refused.status_code == 400
