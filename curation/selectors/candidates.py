"""Which trajectories or pairs a recipe takes, and why it leaves the others out: told without reading any document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from django.db.models import Sum

from curation.bias import Target, TaskMass, amounts_by_band, read_target, target_shares
from curation.composing import DATASET, compose
from curation.holding_out import hold_out_tasks
from curation.models import Project, Revision, Task, Trajectory
from curation.recipe import DatasetRecipe, PairRecipe
from curation.rule_stages import STAGES
from curation.selection import CHARACTERS_PER_TOKEN, Candidate, Selection, explain_empty
from curation.selectors.candidate_rows import CHARACTERS, Scan, TaskFacts, list_stages, scan_pairs, scan_trajectories
from curation.selectors.evaluation_tasks import find_overlaps
from curation.selectors.tasks import ACCEPTED, NOT_CRASHED
from curation.waterfall import follow_stages

IDS_AT_ONCE = 5000
LABELS: dict[str, str] = {"collected": "Collected", **STAGES, DATASET: "Dataset"}


def select_candidates(project: Project, recipe: DatasetRecipe, *, with_revisions: bool = True) -> Selection:
    """What the recipe takes now. Without revisions it is faster, and no candidate has a `revision_id`."""
    tasks = _read_tasks(project)
    if isinstance(recipe, PairRecipe):
        scan = scan_pairs(project, recipe, tasks)
    else:
        scan = scan_trajectories(project, recipe, tasks)
    facts = ((task.fingerprint, task.band) for task in tasks.values())
    held_out = hold_out_tasks(facts, seed=recipe.seed, share=recipe.held_out) if recipe.held_out else frozenset()
    texts = {pk: (task.key, task.fingerprint) for pk, task in tasks.items()} if recipe.evaluation.is_named else {}
    wanted = {candidate.task_id for candidate in scan.candidates if candidate.fingerprint not in held_out}
    pool = list(_weigh_pool(project, tasks))
    target = read_recipe_target(project, recipe)
    selection = compose(
        recipe,
        scan.candidates,
        held_out=held_out,
        target=target_shares(target, amounts_by_band(pool)) if target else None,
        overlaps=find_overlaps(project, recipe.evaluation, texts, candidates=wanted),
        instruction=scan.instruction,
    )
    selection.left_out_rows = [*scan.left_out_rows, *selection.left_out_rows]
    selection.pool = pool
    _follow(recipe, scan, selection, tasks)
    if empty := explain_empty(selection):
        selection.problems = [empty]
    if with_revisions:
        _add_revisions(selection.candidates)
    return selection


def read_recipe_target(project: Project, recipe: DatasetRecipe) -> Target | None:
    """What the recipe asks for; None where it has no target of its own."""
    if recipe.target == "none":
        return None
    if recipe.target == "project":
        return read_target(project.target)
    if recipe.target == "by-hand":
        return read_target({"kind": "manual", "shares": recipe.target_shares})
    return Target(kind=recipe.target)


def _read_tasks(project: Project) -> dict[int, TaskFacts]:
    tasks = Task.objects.filter(project=project).values_list("pk", "key", "fingerprint", "band", "pass_rate")
    return {facts[0]: TaskFacts(*facts[1:]) for facts in tasks.iterator(IDS_AT_ONCE)}


def _weigh_pool(project: Project, tasks: Mapping[int, TaskFacts]) -> Iterator[TaskMass]:
    """What each task has as collected: crashed attempts are left out, unless they were accepted."""
    attempts = Trajectory.objects.filter(NOT_CRASHED | ACCEPTED, project=project)
    attempts = attempts.exclude(source=Trajectory.Source.INSTRUCTION)
    sums = attempts.order_by().values_list("task").annotate(n=Sum(CHARACTERS))
    yield from _to_masses(((task, amount / CHARACTERS_PER_TOKEN) for task, amount in sums.iterator(IDS_AT_ONCE)), tasks)


def _to_masses(amounts: Iterable[tuple[int, float]], tasks: Mapping[int, TaskFacts]) -> Iterator[TaskMass]:
    for task, amount in amounts:
        yield TaskMass(task, tasks[task].band, tasks[task].p, amount)


def _follow(recipe: DatasetRecipe, scan: Scan, selection: Selection, tasks: Mapping[int, TaskFacts]) -> None:
    """The waterfall: what reached a stage had passed all before it."""
    names, left = list_stages(recipe), dict[int, float]()
    masses: dict[str, list[TaskMass]] = {}
    for name in reversed(names):
        for task, tokens in scan.reached[name].items():
            left[task] = left.get(task, 0.0) + tokens
        masses[name] = list(_to_masses(left.items(), tasks))
    selection.filtered = masses[names[-1]]
    sides: dict[bool, dict[int, float]] = {True: {}, False: {}}
    for row in selection.candidates:
        if not row.instruction:
            side = sides[row.held_out]
            side[row.task_id] = side.get(row.task_id, 0.0) + row.weight * row.tokens
    selection.trained = list(_to_masses(sides[False].items(), tasks))
    masses[DATASET] = [*selection.trained, *_to_masses(sides[True].items(), tasks)]
    selection.stages = follow_stages((name, LABELS[name], masses[name]) for name in (*names, DATASET))


def _add_revisions(candidates: Iterable[Candidate]) -> None:
    wanted = {row.trajectory_id: row for row in candidates if row.trajectory_id}
    ids = list(wanted)
    for start in range(0, len(ids), IDS_AT_ONCE):
        some = Revision.objects.filter(trajectory__in=ids[start : start + IDS_AT_ONCE])
        for pk, trajectory, number in some.values_list("pk", "trajectory_id", "number"):
            if number == wanted[trajectory].revision_number:
                wanted[trajectory].revision_id = pk
