"""What there is to choose from: trajectories or pairs as narrow tuples, put through the parts of a filter.

The database says of each row which parts it passes; the first that it fails is why it is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import BooleanField, Case, Exists, F, Max, OuterRef, Q, Value, When
from django.db.models.functions import Coalesce, NullIf

from curation.models import Decision, PreferencePair, Project, Review, Trajectory
from curation.recipe import KTODatasetRecipe, PairRecipe, TrajectoryRecipe
from curation.rule_stages import list_parts, reason_of, stage_of
from curation.rules import Rule, StatusRule
from curation.selection import CHARACTERS_PER_TOKEN, Candidate, LeftOutRow
from curation.selectors.rules import match_rule

ROWS_AT_ONCE = 5000
CHARACTERS = Coalesce(NullIf(F("agent_character_count"), 0), F("character_count"))
"""The agent's own characters stand for the tokens that bear loss; all do where they were not counted yet."""

Status = PreferencePair.Status
UNUSABLE_PAIRS: dict[str, str] = {
    Status.PROPOSED: "not judged yet",
    Status.TIE: "judged about equal",
    Status.BOTH_BAD: "both sides judged bad",
}


class TaskFacts(NamedTuple):
    key: str
    fingerprint: str
    band: int | None
    p: float | None


@dataclass
class Scan:
    """What passed, what did not, and the last stage that each task's tokens reached: stage to task to tokens."""

    candidates: list[Candidate] = field(default_factory=list)
    instruction: list[Candidate] = field(default_factory=list)
    left_out_rows: list[LeftOutRow] = field(default_factory=list)
    reached: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))


class _Parts:
    """The parts of a filter in the order in which they are applied."""

    def __init__(self, where: Rule, *, always: Sequence[str] = ()) -> None:
        self.parts = list_parts(where)
        self.stages: list[str] = [stage_of(part) for part in self.parts]
        self.reasons = [reason_of(part) for part in self.parts]
        self.by_status = [isinstance(part, StatusRule) for part in self.parts]
        used = {*self.stages, *always}
        self.order = ["collected", *(stage for stage in ("rule", "success", "model", "human") if stage in used)]
        self.before = dict(zip(self.order[1:], self.order[:-1], strict=True))

    def first_failed(self, passed: Sequence[bool]) -> int | None:
        return passed.index(False) if False in passed else None


def list_stages(recipe: TrajectoryRecipe | PairRecipe) -> list[str]:
    """The names of the stages up to the dataset's own."""
    return _Parts(recipe.where, always=_human_stage(recipe)).order


def _human_stage(recipe: TrajectoryRecipe | PairRecipe) -> Sequence[str]:
    judged = isinstance(recipe, KTODatasetRecipe | PairRecipe) or recipe.revisions != "latest"
    return ["human"] if judged else []


def scan_trajectories(project: Project, recipe: TrajectoryRecipe, tasks: dict[int, TaskFacts]) -> Scan:
    parts = _Parts(recipe.where, always=_human_stage(recipe))
    accepted = _find_accepted(project) if recipe.revisions == "accepted" else {}
    flags = {f"part_{number}": _flag(match_rule(part)) for number, part in enumerate(parts.parts)}
    rows = Trajectory.objects.filter(project=project).order_by("pk").annotate(characters=CHARACTERS, **flags)
    scan = Scan()
    for pk, task, status, success, source, completion, head, duplicate_of, characters, *passed in rows.values_list(
        "pk", "task_id", "status", "success", "source", "completion", "head_number", "duplicate_of_id", "characters",
        *flags,
    ).iterator(ROWS_AT_ONCE):  # fmt: skip
        key, fingerprint, band, _ = tasks[task]
        tokens = characters / CHARACTERS_PER_TOKEN
        candidate = Candidate(
            task_id=task,
            task=key,
            fingerprint=fingerprint,
            band=band,
            tokens=tokens,
            first=int(success is True),
            trajectory_id=pk,
            duplicate_of=duplicate_of,
        )
        if source == Trajectory.Source.INSTRUCTION:
            candidate.band, candidate.instruction = None, True
            if status == Trajectory.Status.REJECTED:
                row = LeftOutRow(pk, None, task, None, tokens, "human", "general instruction data that was rejected")
                scan.left_out_rows.append(row)
            else:
                scan.instruction.append(candidate)
            continue
        failed = parts.first_failed(passed)
        if failed is not None:
            stage, reason = parts.stages[failed], parts.reasons[failed]
            if parts.by_status[failed]:
                reason = f"review status: {Trajectory.Status(status).label.lower()}"
        else:
            stage, reason = "human", ""
            if recipe.revisions == "corrected" and not head:
                reason = "never corrected"
            elif isinstance(recipe, KTODatasetRecipe) and status not in ("accepted", "rejected"):
                reason = "neither accepted nor rejected"
            elif recipe.revisions == "accepted" and status != "rejected" and pk not in accepted:
                reason = "no revision that anybody accepted"
        if reason:
            scan.left_out_rows.append(LeftOutRow(pk, None, task, band, tokens, stage, reason))
            if completion != Trajectory.Completion.CRASHED:
                scan.reached[parts.before[stage]][task] += tokens
            continue
        candidate.desirable = status == "accepted" if isinstance(recipe, KTODatasetRecipe) else None
        candidate.revision_number = accepted.get(pk, head) if status != "rejected" else head
        scan.candidates.append(candidate)
        scan.reached[parts.order[-1]][task] += tokens
    return scan


