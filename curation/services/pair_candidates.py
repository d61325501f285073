"""Which two attempts of a task are worth comparing, best first, for each reason there is to propose a pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from django.db.models import F
from django.db.models.fields.json import KT

from curation.formats.document import Document
from curation.models import PreferencePair, Revision, StepLabel, Task, Trajectory
from curation.revisions import shared_prefix

Origin = PreferencePair.Origin

ATTEMPTS_AT_ONCE = 20
"""Attempts of each kind that are compared at one task: its documents are held in memory together."""

CHARACTERS_AT_ONCE = 64 * 2**20
"""Characters of their conversations, all in all; attempts beyond that are left out."""


@dataclass(frozen=True)
class Candidate:
    """Two revisions that may make a pair."""

    origin: str
    chosen_id: int
    rejected_id: int

    @property
    def step_only(self) -> bool:
        return self.origin == Origin.STEP

    @property
    def key(self) -> tuple[frozenset[int], bool]:
        """What makes a pair the same, whichever side is chosen."""
        return frozenset((self.chosen_id, self.rejected_id)), self.step_only


@dataclass
class Documents:
    """The documents of one task that were asked for so far, by revision id. `pulse` is called before each reading."""

    pulse: Callable[[], None] = lambda: None
    _read: dict[int, Document] = field(default_factory=dict)

    def read(self, pk: int) -> Document:
        if pk not in self._read:
            self.pulse()
            self.keep([Revision.objects.get(pk=pk)])
        return self._read[pk]

    def keep(self, revisions: Iterable[Revision]) -> None:
        for revision in revisions:
            self._read[revision.pk] = Document.model_validate(revision.document)


@dataclass(frozen=True)
class _Attempt:
    """An attempt as it was recorded: the outcome is that of revision 0."""

    revision_id: int
    model: str
    trial: int | None
    reward: float | None
    success: bool | None
    seed: str | None = None


def find_candidates(
    task: Task, origins: Sequence[str], between: Sequence[str], documents: Documents
) -> Iterator[Candidate]:
    """Candidates of each origin in turn, each origin's best first; those of a pair that exists are among them."""
    attempts = _list_attempts(task, with_seeds=Origin.MODELS in origins)
    ways = {
        Origin.OUTCOME: lambda: _by_outcome(attempts, documents),
        Origin.CORRECTION: lambda: _by_correction(task),
        Origin.STEP: lambda: _by_step(task, documents),
        Origin.REWARD: lambda: _by_reward(attempts),
        Origin.MODELS: lambda: _by_models(attempts, between),
    }
    going = [ways[Origin(origin)]() for origin in origins]
    while going:
        for way in list(going):
            candidate = next(way, None)
            if candidate is None:
                going.remove(way)
            else:
                yield candidate


def _list_attempts(task: Task, *, with_seeds: bool) -> list[_Attempt]:
    """Attempts that may be in a pair, in the order of their import: none that crashed, no success that was rejected.

    The seed is cut out of the document inside the database, and only where it is asked for.
    """
    recorded = Revision.objects.filter(trajectory__task=task, trajectory__project=task.project_id, number=0)
    recorded = recorded.exclude(trajectory__completion=Trajectory.Completion.CRASHED)
    recorded = recorded.exclude(trajectory__success=True, trajectory__status=Trajectory.Status.REJECTED)
    columns = [f"trajectory__{name}" for name in ("model", "trial", "reward", "success", "character_count")]
    if with_seeds:
        recorded = recorded.annotate(seed=KT("document__trial__seed"))
        columns.append("seed")
    kept: list[_Attempt] = []
    characters = 0
    for pk, model, trial, reward, success, size, *seed in recorded.order_by("trajectory").values_list("pk", *columns):
        characters += size
        if characters <= CHARACTERS_AT_ONCE or len(kept) < 2:
            kept.append(_Attempt(pk, model, trial, reward, success, *seed))
    return kept


