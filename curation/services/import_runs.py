"""Running an import: its file read record by record, written batch by batch.

The file is read from its start whenever a worker takes the import up. What is there already stays as it is, so an
import whose worker was killed, or that was stopped, simply goes on.
"""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from django.core.files.base import File
from django.core.files.storage import default_storage

from curation.formats.base import ImportContext, Parsed, Rejected
from curation.formats.cleaning import clean_text
from curation.formats.registry import get_format
from curation.models import Import, ImportRejection, JobState, Trajectory
from curation.services.difficulty import update_difficulty
from curation.services.import_batches import Attempt, build_attempt, find_shared_keys, write_batch
from curation.services.jobs import JobLost, JobStopped, beat_job, claim_job, end_job

logger = logging.getLogger(__name__)

BATCH_RECORDS = 500
BATCH_CHARACTERS = 16 * 2**20
BATCH_SECONDS = 3.0
MOST_REJECTIONS = 10_000
MOST_WARNINGS = 100
LONGEST_RAW = 4000
REPEATED = re.compile(r" \(\d+ times\)$")

Watch = Callable[[Import], None]


@dataclass
class Batch:
    """Records that were read and not written yet."""

    attempts: list[Attempt] = field(default_factory=list)
    rejections: list[ImportRejection] = field(default_factory=list)
    characters: int = 0
    begun: float = field(default_factory=time.monotonic)

    @property
    def is_full(self) -> bool:
        return (
            len(self.attempts) + len(self.rejections) >= BATCH_RECORDS
            or self.characters >= BATCH_CHARACTERS
            or time.monotonic() - self.begun >= BATCH_SECONDS
        )


@dataclass
class Report:
    """What one reading of the file has found so far."""

    imported: int
    parsed: int = 0
    rejected: int = 0
    cut_off: str = ""
    task_ids: set[int] = field(default_factory=set)
    warnings: Counter[str] = field(default_factory=Counter)
    first_records: dict[str, int | None] = field(default_factory=dict)

    def warn(self, text: str, record_index: int | None, *, times: int = 1) -> None:
        text = clean_text(REPEATED.sub("", text))[0]
        self.warnings[text] += times
        self.first_records.setdefault(text, record_index)

    def as_fields(self) -> dict[str, Any]:
        """Fields of Import. What was read and is not ours was there before, or stood in the file twice."""
        warnings = [
            {"text": text, "count": count, "first": self.first_records[text]}
            for text, count in self.warnings.most_common(MOST_WARNINGS)
        ]
        return {
            "imported": self.imported,
            "unchanged": max(0, self.parsed - self.imported),
            "rejected": self.rejected,
            "warnings": warnings,
        }


def run_import(pk: int, *, watch: Watch | None = None) -> None:
    """Read the file of a queued import to its end. Does nothing where another worker has it, or it has ended.

    `watch` is called after each batch.
    """
    job = claim_job(Import, pk)
    if job is None:
        return
    report = Report(imported=count_imported(job))
    try:
        with default_storage.open(job.file_path, "rb") as file:
            for batch in read_batches(job, file, report):
                write(job, batch, report)
                beat_job(job, progress=min(file.tell(), job.file_size), stage="importing", **report.as_fields())
                if watch:
                    watch(job)
        finish_import(job, report)
    except JobLost:
        logger.warning("import %s is another worker's now", pk)
        return
    except JobStopped:
        kept = f"{count_imported(job):,} trajectories that had been imported by then are kept."
        end_job(job, JobState.STOPPED, stage="stopped", advice=f"{kept} Continue to import the rest.")
    except Exception as error:
        logger.exception("import %s failed", pk)
        advice = "What had been imported by then is kept. Continue to try again from there."
        end_job(job, JobState.FAILED, stage="", error=clean_text(f"{type(error).__name__}: {error}")[0], advice=advice)
    if watch:
        watch(job)


def count_imported(job: Import) -> int:
    """Trajectories that this import brought, in however many goes."""
    return Trajectory.objects.filter(origin=job).count()


def read_batches(job: Import, file: File[Any], report: Report) -> Iterator[Batch]:
    """The file's records, parsed, in batches; at least one batch, which may be empty."""
    context = ImportContext(filename=job.file_name, model=job.model or None, file_sha256=job.file_sha256)
    threshold = job.project.success_threshold
    batch = Batch()
    for record in get_format(job.format).parse(cast("BinaryIO", file), context):
        if isinstance(record, Rejected):
            reject(job, batch, report, record_index=record.record_index, reason=record.reason, raw=record.raw)
            report.cut_off = record.reason if record.fatal else report.cut_off
        else:
            _add_parsed(job, batch, report, record=record, threshold=threshold)
        if batch.is_full:
            yield batch
            batch = Batch()
    yield batch


def reject(job: Import, batch: Batch, report: Report, *, record_index: int, reason: str, raw: str) -> None:
    """Count a record that cannot be imported; the first ones are kept to be looked at."""
    report.rejected += 1
    if report.rejected <= MOST_REJECTIONS:
        reason, raw = clean_text(reason)[0], clean_text(raw)[0][:LONGEST_RAW]
        batch.rejections.append(ImportRejection(origin=job, record_index=record_index, reason=reason, raw=raw))


def write(job: Import, batch: Batch, report: Report) -> None:
    if batch.attempts:
        written = write_batch(job, batch.attempts)
        report.parsed += len(batch.attempts) - len(written.refused)
        report.imported += written.imported
        report.task_ids |= written.task_ids
        for attempt, reason in written.refused:
            reject(job, batch, report, record_index=attempt.record_index, reason=reason, raw=attempt.document)
        update_difficulty(job.project, written.task_ids)
    ImportRejection.objects.bulk_create(batch.rejections, ignore_conflicts=True)


def finish_import(job: Import, report: Report) -> None:
    """End the import with counts that hold, whoever else worked on it in between."""
    keys = find_shared_keys(job, list(report.task_ids))
    if keys:
        some = ", ".join(keys[:10]) + (", …" if len(keys) > 10 else "")
        report.warn(
            f"a task key that stands for another text as well, kept as a task of its own: {some}", None, times=len(keys)
        )
    report.imported = count_imported(job)
    if report.cut_off:
        advice = "What came before it is imported. Mend the file and import it again: only what is new is added."
        end_job(
            job, JobState.FAILED, stage="", error=clean_text(report.cut_off)[0], advice=advice, **report.as_fields()
        )
    else:
        end_job(job, JobState.DONE, stage="", progress=job.file_size, **report.as_fields())
    job.refresh_from_db()


def _add_parsed(job: Import, batch: Batch, report: Report, *, record: Parsed, threshold: float) -> None:
    try:
        attempt = build_attempt(record, success_threshold=threshold)
    except ValueError as error:
        reject(job, batch, report, record_index=record.record_index, reason=f"it cannot be stored: {error}", raw="")
        return
    for text in record.warnings:
        report.warn(text, record.record_index)
    batch.attempts.append(attempt)
    batch.characters += len(attempt.document)