def scan_pairs(project: Project, recipe: PairRecipe, tasks: dict[int, TaskFacts]) -> Scan:
    """The filter is put to the trajectory that was preferred."""
    parts = _Parts(recipe.where, always=_human_stage(recipe))
    accepted = _find_accepted(project) if recipe.revisions == "accepted" else {}
    preferred = Trajectory.objects.filter(pk=OuterRef("chosen__trajectory_id"))
    flags = {f"part_{number}": Exists(preferred.filter(match_rule(part))) for number, part in enumerate(parts.parts)}
    pairs = PreferencePair.objects.filter(project=project).order_by("pk").annotate(**flags)
    columns = ("pk", "task_id", "status", "strength", "step_only", "warnings", "chosen_id", "rejected_id")
    sizes = ("chosen_characters", "rejected_characters", "chosen__trajectory_id", "rejected__trajectory_id")
    rows = pairs.values_list(*columns, *sizes, "chosen__number", "chosen__trajectory__status", *flags)
    scan = Scan()
    for (
        pk, task, status, strength, step_only, warnings, chosen, rejected, chosen_size, rejected_size, winner, loser,
        number, winner_status, *passed,
    ) in rows.iterator(ROWS_AT_ONCE):  # fmt: skip
        key, fingerprint, band, _ = tasks[task]
        tokens = (chosen_size + rejected_size) / CHARACTERS_PER_TOKEN
        failed = parts.first_failed(passed)
        if failed is not None:
            stage, reason = parts.stages[failed], parts.reasons[failed]
            if parts.by_status[failed]:
                reason = f"review status of the preferred side: {Trajectory.Status(winner_status).label.lower()}"
        else:
            stage, reason = "human", _refuse_pair(recipe, status, strength or 0, step_only, warnings)
            if not reason and recipe.revisions == "corrected" and not number:
                reason = "the preferred side was never corrected"
            elif not reason and recipe.revisions == "accepted" and accepted.get(winner) != number:
                reason = "nobody accepted the preferred side as it is"
        if reason:
            scan.left_out_rows.append(LeftOutRow(None, pk, task, band, tokens, stage, reason))
            scan.reached[parts.before[stage]][task] += tokens
            continue
        candidate = Candidate(
            task_id=task,
            task=key,
            fingerprint=fingerprint,
            band=band,
            tokens=tokens,
            first=strength or 0,
            pair_id=pk,
            chosen_id=chosen,
            rejected_id=rejected,
            chosen_trajectory_id=winner,
            rejected_trajectory_id=loser,
            chosen_tokens=chosen_size / CHARACTERS_PER_TOKEN,
            step_only=step_only,
        )
        scan.candidates.append(candidate)
        scan.reached[parts.order[-1]][task] += tokens
    return scan


def _refuse_pair(recipe: PairRecipe, status: str, strength: int, step_only: bool, warnings: list[str]) -> str:
    if status != Status.CONFIRMED:
        return UNUSABLE_PAIRS[status]
    if strength < recipe.minimum_strength:
        return "weaker than asked for"
    if recipe.turns != "both" and step_only != (recipe.turns == "single"):
        return "of a single turn" if step_only else "of a whole continuation"
    unwanted = next((warning for warning in warnings if warning in recipe.without_warnings), "")
    return f"warning: {PreferencePair.Warning(unwanted).label}" if unwanted else ""


def _flag(condition: Q) -> Case:
    """Whether a condition holds; what is unknown does not."""
    return Case(When(condition, then=Value(True)), default=Value(False), output_field=BooleanField())


def _find_accepted(project: Project) -> dict[int, int]:
    """The newest revision of each trajectory that a decision that stands, or a review, accepts."""
    reviews = Review.objects.filter(trajectory__project=project, verdict="accept", submitted_at__isnull=False)
    decisions = Decision.objects.filter(trajectory__project=project, verdict="accept", withdrawn_at=None)
    found: dict[int, int] = {}
    for said in (reviews.exclude(item__gold=True), decisions):
        newest: Iterator[tuple[int, Any]] = (
            said.order_by().values_list("trajectory_id").annotate(n=Max("revision__number")).iterator(ROWS_AT_ONCE)
        )
        for trajectory, number in newest:
            found[trajectory] = max(found.get(trajectory, 0), number)
    return found
