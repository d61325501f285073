"""Bulk actions at work: in batches, stopped, killed, taken over, and met by people who do the same at that moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from curation.models import BulkAction, BulkChange, Decision, JobState, Project, Revision
from curation.permissions import Access
from curation.selectors.bulk import list_tags
from curation.services import bulk_runs
from curation.services.bulk import resume_bulk_action, stop_bulk_action, undo_bulk_action
from curation.services.bulk_changes import change_trajectories, take_back
from curation.services.jobs import STALE_AFTER, beat_job, sweep_jobs
from curation.services.queues import extend_queue, take_next
from tests.bulk.cast import do, make_queue, start, statuses, tags, undo, work
from tests.factories import make_member, make_project, make_task, make_trajectories, owner_access
from tests.workers import kill_worker_after

# Accepts the first batch of the action whose id it is given, says so, and then hangs inside the second.
WORKER = """
import sys, time
import django
django.setup()
from curation.filters import choose_trajectories
from curation.services import bulk_runs

def hang(job, order, ids):
    changes = change(job, order, ids)
    if job.changed:
        print(job.changed, flush=True)
        time.sleep(600)
    return changes

change, bulk_runs.change_trajectories, bulk_runs.BATCH = bulk_runs.change_trajectories, hang, 3
bulk_runs.run_bulk_action(int(sys.argv[1]), choose_trajectories)
"""


@pytest.fixture
def access(db: None) -> Access:
    return owner_access(make_project())


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.services.bulk_runs.BATCH", 3)
    monkeypatch.setattr("curation.services.bulk_runs.QUEUE_BATCH", 3)


def break_after(number: int, monkeypatch: pytest.MonkeyPatch, function: Callable[..., object]) -> None:
    """Let the batch after `number` batches fail when its work is done, before it is written."""
    seen: list[int] = []

    def work_and_fail(*arguments: object) -> object:
        done = function(*arguments)
        seen.append(1)
        if len(seen) == number + 1:
            raise OSError("the disk is full")
        return done

    monkeypatch.setattr(bulk_runs, function.__name__, work_and_fail)


def test_an_action_that_breaks_in_the_middle_goes_on_and_changes_each_once(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_trajectories(access.project, 8, task=make_task(access.project))
    job = start(access, "accept")
    with monkeypatch.context() as patch:
        break_after(1, patch, change_trajectories)
        work(job)
    assert (job.state, job.error, job.changed, job.progress) == (JobState.FAILED, "OSError: the disk is full", 3, 3)
    assert "Continue" in job.advice
    assert statuses(access) == ["accepted"] * 3 + ["unreviewed"] * 5
    resume_bulk_action(access, job)
    work(job)
    assert (job.state, job.error, job.changed, job.progress) == (JobState.DONE, "", 8, 8)
    assert (Decision.objects.count(), BulkChange.objects.count()) == (8, 8)
    work(job)
    assert (job.state, Decision.objects.count()) == (JobState.DONE, 8)


def test_undoing_that_breaks_in_the_middle_goes_on(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    make_trajectories(access.project, 8)
    job = do(access, "tag", tag="x")
    undo_bulk_action(access, job)
    with monkeypatch.context() as patch:
        break_after(2, patch, take_back)
        work(job)
    assert (job.state, job.progress, tags(access).count([])) == (JobState.FAILED, 6, 6)
    resume_bulk_action(access, job)
    work(job)
    assert (job.state, job.progress, job.changed, tags(access).count([])) == (JobState.DONE, 8, 8, 8)


def test_what_was_decided_by_hand_behind_the_job_is_not_decided_again_when_it_goes_on(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list(make_trajectories(access.project, 6))
    job = start(access, "accept")
    with monkeypatch.context() as patch:
        break_after(1, patch, change_trajectories)
        work(job)
    Decision.objects.filter(trajectory=rows[0]).update(withdrawn_at=timezone.now())
    resume_bulk_action(access, job)
    work(job)
    assert Decision.objects.filter(trajectory=rows[0]).count() == 1


def test_an_action_that_is_stopped_keeps_its_batches_and_can_be_undone_or_go_on(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_trajectories(access.project, 8)
    job = start(access, "tag", tag="x")

    def stop_at_once(action: BulkAction, *rest: object) -> object:
        BulkAction.objects.filter(pk=action.pk).update(stop_requested=True)
        return change_trajectories(action, *rest)  # type: ignore[arg-type]  # passed on as it came

    with monkeypatch.context() as patch:
        patch.setattr(bulk_runs, "change_trajectories", stop_at_once)
        work(job)
    assert (job.state, job.changed, tags(access).count(["x"])) == (JobState.STOPPED, 3, 3)
    resume_bulk_action(access, job)
    assert (work(job).state, job.changed) == (JobState.DONE, 8)
    undo(access, job)
    assert tags(access) == [[]] * 8


def test_an_action_that_nobody_has_begun_stops_at_once(access: Access) -> None:
    make_trajectories(access.project, 2)
    job = start(access, "accept")
    stop_bulk_action(access, job)
    assert (work(job).state, job.changed) == (JobState.STOPPED, 0)
    with pytest.raises(ValueError, match="ended already"):
        stop_bulk_action(access, job)


@pytest.mark.parametrize("action", ["accept", "tag", "queue", "assign"])
def test_a_batch_takes_the_same_number_of_statements_however_many_it_holds(
    access: Access, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curation.services.bulk_runs.BATCH", 1000)
    monkeypatch.setattr("curation.services.bulk_runs.QUEUE_BATCH", 1000)
    counts = []
    for number in (2, 12):
        project = owner_access(make_project())
        task = make_task(project.project)
        rows = list(make_trajectories(project.project, number, task=task))
        needs: dict[str, dict[str, Any]] = {"tag": {"tag": "x"}, "assign": {"assignee": project.user}}
        fields = needs.get(action, {})
        if action in ("queue", "assign"):
            fields["queue"] = make_queue(project, rows[0])
        job = start(project, action, **fields)
        with CaptureQueriesContext(connection) as asked:
            work(job)
        assert (job.state, job.error) == (JobState.DONE, "")
        undo_bulk_action(project, job)
        with CaptureQueriesContext(connection) as asked_back:
            work(job)
        counts.append((len(asked), len(asked_back)))
        assert "document" not in " ".join(query["sql"] for query in [*asked, *asked_back])
    assert counts[0] == counts[1]


@pytest.mark.django_db(transaction=True)
def test_an_action_whose_worker_is_killed_goes_on_from_its_last_batch() -> None:
    access = owner_access(make_project())
    make_trajectories(access.project, 8)
    job = start(access, "accept")
    kill_worker_after(b"3\n", WORKER, str(job.pk))
    job.refresh_from_db()
    assert (job.state, job.changed, statuses(access).count("accepted")) == (JobState.RUNNING, 3, 3)
    BulkAction.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - 2 * STALE_AFTER)
    assert sweep_jobs(BulkAction) == [job.pk]
    work(job)
    assert (job.state, job.changed, job.progress, Decision.objects.count()) == (JobState.DONE, 8, 8, 8)


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_lost_the_action_changes_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    access = owner_access(make_project())
    make_trajectories(access.project, 8)
    job = start(access, "accept")
    beat = beat_job

    def lose(action: BulkAction, **fields: object) -> None:
        """After its first batch the worker is so slow that another one takes over, and finishes."""
        if action.changed == 3 and not Decision.objects.filter(trajectory__id__gt=action.position).exists():
            stale = timezone.now() - STALE_AFTER - timedelta(seconds=1)
            run_together(lambda: BulkAction.objects.filter(pk=action.pk).update(heartbeat_at=stale))
            run_together(lambda: sweep_jobs(BulkAction))
            monkeypatch.setattr(bulk_runs, "beat_job", beat)
            run_together(lambda: work(BulkAction.objects.get(pk=action.pk)))
        beat(action, **fields)

    monkeypatch.setattr(bulk_runs, "beat_job", lose)
    work(job)
    assert (job.state, job.changed, Decision.objects.count()) == (JobState.DONE, 8, 8)


def run_alone(act: Callable[[], object]) -> None:
    """In a thread, whose connection is closed then."""
    try:
        act()
    finally:
        connection.close()


def run_together(*acts: Callable[[], object]) -> list[ValueError]:
    """Each on a connection of its own, begun at the same moment; the refusals."""
    begun = threading.Barrier(len(acts))
    refused: list[ValueError] = []

    def run(act: Callable[[], object]) -> None:
        begun.wait()
        try:
            run_alone(act)
        except ValueError as error:
            refused.append(error)

    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return refused


@pytest.mark.django_db(transaction=True)
def test_the_same_form_sent_twice_at_the_same_moment_is_one_action() -> None:
    access = owner_access(make_project())
    make_trajectories(access.project, 3)
    run_together(*[lambda: start(access, "accept", idempotency_key="k")] * 4)
    assert BulkAction.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_who_undo_at_once_one_does() -> None:
    access = owner_access(make_project())
    make_trajectories(access.project, 3)
    job = do(access, "accept")
    refused = run_together(*[lambda: undo_bulk_action(access, BulkAction.objects.get(pk=job.pk))] * 2)
    assert [str(error) for error in refused] == ["This action was undone already."]
    assert work(job).state == JobState.DONE
    assert statuses(access) == ["unreviewed"] * 3


@pytest.mark.django_db(transaction=True)
def test_what_two_put_into_a_queue_at_once_is_undone_only_by_who_put_it_there() -> None:
    access = owner_access(make_project())
    rows = list(make_trajectories(access.project, 12))
    queue = make_queue(access, rows[0])
    first, second = start(access, "queue", queue=queue), start(access, "queue", queue=queue)
    run_together(
        lambda: work(BulkAction.objects.get(pk=first.pk)),
        lambda: work(BulkAction.objects.get(pk=second.pk)),
        lambda: extend_queue(access, queue, access.project.trajectories.filter(pk__lte=rows[5].pk)),
    )
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state, queue.items.count()) == (JobState.DONE, JobState.DONE, 12)
    assert first.changed + second.changed <= 11
    undo(access, first)
    undo(access, second)
    assert queue.items.count() == 12 - first.changed - second.changed


@pytest.mark.django_db(transaction=True)
def test_an_item_that_is_being_taken_at_that_moment_is_not_assigned_to_somebody_else() -> None:
    access = owner_access(make_project())
    queue = make_queue(access, *make_trajectories(access.project, 4))
    taker = make_member(access.project)
    job = start(access, "assign", queue=queue, assignee=access.user)
    worker = threading.Thread(target=run_alone, args=[lambda: work(job)])
    with transaction.atomic():
        held = take_next(taker, queue)
        assert held is not None
        worker.start()
        worker.join(0.5)
        assert worker.is_alive()  # it waits for the item
    worker.join(60)
    assert (job.state, job.changed, job.left_out) == (JobState.DONE, 3, {"busy": 1})
    held.item.refresh_from_db()
    assert held.item.assignee is None


@pytest.mark.django_db(transaction=True)
def test_an_item_that_is_being_taken_at_that_moment_is_not_removed_by_undoing() -> None:
    access = owner_access(make_project())
    first, *rest = make_trajectories(access.project, 3)
    queue = make_queue(access, first)
    queue.items.update(rank=1e12)
    job = do(access, "queue", queue=queue)
    undo_bulk_action(access, job)
    worker = threading.Thread(target=run_alone, args=[lambda: work(job)])
    with transaction.atomic():
        held = take_next(make_member(access.project), queue)
        assert held is not None
        worker.start()
        worker.join(0.5)
    worker.join(60)
    assert (job.state, job.changes.count()) == (JobState.DONE, 1)
    assert set(queue.items.values_list("trajectory", flat=True)) == {first.pk, held.item.trajectory_id}
    assert held.item.trajectory_id in {row.pk for row in rest}


def test_tags_are_offered_by_name_and_only_those_of_the_project(access: Access) -> None:
    make_trajectories(access.project, 2)
    make_trajectories(make_project(), 1)
    do(access, "tag", tag="b")
    do(access, "tag", tag="a")
    assert list_tags(access) == ["a", "b"]
    assert Project.objects.count() == 2
    assert Revision.objects.count() == 3
