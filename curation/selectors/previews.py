"""What a recipe would come to before anything is frozen, told without reading documents."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import NamedTuple

from curation.bias import BiasReport, Target, measure_bias, read_target
from curation.difficulty import BANDS
from curation.models import DatasetRow, Project
from curation.models.dataset import Split
from curation.permissions import Access
from curation.recipe import DatasetRecipe
from curation.selection import Candidate, Overlap, Selection
from curation.selectors.candidates import read_recipe_target, select_candidates
from curation.selectors.datasets import list_newest_versions
from curation.waterfall import Stage

RESAMPLED = 5_000_000
"""Tasks drawn at most for one interval: of 100,000 tasks, 50 resamples. The frozen version draws more."""

MOST_DATASETS = 12
"""Whose held-out sides are looked at: those of the newest versions."""

MOST_NAMED = 20
LENGTHS = {"shortest": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95, "longest": 1.0}


class BandLine(NamedTuple):
    """One difficulty, None the unknown: rows and tasks of both sides, supervised tokens and weight of the training
    rows, and shares of the weighted tokens: of the pool, of the target, and as trained."""

    band: int | None
    rows: int
    tasks: int
    tokens: float
    weight: float | None
    share: float | None
    target: float | None
    pool: float | None
    held_out_rows: int
    held_out_tasks: int


class Side(NamedTuple):
    """`tokens` are supervised ones, estimated."""

    rows: int
    tasks: int
    tokens: float


class LeftOutCount(NamedTuple):
    stage: str
    reason: str
    rows: int


class HeldOutElsewhere(NamedTuple):
    """Tasks to train on that the newest version of a dataset holds out."""

    dataset: str
    version: int
    tasks: list[str]


@dataclass(frozen=True)
class PairLengths:
    """Whether length alone tells the chosen side: `longer` is the share of pairs whose chosen side is the longer one
    (.5 says nothing), `ratio` the median of chosen through rejected, both of the agent's turns."""

    pairs: int
    longer: float
    ratio: float | None


@dataclass(frozen=True)
class Preview:
    """`before` measures what the filter took, `after` what is trained on, both against `target`.

    `repeated` are training rows that repeat another one of them, `across` those that repeat a held-out one; both as
    the near-duplicate index has it. `shared` are fingerprints on both
    sides. Lengths are supervised tokens of the training rows.
    """

    target: Target
    train: Side
    held_out: Side
    instruction: Side
    bands: list[BandLine]
    before: BiasReport
    after: BiasReport
    stages: list[Stage]
    left_out: list[LeftOutCount]
    lengths: dict[str, float]
    pair_lengths: PairLengths | None
    desirable: int | None
    undesirable: int | None
    repeated: int
    across: int
    shared: int
    overlaps: list[Overlap]
    overlap_count: int
    elsewhere: list[HeldOutElsewhere]
    problems: list[str]
    warnings: list[str]


def preview_recipe(access: Access, recipe: DatasetRecipe) -> Preview:
    """What a recipe would give now; rows that turn out unusable when their documents are read are still in."""
    selection = select_candidates(access.project, recipe, with_revisions=False)
    return describe_selection(access.project, recipe, selection)


