"""Running an import: its file read record by record, written batch by batch.

The file is read from its start whenever a worker takes the import up. What is there already stays as it is, so an
import whose worker was killed, or that was stopped, simply goes on.
"""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from django.core.files.storage import default_storage
from django.db.models import Exists, OuterRef

from curation.formats.base import LONGEST_RAW, ImportContext, ParsedPair, Rejected
from curation.formats.cleaning import clean_text
from curation.formats.document import Document
from curation.formats.media import Media, extract_media
from curation.formats.redaction import Redactor
from curation.formats.sources import LeftOut, Located, Source
from curation.models import DifficultyFit, Import, ImportRejection, JobState, PreferencePair, Task, Trajectory
from curation.services.blobs import store_media
from curation.services.difficulty import update_difficulty
from curation.services.difficulty_fits import queue_fit
from curation.services.import_batches import Attempt, Place, build_attempt, find_shared_keys, write_batch
from curation.services.import_files import release_file
from curation.services.import_pairs import PairOfAttempts, pair_attempts, write_pairs
from curation.services.imports import find_chosen, open_folder
from curation.services.jobs import JobLost, JobStopped, beat_job, claim_job, end_job

logger = logging.getLogger(__name__)

BATCH_RECORDS = 500
BATCH_CHARACTERS = 16 * 2**20
BATCH_SECONDS = 3.0
MOST_REJECTIONS = 10_000
MOST_WARNINGS = 100
MOST_RAW = 64 * 2**20
"""Characters of rejected records that one import keeps for download; of the others it keeps the beginning."""
SHORT_RAW = 500
REPEATED = re.compile(r" \(\d+ times\)$")

Watch = Callable[[Import], None]


@dataclass
class Batch:
    """Records that were read and not written yet, what was odd about them, and how much of the source was read."""

    attempts: list[Attempt] = field(default_factory=list)
    pairs: list[PairOfAttempts] = field(default_factory=list)
    media: list[Media] = field(default_factory=list)
    rejected: list[tuple[Place, str, str]] = field(default_factory=list)
    warnings: list[tuple[str, Place]] = field(default_factory=list)
    redactions: Counter[str] = field(default_factory=Counter)
    cut_off: str = ""
    characters: int = 0
    share: float = 0.0
    begun: float = field(default_factory=time.monotonic)

    @property
    def is_full(self) -> bool:
        return (
            len(self.attempts) + len(self.rejected) >= BATCH_RECORDS
            or self.characters >= BATCH_CHARACTERS
            or time.monotonic() - self.begun >= BATCH_SECONDS
        )


@dataclass
class Report:
    """What one reading of the source has found so far, in the batches that were written."""

    imported: int
    parsed: int = 0
    rejected: int = 0
    cut_off: str = ""
    raw_kept: int = 0
    task_ids: set[int] = field(default_factory=set)
    warnings: Counter[str] = field(default_factory=Counter)
    first_places: dict[str, Place | None] = field(default_factory=dict)
    redactions: Counter[str] = field(default_factory=Counter)

    def warn(self, text: str, place: Place | None, *, times: int = 1) -> None:
        text = clean_text(REPEATED.sub("", text))[0]
        self.warnings[text] += times
        self.first_places.setdefault(text, place)

    def as_fields(self) -> dict[str, Any]:
        """Fields of Import. What was read and is not ours was there before, or stood in the file twice."""
        warnings = []
        for text, count in self.warnings.most_common(MOST_WARNINGS):
            place = self.first_places[text]
            where = {"first": place.record_index, "member": place.member} if place else {"first": None, "member": ""}
            warnings.append({"text": text, "count": count, **where})
        return {
            "imported": self.imported,
            "unchanged": max(0, self.parsed - self.imported),
            "rejected": self.rejected,
            "warnings": warnings,
            "redactions": dict(self.redactions),
        }


def run_import(pk: int, *, watch: Watch | None = None) -> DifficultyFit | None:
    """Read the file of a queued import to its end. Does nothing where another worker has it, or it has ended.

    `watch` is called after each batch. Returns the fit of difficulties that waits for a worker where attempts arrived.
    """
    job = claim_job(Import, pk)
    if job is None:
        return None
    report = Report(imported=count_imported(job))
    try:
        with open_source(job) as (source, position):
            for batch in read_ahead(read_batches(job, source, position)):
                write(job, batch, report)
                progress = min(int(batch.share * job.file_size), job.file_size)
                beat_job(job, progress=progress, stage="importing", **report.as_fields())
                if watch:
                    watch(job)
        finish_import(job, report)
    except JobLost:
        logger.warning("import %s is another worker's now", pk)
        return None
    except JobStopped:
        kept = f"{count_imported(job):,} trajectories that had been imported by then are kept."
        end_job(job, JobState.STOPPED, stage="stopped", advice=f"{kept} Continue to import the rest.")
    except Exception as error:
        logger.exception("import %s failed", pk)
        advice = "What had been imported by then is kept. Continue to try again from there."
        end_job(job, JobState.FAILED, stage="", error=clean_text(f"{type(error).__name__}: {error}")[0], advice=advice)
    if watch:
        watch(job)
    return queue_fit(job.project, job.created_by) if report.imported else None


def count_imported(job: Import) -> int:
    """Trajectories that this import brought, in however many goes."""
    return Trajectory.objects.filter(origin=job).count()


