"""Bulk actions and saved filters over REST."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from curation.models import BulkAction, Role, SavedFilter, Trajectory
from curation.permissions import Access
from tests.bulk.cast import make_queue, start, tags, work
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
def access() -> Access:
    access = owner_access(make_project())
    make_trajectories(access.project, 3, task=make_task(access.project, band=2))
    return access


@pytest.fixture
def curator(client: Client, access: Access) -> Client:
    client.force_login(access.user)
    return client


def address(access: Access, name: str, *args: int) -> str:
    return reverse(f"api-{name}", args=[access.project.slug, *args])


def send(client: Client, place: str, fields: object = None, *, method: str = "post", **headers: str) -> Any:
    return getattr(client, method)(place, fields or {}, content_type="application/json", headers=headers or None)


def test_a_dry_run_says_what_would_change_and_changes_nothing(curator: Client, access: Access) -> None:
    answer = send(curator, address(access, "bulk-list"), {"action": "accept", "filter": {}, "dry_run": True})
    assert (answer.status_code, BulkAction.objects.count()) == (200, 0)
    bands = [{"band": 2, "fitting": 3, "changing": 3}]
    assert answer.json() == {"fitting": 3, "changing": 3, "contrary": 0, "left_out": {}, "bands": bands}


def test_an_action_is_started_watched_and_undone(curator: Client, access: Access) -> None:
    order = {"action": "tag", "tag": "x", "filter": {"band": "2"}}
    first, again = (
        send(curator, address(access, "bulk-list"), order, **{"Idempotency-Key": "k"}).json() for _ in range(2)
    )
    assert first["id"] == again["id"]
    assert (first["state"], first["parameters"], first["filter"]) == ("queued", {"tag": "x"}, {"band": "2"})
    other = send(curator, address(access, "bulk-list"), order | {"tag": "y"}, **{"Idempotency-Key": "k"})
    assert other.status_code == 409
    job = BulkAction.objects.get()
    assert send(curator, address(access, "bulk-undo", job.pk)).status_code == 409
    work(job)
    seen = curator.get(address(access, "bulk-detail", job.pk)).json()
    assert (seen["state"], seen["changed"], seen["progress"], seen["progress_total"]) == ("done", 3, 3, 3)
    assert [row["tags"] for row in curator.get(address(access, "trajectory-list")).json()["results"]] == [["x"]] * 3
    assert curator.get(address(access, "trajectory-list"), {"tag": "y"}).json()["results"] == []
    assert send(curator, address(access, "bulk-undo", job.pk)).status_code == 202
    assert send(curator, address(access, "bulk-undo", job.pk)).status_code == 409
    work(job)
    assert tags(access) == [[]] * 3
    page = curator.get(address(access, "bulk-list")).json()
    assert [row["id"] for row in page["results"]] == [job.pk]


def test_an_action_is_stopped_and_goes_on(curator: Client, access: Access) -> None:
    job = start(access, "accept")
    assert send(curator, address(access, "bulk-stop", job.pk)).json()["state"] == "stopped"
    assert send(curator, address(access, "bulk-stop", job.pk)).status_code == 409
    assert send(curator, address(access, "bulk-resume", job.pk)).json()["state"] == "queued"
    assert send(curator, address(access, "bulk-resume", job.pk)).status_code == 409
    assert work(job).changed == 3


def test_a_saved_filter_says_what_it_is_done_with(curator: Client, access: Access) -> None:
    make_trajectory(access.project, success=False)
    saved = keep_filter(access, "Failures", {"outcome": "failure"})
    answer = send(curator, address(access, "bulk-list"), {"action": "reject", "saved_filter": saved.pk})
    assert (answer.status_code, answer.json()["filter"], answer.json()["progress_total"]) == (
        202,
        {"outcome": "failure"},
        1,
    )


def test_what_is_wrong_is_said_by_field_and_starts_nothing(curator: Client, access: Access) -> None:
    queue = make_queue(access, Trajectory.objects.earliest("pk"))
    for fields, wrong in (
        ({"action": "delete", "filter": {}}, "action"),
        ({"action": "accept"}, "filter"),
        ({"action": "accept", "filter": {}, "saved_filter": 1}, "filter"),
        ({"action": "accept", "filter": {"user__password": "x"}}, "filter"),
        ({"action": "accept", "filter": {"band": "9"}}, "filter"),
        ({"action": "accept", "filter": {"model": "\ud800"}}, "filter"),
        ({"action": "accept", "filter": {}, "reason": "x" * 301}, "accept"),
        ({"action": "tag", "filter": {}}, "tag"),
        ({"action": "tag", "tag": "\ud800", "filter": {}}, "tag"),
        ({"action": "queue", "filter": {}}, "queue"),
        ({"action": "assign", "queue": queue.pk, "assignee": "nobody", "filter": {}}, "assign"),
        ({"action": "assign", "queue": queue.pk, "assignee": "\ud800", "filter": {}}, "assignee"),
    ):
        answer = send(curator, address(access, "bulk-list"), fields)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [wrong]), fields
    assert not BulkAction.objects.exists()


def test_ids_of_another_project_are_not_found(curator: Client, access: Access) -> None:
    other = owner_access(make_project())
    theirs = make_queue(other, make_trajectory(other.project))
    saved = keep_filter(other, "a", {"band": "5"})
    mine = make_queue(access, Trajectory.objects.filter(project=access.project)[0])
    job = start(other, "accept")
    for fields in (
        {"action": "queue", "queue": theirs.pk, "filter": {}},
        {"action": "accept", "saved_filter": saved.pk},
    ):
        assert send(curator, address(access, "bulk-list"), fields).status_code == 404
    fields = {"action": "assign", "queue": mine.pk, "assignee": other.user.username, "filter": {}}
    assert send(curator, address(access, "bulk-list"), fields).status_code == 400
    assert curator.get(address(access, "bulk-detail", job.pk)).status_code == 404
    for verb in ("stop", "resume", "undo"):
        assert send(curator, address(access, f"bulk-{verb}", job.pk)).status_code == 404
    for method in ("get", "patch", "delete"):
        assert send(curator, address(access, "filter-detail", saved.pk), method=method).status_code == 404


def test_reviewers_read_saved_filters_and_nothing_else(client: Client, access: Access) -> None:
    saved = keep_filter(access, "a", {"band": "5"})
    job = start(access, "accept")
    client.force_login(make_member(access.project, Role.REVIEWER).user)
    assert client.get(address(access, "filter-list")).json()["results"][0]["filter"] == {"band": "5"}
    for place in (address(access, "bulk-list"), address(access, "bulk-detail", job.pk)):
        assert client.get(place).status_code == 403
    assert send(client, address(access, "bulk-list"), {"action": "accept", "filter": {}}).status_code == 403
    assert send(client, address(access, "filter-list"), {"name": "b", "filter": {"band": "1"}}).status_code == 403
    assert send(client, address(access, "filter-detail", saved.pk), method="delete").status_code == 403
    assert send(client, address(access, "filter-detail", saved.pk), {"name": "x"}, method="patch").status_code == 403
    for verb in ("stop", "resume", "undo"):
        assert send(client, address(access, f"bulk-{verb}", job.pk)).status_code == 403


def test_filters_are_kept_renamed_and_removed(curator: Client, access: Access) -> None:
    place = address(access, "filter-list")
    first = send(curator, place, {"name": "a", "filter": {"band": "5"}})
    assert first.status_code == 201
    assert send(curator, place, {"name": "a", "filter": {"band": "4"}}).json()["errors"].keys() == {"name"}
    assert send(curator, place, {"name": "b", "filter": {"band": "9"}}).json()["errors"].keys() == {"filter"}
    assert send(curator, place, {"name": "b", "filter": {"user__is_staff": "1"}}).status_code == 400
    replaced = send(curator, place, {"name": "a", "filter": {"band": "4"}, "replace": True}).json()
    assert (replaced["id"], replaced["filter"]) == (first.json()["id"], {"band": "4"})
    one = address(access, "filter-detail", replaced["id"])
    assert send(curator, one, {"name": "c"}, method="patch").json()["name"] == "c"
    assert send(curator, one, {"name": "\x00"}, method="patch").status_code == 400
    assert curator.get(one).json()["name"] == "c"
    assert send(curator, one, method="delete").status_code == 204
    assert not SavedFilter.objects.exists()
