"""What becomes of a file: trajectories, tasks, rejections, warnings."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.utils import timezone

from curation.formats.base import Rejected
from curation.formats.document import Document
from curation.formats.sources import Located, Source
from curation.models import (
    AuditEntry,
    DifficultyFit,
    Import,
    ImportRejection,
    JobState,
    Project,
    Revision,
    Task,
    Trajectory,
)
from curation.permissions import Access
from curation.services import import_files, import_runs, imports
from curation.services.import_batches import Place, build_attempt, write_batch
from curation.services.imports import stop_import
from tests.factories import make_document, make_project, owner_access
from tests.formats.reading_aids import chat_record
from tests.imports.files import as_lines, import_content, make_lines, queue_import

pytestmark = pytest.mark.django_db


@pytest.fixture
def access() -> Access:
    return owner_access(make_project())


def test_a_real_file_becomes_its_trajectories_tasks_and_outcomes(access: Access, shared_data: Path) -> None:
    content = (shared_data / "tau-bench" / "gpt-4o-airline.json").read_bytes()
    job = import_content(access, content, name="gpt-4o-airline.json")
    assert (job.state, job.format, job.imported, job.unchanged, job.rejected) == ("done", "tau-bench", 200, 0, 0)
    trajectories = Trajectory.objects.filter(project=access.project)
    assert trajectories.filter(model="gpt-4o", source="strong-model", completion="completed").count() == 200
    assert trajectories.filter(success=True).count() == 84
    assert trajectories.filter(success=False).count() == 116
    tasks = Task.objects.filter(project=access.project)
    assert tasks.count() == 50
    assert set(tasks.values_list("attempts", flat=True)) == {4}
    assert not tasks.filter(band=None).exists()
    assert Revision.objects.filter(trajectory__project=access.project, number=0).count() == 200
    assert [warning["count"] for warning in job.warnings if "repeats" in warning["text"]] == [49]


def test_the_same_file_again_adds_nothing_and_says_so(access: Access, shared_data: Path) -> None:
    content = (shared_data / "tau-bench" / "gpt-4o-airline.json").read_bytes()
    import_content(access, content, name="gpt-4o-airline.json")
    again = import_content(access, content, name="gpt-4o-airline.json")
    assert (again.imported, again.unchanged, again.rejected) == (0, 200, 0)
    assert Trajectory.objects.filter(project=access.project).count() == 200
    assert Task.objects.filter(project=access.project).count() == 50


def test_ids_follow_the_order_of_the_file(access: Access) -> None:
    job = import_content(access, make_lines(20, tasks=20))
    keys = Trajectory.objects.filter(origin=job).order_by("pk").values_list("task__key", flat=True)
    assert list(keys) == [f"task-{number}" for number in range(20)]


def test_another_project_has_its_own_copy(access: Access) -> None:
    content = make_lines(3)
    import_content(access, content)
    elsewhere = import_content(owner_access(make_project()), content)
    assert (elsewhere.imported, elsewhere.unchanged) == (3, 0)


def test_a_record_that_stands_twice_in_a_file_counts_once(access: Access) -> None:
    document = make_document()
    job = import_content(access, as_lines([document, document]))
    assert (job.imported, job.unchanged) == (1, 1)


def test_bad_records_among_good_ones_are_reported_and_the_others_arrive(access: Access) -> None:
    good, bad = make_document("one"), make_document("two")
    bad["steps"][1]["step_id"] = 7
    job = import_content(access, as_lines([good, bad, make_document("three")]) + b"{torn\n")
    assert (job.state, job.imported, job.rejected) == (JobState.DONE, 2, 2)
    first, second = job.rejections.order_by("record_index")
    assert (first.record_index, second.record_index) == (1, 3)
    assert "step_id 7" in first.reason
    assert "line 4" in second.reason
    assert second.raw == "{torn"


def test_hostile_strings_arrive_and_are_stored(access: Access) -> None:
    hostile = "</script><img src=x onerror=alert(1)>\x1b[31m \x00 \ud800 {{ 7 }}"
    document = make_document("look", key="k\x00\ud800", instruction=hostile)
    document["agent"]["model_name"] = "m\x00"
    job = import_content(access, json.dumps(document).encode() + b"\n", model="", name="evil\x00\ud800.jsonl")
    assert (job.state, job.imported, job.rejected) == (JobState.DONE, 1, 0)
    trajectory = Trajectory.objects.get(origin=job)
    assert trajectory.task.instruction == "</script><img src=x onerror=alert(1)>\x1b[31m \ufffd \ufffd {{ 7 }}"
    assert trajectory.task.key == "k\ufffd\ufffd"
    assert any("replaced" in warning["text"] for warning in job.warnings)


def test_a_gzip_file_is_read_as_what_it_holds(access: Access) -> None:
    job = import_content(access, gzip.compress(make_lines(4)), name="attempts.jsonl.gz")
    assert (job.state, job.imported) == (JobState.DONE, 4)


def test_a_damaged_gzip_keeps_what_came_before_the_damage_and_says_so(access: Access) -> None:
    packed = gzip.compress(make_lines(3000), compresslevel=1)
    job = import_content(access, packed[: len(packed) // 2], name="attempts.jsonl.gz")
    assert job.state == JobState.FAILED
    assert "gzip" in job.error
    assert 0 < job.imported == Trajectory.objects.filter(origin=job).count()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"id,name\n1,x\n", "Looked for"),
        (b'{"hello": 1}\n', "`hello`"),
        (b"", "is empty"),
    ],
)
def test_a_file_in_no_known_format_is_refused_and_nothing_is_stored(
    access: Access, content: bytes, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        queue_import(access, content)
    assert not Import.objects.exists()


def test_an_unknown_format_or_source_is_refused(access: Access) -> None:
    with pytest.raises(ValueError, match="Known: "):
        queue_import(access, make_lines(1), format="nonsense")
    with pytest.raises(ValueError, match="Known: "):
        queue_import(access, make_lines(1), source="nonsense")


def test_a_file_that_is_too_large_is_refused(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_files, "LARGEST_FILE", 1000)
    with pytest.raises(ValueError, match="larger than 1,000 bytes"):
        queue_import(access, make_lines(5))
    assert not Import.objects.exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd", "..", "a/b\r\nc.jsonl", ""])
def test_a_files_name_is_something_to_show_and_never_a_path(access: Access, name: str) -> None:
    job = queue_import(access, make_lines(1, say=name), name=name)
    assert not set(job.file_name) & set("/\\\r\n")
    assert job.file_path == f"imports/{job.file_sha256[:2]}/{job.file_sha256}"
    assert default_storage.exists(job.file_path)


def test_a_half_written_upload_is_replaced(access: Access) -> None:
    content = make_lines(2)
    first = queue_import(access, content)
    Path(default_storage.path(first.file_path)).write_bytes(content[:10])
    second = import_content(access, content)
    assert (second.state, second.imported) == (JobState.DONE, 2)
    assert Path(default_storage.path(first.file_path)).read_bytes() == content


def test_the_same_key_with_another_text_is_another_task_and_a_warning(access: Access) -> None:
    one = make_document("look", instruction="Book a flight.")
    two = make_document("look", instruction="Cancel a flight.")
    two["task"]["fingerprint"] = "e" * 64
    job = import_content(access, as_lines([one, two]))
    assert list(Task.objects.filter(project=access.project).values_list("key", flat=True)) == ["task-1", "task-1"]
    (warning,) = job.warnings
    assert "another text" in warning["text"]
    assert "task-1" in warning["text"]


def outcome(project: Project, **fields: Any) -> Trajectory:
    document = make_document()
    document["outcome"] |= fields
    import_content(owner_access(project), as_lines([document]))
    return Trajectory.objects.filter(project=project).latest("pk")


def test_success_is_the_files_word_or_else_the_reward_against_the_threshold() -> None:
    project = make_project()
    Project.objects.filter(pk=project.pk).update(success_threshold=0.5)
    assert outcome(project, reward=0.5).success is True
    assert outcome(project, reward=0.49).success is False
    assert outcome(project, reward=0.9, success=False).success is False
    assert outcome(project, reward=None).success is None


def test_a_crash_is_not_a_failure() -> None:
    project = make_project()
    crashed = outcome(project, reward=0.0, success=False, status="crashed", error="timeout")
    assert (crashed.completion, crashed.success) == ("crashed", None)
    crashed.task.refresh_from_db()
    assert crashed.task.attempts == 0


def test_attempts_that_arrive_are_followed_by_a_fit_of_their_difficulty(access: Access) -> None:
    lines = make_lines(10)
    job = queue_import(access, lines)
    fit = import_runs.run_import(job.pk)
    assert fit is not None
    assert (fit.project, fit.state, DifficultyFit.objects.count()) == (access.project, "queued", 1)
    same = queue_import(access, lines)
    assert import_runs.run_import(same.pk) is None  # nothing new


def test_an_import_that_is_stopped_keeps_what_it_has_and_goes_on_later(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_runs, "BATCH_RECORDS", 10)
    job = queue_import(access, make_lines(30))
    import_runs.run_import(job.pk, watch=lambda current: stop_import(access, current) if current.is_active else None)
    job.refresh_from_db()
    assert (job.state, job.imported) == (JobState.STOPPED, 20)
    assert "20 trajectories" in job.advice
    assert Trajectory.objects.filter(origin=job).count() == 20
    imports.resume_import(access, job)
    import_runs.run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.imported, job.unchanged) == (JobState.DONE, 30, 0)


def test_what_the_database_cannot_hold_is_refused_alone(access: Access) -> None:
    job = queue_import(access, make_lines(3))
    attempts = [
        build_attempt(Document.model_validate(make_document(f"say {number}")), Place(number), success_threshold=1.0)
        for number in range(3)
    ]
    attempts[1] = replace(attempts[1], document=b'{"steps": "\\u0000"}')
    written = write_batch(job, attempts)
    assert written.imported == Trajectory.objects.filter(origin=job).count() == 2
    ((refused, reason),) = written.refused
    assert refused.place == Place(1)
    assert "the database cannot hold it" in reason


def test_a_failure_is_said_in_words_and_can_be_tried_again(access: Access) -> None:
    job = queue_import(access, make_lines(2))
    content = Path(default_storage.path(job.file_path)).read_bytes()
    default_storage.delete(job.file_path)
    import_runs.run_import(job.pk)
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert "FileNotFoundError" in job.error
    import_files.store_file(File(BytesIO(content)), sha256=job.file_sha256, size=job.file_size)
    imports.resume_import(access, job)
    import_runs.run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.imported, job.error) == (JobState.DONE, 2, "")


def test_an_import_is_in_the_audit_log(access: Access) -> None:
    job = queue_import(access, make_lines(1))
    entry = AuditEntry.objects.get(project_id=access.project.pk, action="import.create")
    assert (entry.target, entry.details["sha256"]) == (str(job.pk), job.file_sha256)


def test_a_batch_costs_the_same_queries_whatever_its_size(access: Access, django_assert_max_num_queries: Any) -> None:
    job = queue_import(access, make_lines(400))
    with django_assert_max_num_queries(40):
        import_runs.run_import(job.pk)


def test_a_file_is_kept_until_no_import_has_to_read_it(access: Access) -> None:
    content = make_lines(3)
    waiting = queue_import(access, content)
    done = import_content(owner_access(make_project()), content)
    assert (done.state, done.file_path) == (JobState.DONE, "")
    assert default_storage.exists(waiting.file_path)
    import_runs.run_import(waiting.pk)
    assert not default_storage.exists(waiting.file_path)


def test_the_file_of_an_import_that_stopped_long_ago_is_let_go(access: Access) -> None:
    job = queue_import(access, make_lines(3))
    imports.stop_import(access, job)
    assert import_files.clear_files() == 0
    Import.objects.update(finished_at=timezone.now() - timedelta(days=8))
    assert import_files.clear_files() == 1
    assert not default_storage.exists(job.file_path)
    job.refresh_from_db()
    with pytest.raises(ValueError, match="is not kept any more"):
        imports.resume_import(access, job)


def test_nothing_is_kept_of_what_was_to_be_taken_out(access: Access) -> None:
    secret = "ann@example.org"
    lines = as_lines([chat_record(f"mail {secret}"), {"messages": [{"role": secret, "content": "x"}, 3]}])
    job = import_content(access, lines, redact=["emails"])
    assert (job.imported, job.rejected) == (1, 1)
    kept = [*Revision.objects.values(), *ImportRejection.objects.values(), *Import.objects.values()]
    assert secret not in str([*kept, *Task.objects.values()])
    assert "[email 1]" in job.rejections.get().raw
    stored = Path(default_storage.path("imports"))
    assert not [path for path in stored.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_why_a_file_broke_off_is_redacted_too(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Rejected(1, "the list breaks off behind ann@example.org", fatal=True)
    monkeypatch.setattr(Source, "read", lambda source: iter([Located(broken)]))
    job = import_content(access, make_lines(1), redact=["emails"])
    assert (job.state, job.error) == (JobState.FAILED, "the list breaks off behind [email 1]")


def test_an_import_resumed_while_its_file_is_let_go_keeps_it(access: Access) -> None:
    job = queue_import(access, make_lines(3))
    imports.stop_import(access, job)
    seen_stopped = Import.objects.get(pk=job.pk)
    imports.resume_import(access, job)
    import_files.release_file(seen_stopped)
    import_runs.run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.imported) == (JobState.DONE, 3)