def _by_outcome(attempts: Sequence[_Attempt], documents: Documents) -> Iterator[Candidate]:
    """A success over a failure, the longest shared beginning first."""
    winners = [attempt.revision_id for attempt in attempts if attempt.success is True][:ATTEMPTS_AT_ONCE]
    losers = [attempt.revision_id for attempt in attempts if attempt.success is False][:ATTEMPTS_AT_ONCE]
    ranked = sorted(
        (-shared_prefix(documents.read(winner), documents.read(loser)), winner, loser)
        for winner, loser in product(winners, losers)
    )
    for _, winner, loser in ranked:
        yield Candidate(Origin.OUTCOME, winner, loser)


def _by_correction(task: Task) -> Iterator[Candidate]:
    for newest, recorded in _list_corrections(task):
        yield Candidate(Origin.CORRECTION, newest, recorded)


def _by_step(task: Task, documents: Documents) -> Iterator[Candidate]:
    """The turn in which a correction first differs, over the recorded one.

    First those that are cut where a reviewer marked the first error. Where the mark is at another step, or there is
    none, the pair is cut at the first difference all the same: a pair has to share everything before.
    """
    corrections = _list_corrections(task)
    marked = StepLabel.objects.filter(first_error=True, review__submitted_at__isnull=False)
    marked = marked.filter(review__trajectory__revisions__in=[recorded for _, recorded in corrections])
    marks = set(marked.values_list("review__trajectory__revisions", "step_id"))

    def is_unmarked(ends: tuple[int, int]) -> bool:
        newest, recorded = map(documents.read, ends)
        return (ends[1], shared_prefix(newest, recorded) + 1) not in marks

    for newest, recorded in sorted(corrections, key=is_unmarked) if marks else corrections:
        yield Candidate(Origin.STEP, newest, recorded)


def _list_corrections(task: Task) -> list[tuple[int, int]]:
    """The newest and the recorded revision of each failed attempt that was corrected."""
    failed = Revision.objects.filter(trajectory__task=task, trajectory__project=task.project_id)
    failed = failed.filter(trajectory__success=False, trajectory__head_number__gt=0).order_by("trajectory")
    newest = failed.filter(number=F("trajectory__head_number")).values_list("trajectory", "pk")
    recorded = dict(failed.filter(number=0).values_list("trajectory", "pk"))
    return [(pk, recorded[trajectory]) for trajectory, pk in newest[:ATTEMPTS_AT_ONCE]]


def _by_reward(attempts: Sequence[_Attempt]) -> Iterator[Candidate]:
    """A higher reward over a lower one where both succeeded, both failed or neither says, the largest gap first."""
    ranked = []
    for success in (True, False, None):
        alike = sorted((a.reward, a.revision_id) for a in attempts if a.success is success and a.reward is not None)
        for (low, loser), (high, winner) in product(alike[:ATTEMPTS_AT_ONCE], alike[-ATTEMPTS_AT_ONCE:]):
            if high > low:
                ranked.append((low - high, winner, loser))
    for _, winner, loser in sorted(ranked):
        yield Candidate(Origin.REWARD, winner, loser)


def _by_models(attempts: Sequence[_Attempt], between: Sequence[str]) -> Iterator[Candidate]:
    """Two models at the same seed, or where neither attempt has one, at the same trial.

    Until somebody judges, the better outcome or reward is the chosen side, and among equals the first model's.
    """
    ours, theirs = ([a for a in attempts if a.model == name][:ATTEMPTS_AT_ONCE] for name in between)
    for one, other in product(ours, theirs):
        recorded = one.seed is not None or other.seed is not None
        same = one.seed == other.seed if recorded else one.trial == other.trial is not None
        if same:
            better, worse = (other, one) if _rank(other) > _rank(one) else (one, other)
            yield Candidate(Origin.MODELS, better.revision_id, worse.revision_id)


def _rank(attempt: _Attempt) -> tuple[float, float]:
    success = {True: 1.0, None: 0.5, False: 0.0}[attempt.success]
    return success, attempt.reward if attempt.reward is not None else 0.0
