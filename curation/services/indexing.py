"""The full-text and near-duplicate index: what the newest revisions say, and which of them repeat each other.

A trajectory repeats the oldest one with the same steps; else the older one that it is most alike, of those that repeat
none themselves. Only these have bands, so that a thousand repetitions of one trajectory cost no more than one. Whatever
changes what others rest on (a correction, an older trajectory that is indexed later) leaves them to be indexed anew;
`Trajectory.indexed_number` alone says what is left to do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta

from django.contrib.postgres.search import SearchVector
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Now
from psycopg.errors import ProgramLimitExceeded

from curation.formats.cleaning import clean_text
from curation.formats.document import Document
from curation.measures import Measures, measure_document
from curation.models import ACTIVE_STATES, Import, Indexing, JobState, Project, Revision, Trajectory, TrajectoryIndex
from curation.services.jobs import JobLost, JobStopped, beat_job, claim_job, end_job
from curation.similarity import THRESHOLD, estimate_similarity, hash_steps, list_bands, sign_steps, step_texts

logger = logging.getLogger(__name__)

BATCH_TRAJECTORIES = 100
BATCH_CHARACTERS = 8 * 2**20
BEAT_SECONDS = 3.0
MOST_WORDS = 1_000_000
"""Characters of a trajectory that are searched. PostgreSQL holds 1 MB of words and places; less is kept where more
would not fit."""
RETRY_AFTER = timedelta(minutes=10)
LEFT = ~Q(indexed_number=F("head_number")) | Q(indexed_number=None)

Watch = Callable[[Indexing], object]


@dataclass(frozen=True)
class Entry:
    """What a revision comes to in the index, and what is counted in it."""

    pk: int
    number: int
    words: str
    steps_hash: str
    signature: bytes
    bands: list[int]
    measures: Measures


@dataclass(frozen=True)
class _Likeness:
    """The trajectory that an entry repeats, if any, and those that were settled without regard to it."""

    target: int | None
    similarity: float | None
    unsettled: set[int]


def queue_indexing(project_id: int) -> Indexing | None:
    """A job for what is not in the index yet; None where there is nothing, or a job that has not ended."""
    if not find_left(project_id).exists():
        return None
    try:
        with transaction.atomic():
            Indexing.objects.filter(project_id=project_id, state=JobState.DONE).delete()
            return Indexing.objects.create(project_id=project_id, sent_at=Now())
    except IntegrityError:
        return None


def queue_forgotten() -> list[int]:
    """Queue jobs for the projects in which something is left that nobody works on; their ids.

    Not while an import runs, which starts one when it ends; nor soon after one failed, or where one was stopped.
    """
    importing = Import.objects.filter(project=OuterRef("pk"), state=JobState.RUNNING)
    left = Trajectory.objects.filter(LEFT, project=OuterRef("pk"))
    newest = Indexing.objects.filter(project=OuterRef("pk")).order_by("-pk")
    projects = Project.objects.filter(Exists(left), ~Exists(importing)).annotate(
        state=Subquery(newest.values("state")[:1]), ended=Subquery(newest.values("finished_at")[:1])
    )
    waiting = Q(state__in=[*ACTIVE_STATES, JobState.STOPPED]) | Q(state=JobState.FAILED, ended__gt=Now() - RETRY_AFTER)
    forgotten = projects.exclude(Q(state__isnull=False) & waiting).values_list("pk", flat=True)
    return [job.pk for project in forgotten if (job := queue_indexing(project))]


def find_left(project_id: int) -> QuerySet[Trajectory]:
    """The trajectories of a project whose newest revision is not in the index."""
    return Trajectory.objects.filter(LEFT, project_id=project_id)


def leave_to_index(trajectories: QuerySet[Trajectory]) -> None:
    """Forget what these trajectories repeat; they are indexed anew."""
    trajectories.update(indexed_number=None, duplicate_of=None, similarity=None)


def run_indexing(pk: int, *, watch: Watch | None = None) -> None:
    """Index what is left in the job's project. Does nothing where another worker has the job, or it has ended.

    `watch` is called after each batch.
    """
    job = claim_job(Indexing, pk)
    if job is None:
        return
    try:
        done = _Run(job, watch).run()
        end_job(job, JobState.DONE, stage="", progress=done)
    except JobLost:
        logger.warning("indexing %s is another worker's now", pk)
    except JobStopped:
        end_job(job, JobState.STOPPED, stage="stopped", advice="The next import or correction goes on with the rest.")
    except Exception as error:
        logger.exception("indexing %s failed", pk)
        advice = "What was indexed by then stays. It is tried again in some minutes."
        end_job(job, JobState.FAILED, stage="", error=clean_text(f"{type(error).__name__}: {error}")[0], advice=advice)


class _Run:
    def __init__(self, job: Indexing, watch: Watch | None) -> None:
        self._job = job
        self._watch = watch
        self._done = 0
        self._beaten = time.monotonic()

    def run(self) -> int:
        """Pass after pass from the oldest on, until nothing is left, or only what others hold just now."""
        left = find_left(self._job.project_id)
        beat_job(self._job, progress=0, progress_total=left.count(), stage="indexing")
        before = -1
        while before < self._done:
            before, after = self._done, 0
            while batch := _choose_batch(left, after):
                self._write([entry for pk in batch if (entry := self._read(pk))])
                after = batch[-1]
                if self._watch:
                    self._watch(self._job)
        return self._done

    def _read(self, pk: int) -> Entry | None:
        if time.monotonic() - self._beaten >= BEAT_SECONDS:
            self._beat()
        return _read_entry(pk, project=self._job.project_id)

    def _write(self, entries: list[Entry]) -> None:
        with transaction.atomic():
            self._beat()  # holds the job's row: whoever lost the job writes nothing
            done = sum(_settle(entry, project=self._job.project_id) for entry in entries)
        self._done += done

    def _beat(self) -> None:
        beat_job(self._job, progress=self._done)
        self._beaten = time.monotonic()


def _choose_batch(left: QuerySet[Trajectory], after: int) -> list[int]:
    chosen: list[int] = []
    characters = 0
    rows = left.filter(pk__gt=after).order_by("pk").values_list("pk", "character_count")
    for pk, count in rows[:BATCH_TRAJECTORIES]:
        if chosen and characters + count > BATCH_CHARACTERS:
            break
        chosen.append(pk)
        characters += count
    return chosen


def _read_entry(pk: int, *, project: int) -> Entry | None:
    """None where the trajectory is gone."""
    head = Revision.objects.filter(trajectory=pk, number=F("trajectory__head_number")).first()
    if head is None:
        return None
    document = Document.model_validate(head.document)
    signature = sign_steps(document)
    return Entry(
        pk=pk,
        number=head.number,
        words=_gather_words(document),
        steps_hash=hash_steps(document),
        signature=signature,
        bands=list_bands(signature, project=project),
        measures=measure_document(document),
    )


def _gather_words(document: Document) -> str:
    pieces, room = [document.task.instruction[:MOST_WORDS]], MOST_WORDS - len(document.task.instruction)
    for text in _texts(document):
        if room <= 0:
            break
        pieces.append(text[:room])
        room -= len(text)
    return "\n".join(pieces)


def _texts(document: Document) -> Iterator[str]:
    for step in document.steps:
        yield from step_texts(step)


def _settle(entry: Entry, *, project: int) -> bool:
    """Write what an entry comes to. False where somebody holds a row that it needs, or corrected the trajectory: it is
    left for later, since whoever never waits waits in no circle."""
    known = TrajectoryIndex.objects.filter(pk=entry.pk).values_list("steps_hash", "signature", "bands").first()
    likeness = _find_likeness(entry, project=project)
    unsettled = likeness.unsettled
    changed = known is not None and (known[0], bytes(known[1])) != (entry.steps_hash, entry.signature)
    if known is not None and (changed or (known[2] and likeness.target)):
        unsettled |= set(Trajectory.objects.filter(duplicate_of=entry.pk).values_list("pk", flat=True))
    target = {likeness.target} if likeness.target else set()
    if not _hold({entry.pk} | target | unsettled):
        return False
    moved = Trajectory.objects.filter(pk=entry.pk, head_number=entry.number).update(
        indexed_number=entry.number,
        duplicate_of=likeness.target,
        similarity=likeness.similarity,
        **asdict(entry.measures),
    )
    if not moved:
        return False
    leave_to_index(Trajectory.objects.filter(pk__in=unsettled))
    _write_index(entry, bands=[] if likeness.target else entry.bands)
    return True


def _hold(pks: Collection[int]) -> bool:
    """Lock these trajectories unless somebody else holds one of them, or one is gone."""
    rows = Trajectory.objects.filter(pk__in=pks).order_by("pk").select_for_update(skip_locked=True, no_key=True)
    return len(rows.values_list("pk")) == len(pks)


def _find_likeness(entry: Entry, *, project: int) -> _Likeness:
    others = TrajectoryIndex.objects.exclude(pk=entry.pk)
    same = others.filter(steps_hash=entry.steps_hash, trajectory__project=project)
    oldest = same.filter(pk__lt=entry.pk).order_by("pk").values_list("pk", flat=True).first()
    if oldest is not None:
        return _Likeness(oldest, 1.0, set())
    later = set(same.exclude(trajectory__duplicate_of=entry.pk).values_list("pk", flat=True))
    alike = _find_alike(entry)
    older = [(similarity, -pk) for pk, similarity in alike.items() if pk < entry.pk]
    if not older:
        return _Likeness(None, None, later | alike.keys())
    similarity, negated = max(older)
    return _Likeness(-negated, similarity, later)


def _find_alike(entry: Entry) -> dict[int, float]:
    """How similar the trajectories are that nearly repeat the entry, or it them, and repeat none themselves."""
    if not entry.bands:
        return {}
    # A band is a hash of the project, too: no other project's trajectories are found.
    found = TrajectoryIndex.objects.filter(bands__overlap=entry.bands).exclude(pk=entry.pk)
    similarities = {
        pk: estimate_similarity(entry.signature, bytes(signature))
        for pk, signature in found.values_list("pk", "signature")
    }
    return {pk: similarity for pk, similarity in similarities.items() if similarity >= THRESHOLD}


def _write_index(entry: Entry, *, bands: list[int]) -> None:
    """The words that fit: half of them, and half of that, where PostgreSQL cannot hold all."""
    words = entry.words
    while True:
        vector = SearchVector(Value(words), config=TrajectoryIndex.CONFIGURATION)
        row = TrajectoryIndex(
            trajectory_id=entry.pk,
            words=vector,
            steps_hash=entry.steps_hash,
            signature=entry.signature,
            bands=bands,
        )
        try:
            with transaction.atomic():
                TrajectoryIndex.objects.bulk_create(
                    [row],
                    update_conflicts=True,
                    unique_fields=["trajectory"],
                    update_fields=["words", "steps_hash", "signature", "bands"],
                )
            return
        except OperationalError as error:
            if not isinstance(error.__cause__, ProgramLimitExceeded):
                raise
            words = words[: len(words) // 2]
