"""Writing parsed records in batches: tasks upserted, attempts and their first revisions by COPY.

Two imports may write the same attempts at the same moment. The unique constraint on the content hash decides which of
them does; locks are taken in one order (tasks by key, then attempts by hash), so neither ever waits for the other in
turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from typing import Any

from django.db import DataError, connection, transaction
from django.db.models import Count
from django.utils import timezone

from curation.formats.document import Document, write_document
from curation.measures import Measures, measure_document
from curation.models import Import, Task, Trajectory

MEASURES = tuple(field.name for field in fields(Measures))
COLUMNS = (
    "id", "project_id", "task_id", "origin_id", "source", "model", "trial", "reward", "success", "completion",
    "content_hash", *MEASURES, "status", "head_number", "tags", "created_at",
)  # fmt: skip
STAGE = f"""
CREATE TEMP TABLE IF NOT EXISTS attempt_staging ON COMMIT DROP
AS SELECT {", ".join(COLUMNS)} FROM curation_trajectory WITH NO DATA;
TRUNCATE attempt_staging;
"""  # noqa: S608  # made of the constant above
INSERT = f"""
INSERT INTO curation_trajectory ({", ".join(COLUMNS)})
SELECT {", ".join(COLUMNS)} FROM attempt_staging ORDER BY content_hash
ON CONFLICT (project_id, content_hash) DO NOTHING RETURNING id
"""  # noqa: S608  # made of the constant above
COPY_ATTEMPTS = f"COPY attempt_staging ({', '.join(COLUMNS)}) FROM STDIN"
COPY_REVISIONS = "COPY curation_revision (trajectory_id, number, document, reason, created_at) FROM STDIN"
COPY_BYTES = 2**20
TAKE_IDS = "SELECT nextval(pg_get_serial_sequence('curation_trajectory', 'id')) FROM generate_series(1, %s)"


@dataclass(frozen=True)
class Place:
    """Where a record stands: its number in its file, and that file's path in an archive or a folder."""

    record_index: int
    member: str = ""


@dataclass(frozen=True)
class Attempt:
    """A document in the form it is stored in. `document` is JSON in UTF-8."""

    place: Place
    task_key: str
    task_dataset: str
    task_fingerprint: str
    task_instruction: str
    model: str
    trial: int | None
    reward: float | None
    success: bool | None
    completion: str
    content_hash: str
    measures: Measures
    document: bytes


@dataclass(frozen=True)
class Written:
    """What became of a batch. `refused` holds (attempt, reason) for what the database cannot hold."""

    task_ids: frozenset[int]
    imported: int
    refused: tuple[tuple[Attempt, str], ...] = ()


def build_attempt(document: Document, place: Place, *, success_threshold: float) -> Attempt:
    """Raises ValueError for a document that cannot be written as JSON."""
    outcome = document.outcome
    text, content_hash = write_document(document)
    return Attempt(
        place=place,
        task_key=document.task.id,
        task_dataset=document.task.dataset or "",
        task_fingerprint=document.task.fingerprint,
        task_instruction=document.task.instruction,
        model=(document.agent.model_name or "")[:120],
        trial=document.trial.index,
        reward=outcome.reward,
        success=judge_outcome(document, success_threshold),
        completion=outcome.status,
        content_hash=content_hash,
        measures=measure_document(document),
        document=text,
    )


def judge_outcome(document: Document, success_threshold: float) -> bool | None:
    """Whether the attempt succeeded: the file's own word, else its reward against the threshold, else unknown.

    A crash is no failure of the policy: a crashed attempt has an outcome only where the file calls it a success.
    """
    outcome = document.outcome
    if outcome.status == "crashed":
        return outcome.success or None
    if outcome.success is not None or outcome.reward is None:
        return outcome.success
    return outcome.reward >= success_threshold


def write_batch(job: Import, attempts: Sequence[Attempt]) -> Written:
    """Write what is not in the project yet. One bad attempt does not hold up the others: it is refused alone."""
    try:
        return _write(job, attempts)
    except DataError as error:
        if len(attempts) == 1:
            return Written(frozenset(), 0, ((attempts[0], f"the database cannot hold it: {error}".strip()),))
    parts = [write_batch(job, [attempt]) for attempt in attempts]
    return Written(
        frozenset().union(*(part.task_ids for part in parts)),
        sum(part.imported for part in parts),
        tuple(refused for part in parts for refused in part.refused),
    )


