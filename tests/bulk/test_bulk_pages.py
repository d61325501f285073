"""The pages of bulk actions: from the list, through the preview, to the result and back; who may; what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from curation.models import BulkAction, Role, Trajectory
from curation.permissions import Access
from tests.bulk.cast import do, make_queue, say, start, tags, undo, work
from tests.factories import make_member, make_project, make_task, make_trajectories, make_trajectory, owner_access

pytestmark = pytest.mark.django_db

HOSTILE = '</option><script>alert(1)</script>" hx-get="/x'


@pytest.fixture
def access() -> Access:
    access = owner_access(make_project())
    for band in (1, 5):
        make_trajectories(access.project, 2, task=make_task(access.project, f"task-{band}", band=band))
    return access


@pytest.fixture
def curator(client: Client, access: Access) -> Client:
    client.force_login(access.user)
    return client


def address(access: Access, name: str, *args: int) -> str:
    return reverse(f"curation:{name}", args=[access.project.slug, *args])


def read(client: Client, place: str, **query: str) -> str:
    return client.get(place, query).content.decode()


def test_the_list_offers_what_can_be_done_with_all_that_fit_to_curators_only(client: Client, access: Access) -> None:
    client.force_login(access.user)
    page = read(client, address(access, "trajectory-list"), band="5")
    assert "Do with all 2" in page
    assert f"{address(access, 'bulk-create')}?band=5&amp;action=accept" in page
    client.force_login(make_member(access.project).user)
    assert "Do with all" not in read(client, address(access, "trajectory-list"))


def test_a_curator_sees_what_would_change_then_starts_it_and_a_worker_is_told(
    curator: Client, access: Access, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr("curation.jobs.run_bulk_action.apply_async", lambda args, kwargs: told.extend(args))
    say(Trajectory.objects.latest("pk"), "reject")
    page = read(curator, address(access, "bulk-create"), action="accept", band="5")
    assert "2 of 2 would change" in page
    assert "1 of them has reviews that say otherwise" in page
    assert not BulkAction.objects.exists()
    token = re.findall(r'name="token" value="([^"]+)"', page)[0]
    form = {"action": "accept", "band": "5", "token": token, "do-reason": "Seen."}
    with django_capture_on_commit_callbacks(execute=True):
        first, again = (curator.post(address(access, "bulk-create"), form) for _ in range(2))
    job = BulkAction.objects.get()
    assert first.headers["Location"] == again.headers["Location"] == address(access, "bulk-detail", job.pk)
    assert set(told) == {job.pk}
    assert job.parameters == {"reason": "Seen."}
    waiting = read(curator, address(access, "bulk-detail", job.pk))
    assert 'hx-trigger="every 1s"' in waiting
    assert "Seen." in waiting
    work(job)
    done = read(curator, address(access, "bulk-detail", job.pk))
    assert "hx-trigger" not in done.split('id="report"')[1].split(">")[0]
    assert "Undo</button>" in done


def test_what_an_action_needs_is_asked_for_first(curator: Client, access: Access) -> None:
    page = read(curator, address(access, "bulk-create"), action="tag")
    assert " would change</h2>" not in page
    assert "This field is required" not in page
    page = read(curator, address(access, "bulk-create"), action="tag", **{"do-tag": "x", "tag": ""})
    assert "4 of 4 would change" in page
    page = read(curator, address(access, "bulk-create"), action="tag", **{"do-tag": "x" * 41})
    assert " would change</h2>" not in page
    assert "at most 40 characters" in page


def test_tags_are_shown_in_the_list_and_picked_there(curator: Client, access: Access) -> None:
    do(access, "tag", {"band": "5"}, tag=HOSTILE[:40])
    page = read(curator, address(access, "trajectory-list"))
    assert "<script>alert" not in page
    assert page.count("&lt;/option&gt;&lt;script&gt;") >= 3
    assert "2 fit these conditions" in read(curator, address(access, "trajectory-list"), tag=HOSTILE[:40])
    assert "0 fit these conditions" in read(curator, address(access, "trajectory-list"), tag="no such tag")


def test_the_list_is_narrowed_by_queue_and_correction(curator: Client, access: Access) -> None:
    first = Trajectory.objects.earliest("pk")
    queue = make_queue(access, first)
    Trajectory.objects.filter(pk=first.pk).update(head_number=1)
    place = address(access, "trajectory-list")
    for name, value, number in (
        ("in_queue", str(queue.pk), 1),
        ("in_queue", str(queue.pk + 1000), 0),
        ("corrected", "yes", 1),
        ("corrected", "no", 3),
    ):
        assert f"{number} fit these conditions" in read(curator, place, **{name: value})
    for name, value in (("in_queue", "x"), ("in_queue", "1e400"), ("corrected", "maybe"), ("tag", "a\x00b")):
        assert "Showing everything." in read(curator, place, **{name: value})


def test_the_list_asks_the_same_number_of_questions_however_many_rows_it_has(
    curator: Client, access: Access, django_assert_max_num_queries: Any
) -> None:
    do(access, "tag", tag="x")
    make_trajectories(access.project, 20)
    with django_assert_max_num_queries(14):
        curator.get(address(access, "trajectory-list"))


def test_the_preview_asks_few_questions(curator: Client, access: Access, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(10):
        curator.get(address(access, "bulk-create"), {"action": "accept"})


def test_undo_is_one_button_and_says_what_stays(curator: Client, access: Access) -> None:
    job = do(access, "tag", tag="x")
    do(access, "untag", {"band": "1"}, tag="x")
    curator.post(address(access, "bulk-undo", job.pk))
    again = curator.post(address(access, "bulk-undo", job.pk), follow=True).content.decode()
    assert "undone already" in again
    assert "Undoing, queued" in again
    work(job)
    page = read(curator, address(access, "bulk-detail", job.pk))
    assert "2 of 4 changes were taken back" in page
    assert "2 stay" in page
    assert "Undo</button>" not in page
    assert tags(access) == [[]] * 4


def test_a_running_action_can_be_stopped_and_goes_on(curator: Client, access: Access) -> None:
    job = start(access, "accept")
    assert "Stop the action" in curator.post(address(access, "bulk-undo", job.pk), follow=True).content.decode()
    curator.post(address(access, "bulk-stop", job.pk))
    assert "Continue</button>" in read(curator, address(access, "bulk-detail", job.pk))
    curator.post(address(access, "bulk-resume", job.pk))
    assert work(job).changed == 4


def test_the_recent_actions_are_listed_newest_first(curator: Client, access: Access) -> None:
    assert "Nothing was done" in read(curator, address(access, "bulk-list"))
    undo(access, do(access, "tag", tag=HOSTILE[:40]))
    start(access, "reject")
    page = read(curator, address(access, "bulk-list"))
    assert page.index("Reject") < page.index("Add a tag")
    assert "<script>alert" not in page
    assert 'hx-trigger="every 1s"' in page
    assert "damaged" in curator.get(address(access, "bulk-list"), {"after": "x"}, follow=True).content.decode()


def test_only_curators_of_the_project_reach_any_of_it(client: Client, access: Access) -> None:
    job = do(access, "tag", tag="x")
    pages = [address(access, "bulk-list"), address(access, "bulk-create"), address(access, "bulk-detail", job.pk)]
    changes = [address(access, f"bulk-{verb}", job.pk) for verb in ("stop", "resume", "undo")]
    for person, status in ((make_member(access.project, Role.REVIEWER), 403), (owner_access(make_project()), 404)):
        client.force_login(person.user)
        assert {client.get(place, {"action": "accept"}).status_code for place in pages} == {status}
        assert {client.post(place, {"action": "accept"}).status_code for place in [pages[1], *changes]} == {status}
    job.refresh_from_db()
    assert job.undone_at is None


def test_ids_of_another_project_are_not_found_or_refused_in_words(curator: Client, access: Access) -> None:
    other = owner_access(make_project())
    theirs = make_queue(other, make_trajectory(other.project))
    mine = make_queue(access, Trajectory.objects.filter(project=access.project)[0])
    job = do(other, "tag", tag="x")
    for verb in ("stop", "resume", "undo"):
        assert curator.post(address(access, f"bulk-{verb}", job.pk)).status_code == 404
    assert curator.get(address(access, "bulk-detail", job.pk)).status_code == 404
    place = address(access, "bulk-create")
    assert "no such queue" in read(curator, place, action="queue", **{"do-queue": str(theirs.pk)})
    fields = {"action": "assign", "do-queue": str(mine.pk), "do-assignee": other.user.username}
    answer = curator.post(place, fields)
    assert (answer.status_code, "no such reviewer" in answer.content.decode()) == (400, True)
    assert BulkAction.objects.filter(project=access.project).count() == 0


@pytest.mark.parametrize(
    "query", [{}, {"action": "delete"}, {"action": "accept\x00"}], ids=["none", "unknown", "hostile"]
)
def test_an_action_that_does_not_exist_is_not_found(curator: Client, access: Access, query: dict[str, str]) -> None:
    assert curator.get(address(access, "bulk-create"), query).status_code == 404


def test_conditions_that_are_wrong_lead_back_to_the_list(curator: Client, access: Access) -> None:
    answer = curator.get(address(access, "bulk-create"), {"action": "accept", "band": "9"}, follow=True)
    assert answer.redirect_chain[-1][0] == address(access, "trajectory-list")
    assert "Difficulty: Select a valid choice" in answer.content.decode()