@contextmanager
def open_source(job: Import) -> Iterator[tuple[Source, Callable[[], int]]]:
    """What the import reads, and a function that says how many bytes of its file were read."""
    context = ImportContext(filename=job.file_name, model=job.model or None, file_sha256=job.file_sha256)
    chosen = find_chosen(job.format, job.mapping)
    if job.folder:
        yield Source(open_folder(job.folder), context, chosen=chosen), lambda: 0
        return
    with default_storage.open(job.file_path, "rb") as file:
        yield Source(cast("BinaryIO", file), context, chosen=chosen), file.tell


def read_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, each parsed by a thread while the database takes the one before."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def read_batches(job: Import, source: Source, position: Callable[[], int]) -> Iterator[Batch]:
    """The records, parsed, in batches; at least one batch, which may be empty. Reading them asks no database."""
    return _fill(_Reader(redact=job.redact, threshold=job.project.success_threshold), source, position, job.file_size)


def _fill(reader: _Reader, source: Source, position: Callable[[], int], size: int) -> Iterator[Batch]:
    for _ in map(reader.read, source.read()):  # no name for what is read: one document may be a hundred megabytes
        if reader.batch.is_full:
            reader.batch.share = source.share(position(), size)
            yield reader.batch
            reader.batch = Batch()
    reader.batch.share = 1.0
    yield reader.batch


def write(job: Import, batch: Batch, report: Report) -> None:
    """Store a batch, and take what was odd about it into the report."""
    for text, place in batch.warnings:
        report.warn(text, place)
    report.cut_off = batch.cut_off or report.cut_off
    report.redactions += batch.redactions
    store_media(job.project_id, batch.media)
    if batch.attempts:
        written = write_batch(job, batch.attempts)
        report.parsed += len(batch.attempts) - len(written.refused)
        report.imported += written.imported
        report.task_ids |= written.task_ids
        batch.rejected += [(attempt.place, reason, attempt.document.decode()) for attempt, reason in written.refused]
        write_pairs(job, batch.pairs)
        update_difficulty(job.project, written.task_ids)
    _write_rejections(job, batch, report)


def _write_rejections(job: Import, batch: Batch, report: Report) -> None:
    """Count the records that cannot be imported; the first ones are kept to be looked at and mended."""
    rows = []
    for place, reason, raw in batch.rejected:
        report.rejected += 1
        if report.rejected > MOST_REJECTIONS:
            continue
        raw = raw[: LONGEST_RAW if report.raw_kept < MOST_RAW else SHORT_RAW]
        report.raw_kept += len(raw)
        rows.append(
            ImportRejection(
                origin=job,
                member=clean_text(place.member)[0][:1000],
                record_index=place.record_index,
                reason=clean_text(reason)[0],
                raw=raw,
            )
        )
    ImportRejection.objects.bulk_create(rows, ignore_conflicts=True)


def finish_import(job: Import, report: Report) -> None:
    """End the import with counts that hold, whoever else worked on it in between."""
    keys = find_shared_keys(job, list(report.task_ids))
    if keys:
        some = ", ".join(keys[:10]) + (", …" if len(keys) > 10 else "")
        report.warn(
            f"a task key that stands for another text as well, kept as a task of its own: {some}", None, times=len(keys)
        )
    report.imported = count_imported(job)
    tasks = Task.objects.filter(pk__in=report.task_ids)
    others = Trajectory.objects.filter(task=OuterRef("pk")).exclude(origin=job)
    fields = report.as_fields() | {
        "tasks": len(report.task_ids),
        "known_tasks": tasks.filter(Exists(others)).count(),
        "pairs": PreferencePair.objects.filter(chosen__trajectory__origin=job, origin="imported").count(),
    }
    if report.cut_off:
        advice = "What came before it is imported. Mend the file and import it again: only what is new is added."
        end_job(job, JobState.FAILED, stage="", error=clean_text(report.cut_off)[0], advice=advice, **fields)
    else:
        end_job(job, JobState.DONE, stage="", progress=job.file_size, **fields)
        if job.file_path:
            release_file(job)
    job.refresh_from_db()


class _Reader:
    """Turns what was found into what is stored."""

    def __init__(self, *, redact: Sequence[str], threshold: float) -> None:
        self.batch = Batch()
        self._threshold = threshold
        self._redactor = Redactor(redact) if redact else None

    def read(self, located: Located) -> None:
        found = located.found
        if isinstance(found, LeftOut):
            self.batch.warnings.append(("a file that holds no records was left out", Place(0, located.member)))
            return
        place = Place(found.record_index, located.member)
        if isinstance(found, Rejected):
            reason = self._redact(found.reason)
            self.batch.cut_off = reason if found.fatal else self.batch.cut_off
            self.batch.rejected.append((place, reason, self._redact(found.raw)))
            self.batch.characters += len(found.raw)
            return
        documents = [found.chosen, found.rejected] if isinstance(found, ParsedPair) else [found.document]
        try:
            attempts = [self._build(place, document) for document in documents]
            if isinstance(found, ParsedPair):
                self.batch.pairs.append(pair_attempts(found, attempts))
        except ValueError as error:
            self.batch.rejected.append((place, self._redact(f"it cannot be stored: {error}"), ""))
            return
        self.batch.warnings += [(self._redact(text), place) for text in found.warnings]
        self.batch.attempts += attempts
        self.batch.characters += sum(len(attempt.document) for attempt in attempts)

    def _redact(self, text: str) -> str:
        """What quotes a record."""
        return self._redactor.redact_text(text) if self._redactor else text

    def _build(self, place: Place, document: Document) -> Attempt:
        if self._redactor:
            document, counts = self._redactor.redact(document)
            self.batch.redactions += counts
        media = extract_media(document)
        self.batch.media += media
        self.batch.characters += sum(len(item.data) for item in media)
        return build_attempt(document, place, success_threshold=self._threshold)