def describe_selection(
    project: Project, recipe: DatasetRecipe, selection: Selection, *, resamples: int | None = None
) -> Preview:
    """Measure a selection; the intervals of its bias are drawn from so many resamples, few where none is said."""
    train = [row for row in selection.candidates if not row.held_out]
    held_out = [row for row in selection.candidates if row.held_out]
    own = [row for row in train if not row.instruction]
    target = read_recipe_target(project, recipe) or read_target(project.target)
    resamples = resamples or min(1000, max(50, RESAMPLED // max(1, len(selection.pool))))
    before, after = (
        measure_bias(masses, selection.pool, target, resamples=resamples)
        for masses in (selection.filtered, selection.trained)
    )
    roots, held_out_roots = (Counter(_root(row) for row in rows if row.trajectory_id) for rows in (train, held_out))
    judged = [row.desirable for row in own if row.desirable is not None]
    counted = Counter((row.stage, row.reason) for row in selection.left_out_rows)
    bands = _list_bands(own, held_out, after, _sum_bands(selection.pool))
    unmeasured = [line.band for line in bands if line.band and line.tasks and not line.held_out_tasks]
    warnings = list(selection.warnings)
    if unmeasured and recipe.held_out:
        warnings.append(
            f"No task of difficulty {', '.join(map(str, unmeasured))} is held out, so training on it cannot be "
            "measured there: a greater share, another seed or more tasks would help."
        )
    return Preview(
        target=target,
        train=_count(train),
        held_out=_count(held_out),
        instruction=_count([row for row in train if row.instruction]),
        bands=bands,
        before=before,
        after=after,
        stages=selection.stages,
        left_out=[LeftOutCount(*key, number) for key, number in sorted(counted.items(), key=lambda one: -one[1])],
        lengths=measure_lengths([row.tokens for row in train]),
        pair_lengths=_compare_lengths([row for row in own if row.pair_id]),
        desirable=sum(judged) if judged else None,
        undesirable=len(judged) - sum(judged) if judged else None,
        repeated=sum(number - 1 for number in roots.values()),
        across=sum(number for root, number in roots.items() if root in held_out_roots),
        shared=len({row.fingerprint for row in train} & {row.fingerprint for row in held_out}),
        overlaps=selection.overlaps[:MOST_NAMED],
        overlap_count=len(selection.overlaps),
        elsewhere=_find_held_out_elsewhere(project, {row.task_id: row.task for row in train}),
        problems=selection.problems,
        warnings=warnings,
    )


def list_left_out(selection: Selection, *, stage: str, reason: str, after: int, size: int) -> list[int]:
    """Ids of the trajectories (of the pairs) behind one reason, in ascending order, from the one after `after` on."""
    found = (
        row.pair_id or row.trajectory_id or 0
        for row in selection.left_out_rows
        if row.reason == reason and row.stage == stage
    )
    return sorted(pk for pk in found if pk > after)[:size]


def _root(row: Candidate) -> int | None:
    return row.duplicate_of or row.trajectory_id


def _count(rows: Sequence[Candidate]) -> Side:
    return Side(len(rows), len({row.task_id for row in rows}), sum(row.tokens for row in rows))


def _sum_bands(masses: Iterable[tuple[int, int | None, float | None, float]]) -> dict[int | None, float]:
    sums: dict[int | None, float] = defaultdict(float)
    for _, band, _, mass in masses:
        sums[band] += mass
    return sums


def _list_bands(
    own: Sequence[Candidate], held_out: Sequence[Candidate], report: BiasReport, pool: Mapping[int | None, float]
) -> list[BandLine]:
    """Every difficulty from 1 to 5, then the unknown where there is any."""
    sides: dict[int | None, tuple[list[Candidate], list[Candidate]]] = {band: ([], []) for band in (*BANDS, None)}
    for row in own:
        sides[row.band][0].append(row)
    for row in held_out:
        sides[row.band][1].append(row)
    known = sum(amount for band, amount in pool.items() if band)
    lines = []
    for band, (train, measured) in sides.items():
        if band or train or measured or pool.get(None):
            lines.append(
                BandLine(
                    band,
                    *_count(train),
                    train[0].weight if train else None,
                    report.selected[band] if band else None,
                    report.target[band] if band else None,
                    pool.get(band, 0.0) / known if band and known else None,
                    len(measured),
                    len({row.task_id for row in measured}),
                )
            )
    return lines


def measure_lengths(tokens: Sequence[float]) -> dict[str, float]:
    """The quantiles that LENGTHS names."""
    if not tokens:
        return {}
    if len(tokens) == 1:
        return dict.fromkeys(LENGTHS, tokens[0])
    inner = quantiles(tokens, n=100, method="inclusive")
    ends = {0.0: min(tokens), 1.0: max(tokens)}
    return {name: ends[part] if part in ends else inner[round(part * 100) - 1] for name, part in LENGTHS.items()}


def _compare_lengths(pairs: Sequence[Candidate]) -> PairLengths | None:
    if not pairs:
        return None
    sides = [(pair.chosen_tokens, pair.tokens - pair.chosen_tokens) for pair in pairs]
    longer = sum(0.5 if chosen == rejected else float(chosen > rejected) for chosen, rejected in sides) / len(sides)
    ratios = sorted(chosen / rejected for chosen, rejected in sides if rejected)
    return PairLengths(len(pairs), longer, ratios[len(ratios) // 2] if ratios else None)


def _find_held_out_elsewhere(project: Project, trained: Mapping[int, str]) -> list[HeldOutElsewhere]:
    """By dataset, tasks that are trained on here and held out there."""
    names = {version.pk: version for version in list_newest_versions(project)[:MOST_DATASETS]}
    rows = DatasetRow.objects.filter(version__in=names, split=Split.EVAL).order_by()
    found: dict[int, set[str]] = defaultdict(set)
    for version, task in rows.values_list("version_id", "task_id").distinct().iterator(20_000):
        if task in trained:
            found[version].add(trained[task])
    return [
        HeldOutElsewhere(names[version].dataset.name, names[version].number, sorted(tasks))
        for version, tasks in sorted(found.items())
    ]
