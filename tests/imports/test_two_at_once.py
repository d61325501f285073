"""Imports that meet: two of the same file at the same moment, and one whose worker is killed."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from curation.models import Import, ImportRejection, JobState, Task, Trajectory
from curation.services.import_runs import run_import
from curation.services.imports import ImportOptions
from curation.services.jobs import STALE_AFTER, sweep_jobs
from curation.services.uploads import UploadGone, begin_upload, import_upload, receive_piece
from tests.factories import make_document, make_project, owner_access
from tests.imports.files import as_lines, make_lines, queue_import
from tests.workers import kill_worker_after

pytestmark = pytest.mark.django_db(transaction=True)

# Reads the import whose id it is given, says when its first batch is written, and then hangs.
WORKER = """
import sys, time
import django
django.setup()
from curation.services import import_runs

def hang(job):
    print(job.imported, flush=True)
    time.sleep(600)

import_runs.BATCH_RECORDS = 50
import_runs.run_import(int(sys.argv[1]), watch=hang)
"""


def run_in_thread(job: Import, start: threading.Barrier) -> threading.Thread:
    def work() -> None:
        start.wait()
        run_import(job.pk)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def run_together(*jobs: Import) -> None:
    """Each on a connection of its own, begun at the same moment."""
    start = threading.Barrier(len(jobs))
    for thread in [run_in_thread(job, start) for job in jobs]:
        thread.join(120)
    for job in jobs:
        job.refresh_from_db()


def test_two_imports_of_one_real_file_at_once_add_each_trajectory_once(shared_data: Path) -> None:
    access = owner_access(make_project())
    content = (shared_data / "tau-bench" / "gpt-4o-airline.json").read_bytes()
    first, second = (queue_import(access, content, name="gpt-4o-airline.json") for _ in range(2))
    run_together(first, second)
    assert (first.state, second.state) == ("done", "done")
    assert first.imported + second.imported == 200
    assert (first.imported + first.unchanged, second.imported + second.unchanged) == (200, 200)
    assert Trajectory.objects.filter(project=access.project).count() == 200
    assert Task.objects.filter(project=access.project, attempts=4).count() == 50


def test_the_same_records_in_another_order_at_once_do_not_block_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.services.import_runs.BATCH_RECORDS", 100)
    access = owner_access(make_project())
    documents = [make_document(f"say {number}", key=f"task-{number % 7}") for number in range(600)]
    orders = (documents, documents[::-1], documents[300:] + documents[:300])
    jobs = [queue_import(access, as_lines(order)) for order in orders]
    run_together(*jobs)
    assert [job.state for job in jobs] == ["done"] * 3
    assert sum(job.imported for job in jobs) == Trajectory.objects.filter(project=access.project).count() == 600


def test_an_import_whose_worker_is_killed_goes_on_and_ends_with_true_counts() -> None:
    access = owner_access(make_project())
    job = queue_import(access, b"{torn\n" + make_lines(120) + b"{torn\n")
    kill_worker_after(b"49\n", WORKER, str(job.pk))
    job.refresh_from_db()
    assert (job.state, job.imported, job.rejected) == (JobState.RUNNING, 49, 1)
    assert sweep_jobs(Import) == []
    Import.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - 2 * STALE_AFTER)
    assert sweep_jobs(Import) == [job.pk]
    run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.imported, job.unchanged, job.rejected) == (JobState.DONE, 120, 0, 2)
    assert Trajectory.objects.filter(project=access.project).count() == 120
    assert ImportRejection.objects.filter(origin=job).count() == 2


def test_a_worker_that_lost_its_import_leaves_the_counts_to_the_one_that_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("curation.services.import_runs.BATCH_RECORDS", 10)
    access = owner_access(make_project())
    job = queue_import(access, make_lines(40))

    def lose(current: Import) -> None:
        """After its first batch the worker is so slow that another one takes over, and finishes."""
        if current.imported == 10:
            stale = timezone.now() - STALE_AFTER - timedelta(seconds=1)
            Import.objects.filter(pk=job.pk).update(heartbeat_at=stale)
            assert sweep_jobs(Import) == [job.pk]
            run_import(job.pk)

    run_import(job.pk, watch=lose)
    job.refresh_from_db()
    assert (job.state, job.imported, job.unchanged) == (JobState.DONE, 40, 0)


def test_of_two_that_import_the_same_upload_one_does() -> None:
    access = owner_access(make_project())
    content = make_lines(20)
    upload = begin_upload(access, file_name="a.jsonl", file_size=len(content), file_key="k")
    upload = receive_piece(upload, offset=0, piece=content)
    start = threading.Barrier(2)
    said: list[str] = []

    def work() -> None:
        start.wait()
        try:
            import_upload(access, upload, ImportOptions())
            said.append("imported")
        except UploadGone:
            said.append("gone")
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(said) == ["gone", "imported"]
    assert Import.objects.count() == 1


def test_a_file_is_not_deleted_under_an_import_that_begins_to_need_it() -> None:
    access = owner_access(make_project())
    content = make_lines(5)
    for _ in range(5):
        first = queue_import(access, content)
        start = threading.Barrier(2)
        thread = run_in_thread(first, start)
        start.wait()
        second = queue_import(access, content)
        thread.join(60)
        run_import(second.pk)
        second.refresh_from_db()
        assert (second.state, second.error) == (JobState.DONE, "")
