"""What happens to a job that indexes: two at once, lost, killed, stopped, failed, and what the sweeper does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from curation.jobs import index_project
from curation.models import Import, Indexing, JobState, Trajectory
from curation.services import indexing
from curation.services.import_undo import undo_import
from curation.services.indexing import find_left, queue_forgotten, queue_indexing, run_indexing
from curation.services.jobs import STALE_AFTER, request_stop, sweep_jobs
from tests.at_once import at_once
from tests.factories import make_document, make_project, make_trajectory, owner_access
from tests.imports.files import as_lines, import_content
from tests.trajectories.indexed import check_truth, index, tell
from tests.workers import kill_worker_after
from training.jobs import SWEPT

pytestmark = pytest.mark.django_db(transaction=True)

# Indexes by the job whose id it is given, says when its first batch is written, and then hangs.
WORKER = """
import sys, time
import django
django.setup()
from curation.services import indexing

def hang(job):
    print("written", flush=True)
    time.sleep(600)

indexing.BATCH_TRAJECTORIES = 2
indexing.run_indexing(int(sys.argv[1]), watch=hang)
"""


def test_there_is_one_job_of_a_project_and_none_where_nothing_is_left() -> None:
    project = make_project()
    assert queue_indexing(project.pk) is None
    make_trajectory(project)
    jobs = at_once(*[lambda: queue_indexing(project.pk)] * 4)
    assert len([job for job in jobs if job]) == 1
    run_indexing(Indexing.objects.get().pk)
    make_trajectory(project)
    index(project)
    assert Indexing.objects.count() == 1  # of those that are done, the newest is kept


def test_two_workers_on_one_job_index_each_trajectory_once() -> None:
    project = make_project()
    for number in range(6):
        make_trajectory(project, tell(number % 3))
    job = queue_indexing(project.pk)
    assert job is not None
    at_once(lambda: run_indexing(job.pk), lambda: run_indexing(job.pk))
    job.refresh_from_db()
    assert (job.state, job.claims, job.progress) == ("done", 1, 6)
    check_truth(project)


def test_a_worker_that_lost_its_job_writes_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "BATCH_TRAJECTORIES", 2)
    project = make_project()
    for _ in range(6):
        make_trajectory(project, tell(1))
    job = queue_indexing(project.pk)
    assert job is not None

    def lose(current: Indexing) -> None:
        if current.claims == 1:
            Indexing.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - 2 * STALE_AFTER)
            assert sweep_jobs(Indexing) == [job.pk]
            run_indexing(job.pk)

    run_indexing(job.pk, watch=lose)
    job.refresh_from_db()
    assert (job.state, job.claims, job.progress) == ("done", 2, 4)
    check_truth(project)


def test_a_job_whose_worker_is_killed_goes_on_where_it_was() -> None:
    project = make_project()
    for number in range(5):
        make_trajectory(project, tell(number % 2))
    job = queue_indexing(project.pk)
    assert job is not None
    kill_worker_after(b"written\n", WORKER, str(job.pk))
    assert find_left(project.pk).count() == 3
    Indexing.objects.update(heartbeat_at=timezone.now() - STALE_AFTER - timedelta(seconds=1))
    assert sweep_jobs(Indexing) == [job.pk]
    assert (Indexing, "curation.jobs.run_indexing") in SWEPT
    run_indexing(job.pk)
    job.refresh_from_db()
    assert (job.state, job.claims) == ("done", 2)
    check_truth(project)


def test_a_stopped_job_keeps_what_it_did_and_only_an_import_or_correction_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(indexing, "BATCH_TRAJECTORIES", 2)
    project = make_project()
    for _ in range(4):
        make_trajectory(project)
    job = queue_indexing(project.pk)
    assert job is not None
    run_indexing(job.pk, watch=request_stop)
    job.refresh_from_db()
    assert (job.state, find_left(project.pk).count()) == ("stopped", 2)
    assert queue_forgotten() == []
    index_project(project.pk)
    assert not find_left(project.pk).exists()


def test_the_sweeper_queues_what_nobody_works_on_but_not_at_once_after_a_failure() -> None:
    project = make_project()
    make_project()
    make_trajectory(project)
    (pk,) = queue_forgotten()
    assert queue_forgotten() == []
    Indexing.objects.filter(pk=pk).update(state=JobState.FAILED, finished_at=timezone.now())
    assert queue_forgotten() == []
    Indexing.objects.filter(pk=pk).update(finished_at=timezone.now() - timedelta(minutes=11))
    assert len(queue_forgotten()) == 1


def test_the_sweeper_waits_for_an_import_that_runs() -> None:
    access = owner_access(make_project())
    job = import_content(access, as_lines([make_document("look")]))
    Import.objects.filter(pk=job.pk).update(state=JobState.RUNNING)
    assert queue_forgotten() == []
    Import.objects.filter(pk=job.pk).update(state=JobState.DONE)
    assert len(queue_forgotten()) == 1


def test_a_job_that_fails_says_why_and_keeps_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project()
    make_trajectory(project)
    monkeypatch.setattr(indexing, "hash_steps", lambda document: 1 / 0)
    job = index(project)
    assert (job.state, job.error) == ("failed", "ZeroDivisionError: division by zero")


def test_what_somebody_holds_is_left_for_later() -> None:
    project = make_project()
    held, free = make_trajectory(project, "one"), make_trajectory(project, "two")
    job = queue_indexing(project.pk)
    assert job is not None
    with transaction.atomic():
        Trajectory.objects.select_for_update().get(pk=held.pk)
        at_once(lambda: run_indexing(job.pk))
    assert list(find_left(project.pk)) == [held]
    free.refresh_from_db()
    assert free.indexed_number == 0
    index_project(project.pk)
    check_truth(project)


def test_an_import_that_is_undone_meanwhile_leaves_nothing_that_repeats_it() -> None:
    access = owner_access(make_project())
    first = import_content(access, as_lines([make_document(tell(1))]))
    index(access.project)
    import_content(access, as_lines(make_document(tell(1, version=version)) for version in range(4)))
    job = queue_indexing(access.project.pk)
    assert job is not None
    at_once(lambda: run_indexing(job.pk), lambda: undo_import(access, first))
    job.refresh_from_db()
    assert job.state == "done"
    index_project(access.project.pk)
    check_truth(access.project)
