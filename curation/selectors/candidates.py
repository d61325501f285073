"""Which trajectories or pairs a recipe takes, and why it leaves the others out: told without reading any document."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from django.db.models import F

from curation.models import PreferencePair, Project, Revision, Trajectory
from curation.recipe import DatasetRecipe, DPODatasetRecipe, SFTDatasetRecipe, draw_lot

Status = PreferencePair.Status
UNUSABLE_PAIRS: dict[str, str] = {
    Status.PROPOSED: "not judged yet",
    Status.TIE: "judged about equal",
    Status.BOTH_BAD: "both sides judged bad",
}


@dataclass(frozen=True)
class Candidate:
    """One row to be: a trajectory's newest revision, or a pair with its two revisions.

    Of a pair of `step_only`, only the turn in which its sides part is learnt from. `characters` counts the whole
    conversations, the environment's part included.
    """

    task_id: int
    task: str
    fingerprint: str
    band: int | None
    characters: int
    trajectory_id: int | None = None
    revision_id: int | None = None
    pair_id: int | None = None
    chosen_id: int | None = None
    rejected_id: int | None = None
    step_only: bool = False


@dataclass(frozen=True)
class Selection:
    """The candidates in the order of their ids, and the number left out by reason."""

    candidates: list[Candidate]
    left_out: Counter[str] = field(default_factory=Counter)


def select_candidates(project: Project, recipe: DatasetRecipe) -> Selection:
    if isinstance(recipe, SFTDatasetRecipe):
        return _select_trajectories(project, recipe)
    return _select_pairs(project, recipe)


def _select_trajectories(project: Project, recipe: SFTDatasetRecipe) -> Selection:
    heads = Revision.objects.filter(trajectory__project=project, number=F("trajectory__head_number"))
    rows = heads.order_by("trajectory_id").values_list(
        "pk",
        "trajectory_id",
        "trajectory__status",
        "trajectory__success",
        "trajectory__source",
        "trajectory__model",
        "trajectory__character_count",
        "trajectory__task_id",
        "trajectory__task__key",
        "trajectory__task__fingerprint",
        "trajectory__task__band",
    )
    left_out: Counter[str] = Counter()
    by_task: dict[int, list[tuple[bool, str, Candidate]]] = defaultdict(list)
    for (
        pk,
        trajectory,
        status,
        success,
        source,
        model,
        characters,
        task_id,
        key,
        fingerprint,
        band,
    ) in rows.iterator(5000):
        if status not in recipe.statuses:
            left_out[f"review status: {Trajectory.Status(status).label.lower()}"] += 1
        elif recipe.only_successes and success is not True:
            left_out["no recorded success"] += 1
        elif recipe.sources and source not in recipe.sources:
            left_out["another source"] += 1
        elif recipe.models and model not in recipe.models:
            left_out["another model"] += 1
        else:
            candidate = Candidate(
                task_id=task_id,
                task=key,
                fingerprint=fingerprint,
                band=band,
                characters=characters,
                trajectory_id=trajectory,
                revision_id=pk,
            )
            by_task[task_id].append((success is not True, draw_lot(recipe, f"trajectory {trajectory}"), candidate))
    kept = []
    for attempts in by_task.values():
        attempts.sort(key=lambda attempt: attempt[:2])
        most = recipe.most_per_task or len(attempts)
        kept += [candidate for _, _, candidate in attempts[:most]]
        if len(attempts) > most:
            left_out[f"more than {most} of one task"] += len(attempts) - most
    return Selection(sorted(kept, key=lambda candidate: candidate.trajectory_id or 0), left_out)


def _select_pairs(project: Project, recipe: DPODatasetRecipe) -> Selection:
    rows = PreferencePair.objects.filter(project=project).values_list(
        "pk",
        "status",
        "strength",
        "step_only",
        "chosen_id",
        "rejected_id",
        "chosen__trajectory_id",
        "rejected__trajectory_id",
        "chosen__trajectory__character_count",
        "rejected__trajectory__character_count",
        "task_id",
        "task__key",
        "task__fingerprint",
        "task__band",
    )
    left_out: Counter[str] = Counter()
    usable: list[tuple[int, str, set[int], Candidate]] = []
    for (
        pk,
        status,
        strength,
        step_only,
        chosen,
        rejected,
        winner,
        loser,
        winner_size,
        loser_size,
        task_id,
        key,
        fingerprint,
        band,
    ) in rows.iterator(5000):
        if status != Status.CONFIRMED:
            left_out[UNUSABLE_PAIRS[status]] += 1
        elif (strength or 0) < recipe.minimum_strength:
            left_out["weaker than asked for"] += 1
        else:
            candidate = Candidate(
                task_id=task_id,
                task=key,
                fingerprint=fingerprint,
                band=band,
                characters=winner_size + loser_size,
                pair_id=pk,
                chosen_id=chosen,
                rejected_id=rejected,
                step_only=step_only,
            )
            usable.append((-(strength or 0), draw_lot(recipe, f"pair {pk}"), {winner, loser}, candidate))
    taken: Counter[int] = Counter()
    kept = []
    for _, _, episodes, candidate in sorted(usable, key=lambda pair: pair[:2]):
        if recipe.most_per_episode and any(taken[episode] >= recipe.most_per_episode for episode in episodes):
            left_out[f"more than {recipe.most_per_episode} of one attempt"] += 1
        else:
            taken.update(episodes)
            kept.append(candidate)
    return Selection(sorted(kept, key=lambda candidate: candidate.pair_id or 0), left_out)
