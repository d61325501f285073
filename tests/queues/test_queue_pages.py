"""Making and changing queues, on the pages and over REST."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from curation.models import PreferencePair, Project, Queue, Revision, Role, Trajectory
from curation.services.queues import create_queue
from curation.services.tokens import create_token
from tests.factories import (
    keep_filter,
    make_member,
    make_project,
    make_task,
    make_trajectories,
    make_trajectory,
    owner_access,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def make_pair(project: Project) -> PreferencePair:
    task = make_task(project, band=4)
    sides = [make_trajectory(project, task=task, success=success) for success in (True, False)]
    chosen, rejected = (Revision.objects.get(trajectory=side) for side in sides)
    return PreferencePair.objects.create(
        project=project, task=task, chosen=chosen, rejected=rejected, shared_steps=2, origin="outcome"
    )


def call_api(project: Project, *scopes: str) -> tuple[APIClient, str]:
    _, secret = create_token(owner_access(project), name="t", scopes=scopes or [Role.CURATOR])
    return APIClient(headers={"Authorization": f"Bearer {secret}"}), f"/api/v1/projects/{project.slug}"


def test_a_queue_of_pairs_is_made_from_a_filter_of_pairs(project: Project, client: Client) -> None:
    make_pair(project)
    client.force_login(owner_access(project).user)
    place = reverse("curation:queue-create", args=[project.slug])
    page = client.get(place, {"kind": "pairwise", "status": "proposed"}).content.decode()
    assert "<b>1</b> pairs fit" in " ".join(page.split())
    fields = {"kind": "pairwise", "status": "proposed", "name": "Pairs", "order": "oldest", "seed": "0"}
    fields |= {"reviews_wanted": "2", "lease_minutes": "10", "gold_percent": "0"}
    client.post(place, fields)
    queue = Queue.objects.get()
    assert (queue.kind, queue.conditions, queue.items.get().pair_id) == (
        "pairwise",
        {"status": "proposed"},
        PreferencePair.objects.get().pk,
    )


def test_a_queue_keeps_the_filter_it_was_filled_from(project: Project, client: Client) -> None:
    make_trajectories(project, 2, success=False)
    client.force_login(owner_access(project).user)
    fields = {"name": "Failures", "outcome": "failure", "order": "random", "seed": "3", "reviews_wanted": "1"}
    fields |= {"lease_minutes": "10", "gold_percent": "0"}
    client.post(reverse("curation:queue-create", args=[project.slug]), fields)
    queue = Queue.objects.get()
    assert (queue.conditions, queue.seed) == ({"outcome": "failure"}, 3)
    page = client.get(reverse("curation:queue-detail", args=[project.slug, queue.pk])).content.decode()
    assert reverse("curation:trajectory-list", args=[project.slug]) + "?outcome=failure" in page


def test_a_saved_filter_fills_the_page_of_a_new_queue(project: Project, client: Client) -> None:
    make_trajectories(project, 2, success=False)
    make_trajectories(project, 1)
    keep_filter(owner_access(project), "Failures", {"outcome": "failure"})
    client.force_login(owner_access(project).user)
    page = client.get(reverse("curation:queue-create", args=[project.slug])).content.decode()
    address = re.search(r'href="([^"]*outcome=failure[^"]*)">Failures', page)
    assert address
    assert "<b>2</b> trajectories fit" in " ".join(client.get(unescape(address[1])).content.decode().split())


def test_who_may_take_is_named_on_the_page_and_others_are_told(project: Project, client: Client) -> None:
    make_trajectories(project, 2)
    named, other, stranger = make_member(project), make_member(project), make_member(make_project())
    queue = create_queue(owner_access(project), name="Q", trajectories=Trajectory.objects.filter(project=project))
    client.force_login(owner_access(project).user)
    place = reverse("curation:queue-change", args=[project.slug, queue.pk])
    page = client.get(place).content.decode()
    assert named.user.username in page
    assert stranger.user.username not in page
    fields = {"name": "Q2", "lease_minutes": "9", "gold_percent": "5", "reviewers": [named.user.pk]}
    refused = client.post(place, fields | {"reviewers": [stranger.user.pk]}).content.decode()
    assert "not one of the available choices" in refused
    client.post(place, fields)
    queue.refresh_from_db()
    assert (queue.name, queue.lease_minutes, queue.gold_percent) == ("Q2", 9, 5)
    client.force_login(other.user)
    following = reverse("curation:queue-next", args=[project.slug, queue.pk])
    assert client.post(following).status_code == 403
    assert client.post(place, fields).status_code == 403
    client.force_login(named.user)
    assert client.post(following).status_code == 302


def test_a_queue_cannot_take_the_name_of_another(project: Project, client: Client) -> None:
    make_trajectories(project, 1)
    everything = Trajectory.objects.filter(project=project)
    first, _ = (create_queue(owner_access(project), name=name, trajectories=everything) for name in ("A", "B"))
    client.force_login(owner_access(project).user)
    place = reverse("curation:queue-change", args=[project.slug, first.pk])
    page = client.post(place, {"name": "B", "lease_minutes": "5", "gold_percent": "0"}).content.decode()
    assert "is a queue named" in page or "already exists" in page
    first.refresh_from_db()
    assert first.name == "A"


def test_queues_of_both_kinds_over_rest(project: Project) -> None:
    pair, person = make_pair(project), make_member(project)
    api, root = call_api(project)
    body = {"name": "P", "kind": "pairwise", "filter": {"band": "4"}, "reviewers": [person.user.username], "seed": 1}
    made = api.post(f"{root}/queues/", body, format="json")
    assert made.status_code == 201, made.content
    assert made.json()["reviewers"] == [person.user.username]
    single = api.post(f"{root}/queues/", {"name": "S", "filter": {"outcome": "success"}}, format="json")
    assert (single.status_code, single.json()["item_count"]) == (201, 1)
    wrong = api.post(f"{root}/queues/{single.json()['id']}/items/", {"filter": {"origin": "outcome"}}, format="json")
    assert wrong.status_code == 400
    reviewer = APIClient()
    reviewer.force_authenticate(person.user)
    taken = reviewer.post(f"{root}/queues/{made.json()['id']}/next/")
    assert (taken.json()["pair"], taken.json()["trajectory"], taken.json()["revision"]) == (pair.pk, None, None)
    refused = reviewer.post(f"{root}/reservations/{taken.json()['id']}/review/", {"verdict": "accept"}, format="json")
    assert refused.status_code == 400
    assert "it is judged" in refused.content.decode()


def test_rest_does_not_tell_who_has_an_account_elsewhere(project: Project) -> None:
    make_trajectories(project, 1)
    stranger = make_member(make_project())
    api, root = call_api(project)
    answers = [
        api.post(f"{root}/queues/", {"name": "Q", "reviewers": [name]}, format="json").json()
        for name in (stranger.user.username, "nobody-at-all")
    ]
    texts = [str(answer).replace(stranger.user.username, "X").replace("nobody-at-all", "X") for answer in answers]
    assert texts[0] == texts[1]
    assert not Queue.objects.exists()