def find_shared_keys(job: Import, task_ids: Sequence[int]) -> list[str]:
    """Keys of these tasks that another task of the project has as well, with another text."""
    keys = Task.objects.filter(pk__in=task_ids).values("key")
    same = Task.objects.filter(project_id=job.project_id, key__in=keys).values("key").annotate(texts=Count("pk"))
    return list(same.filter(texts__gt=1).order_by("key").values_list("key", flat=True))


@transaction.atomic
def _write(job: Import, attempts: Sequence[Attempt]) -> Written:
    tasks = _find_or_make_tasks(job, attempts)
    now = timezone.now()
    unique: dict[str, Attempt] = {}
    for attempt in attempts:
        unique.setdefault(attempt.content_hash, attempt)
    # The driver's own errors come out of COPY; they are wrapped as Django's, like everybody else's.
    with connection.cursor() as cursor, connection.wrap_database_errors:
        # Numbered here and inserted by hash: ids follow the file's order, locks the hash's.
        cursor.execute(TAKE_IDS, [len(unique)])
        numbered = {pk: attempt for (pk,), attempt in zip(cursor.fetchall(), unique.values(), strict=True)}
        cursor.execute(STAGE)
        with cursor.copy(COPY_ATTEMPTS) as copy:
            for pk, attempt in numbered.items():
                copy.write_row(_staged_row(job, pk, tasks[attempt.task_key, attempt.task_fingerprint], attempt, now))
        cursor.execute(INSERT)
        fresh = sorted(pk for (pk,) in cursor.fetchall())
        with cursor.copy(COPY_REVISIONS) as copy:
            for pk in fresh:
                for piece in _copied_row(pk, numbered[pk].document, now):
                    copy.write(piece)
    return Written(frozenset(tasks.values()), len(fresh))


def _find_or_make_tasks(job: Import, attempts: Sequence[Attempt]) -> dict[tuple[str, str], int]:
    """Task ids by (key, fingerprint)."""
    wanted = {(attempt.task_key, attempt.task_fingerprint): attempt for attempt in attempts}
    known = _find_tasks(job, wanted)
    missing = [
        Task(
            project_id=job.project_id, key=key, fingerprint=fingerprint, dataset=attempt.task_dataset,
            instruction=attempt.task_instruction,
        )
        for (key, fingerprint), attempt in sorted(wanted.items())
        if (key, fingerprint) not in known
    ]  # fmt: skip
    if not missing:
        return known
    Task.objects.bulk_create(missing, ignore_conflicts=True)
    return _find_tasks(job, wanted)


def _find_tasks(job: Import, wanted: dict[tuple[str, str], Attempt]) -> dict[tuple[str, str], int]:
    tasks = Task.objects.filter(project_id=job.project_id, key__in={key for key, _ in wanted})
    found = {(key, fingerprint): pk for key, fingerprint, pk in tasks.values_list("key", "fingerprint", "pk")}
    return {identity: found[identity] for identity in wanted if identity in found}


def _staged_row(job: Import, pk: int, task_id: int, attempt: Attempt, now: Any) -> tuple[Any, ...]:
    """In the order of COLUMNS."""
    return (
        pk, job.project_id, task_id, job.pk, job.source, attempt.model, attempt.trial, attempt.reward, attempt.success,
        attempt.completion, attempt.content_hash, *astuple(attempt.measures), Trajectory.Status.UNREVIEWED, 0, [], now,
    )  # fmt: skip


def _copied_row(pk: int, document: bytes, now: datetime) -> Iterator[bytes]:
    """In the order of COPY_REVISIONS, in pieces. JSON on one line needs nothing escaped but its backslashes."""
    piece = b"%d\t0\t" % pk
    for start in range(0, len(document), COPY_BYTES):
        piece += document[start : start + COPY_BYTES].replace(b"\\", rb"\\")
        if start + COPY_BYTES < len(document):
            yield piece
            piece = b""
    yield piece + b"\t\t%s\n" % now.isoformat().encode()
