"""What the rows of a version come to: measured as the preview does, but in what was counted in the documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from curation.action_counts import ActionCount
from curation.bias import TaskMass
from curation.models import Project
from curation.models.dataset import Split
from curation.recipe import DatasetRecipe
from curation.selection import CHARACTERS_PER_TOKEN, Selection
from curation.selectors.previews import describe_selection, measure_lengths
from curation.selectors.version_statistics import VersionStatistics
from curation.services.dataset_drafts import Draft
from curation.waterfall import follow_stages, make_stage

MOST_ACTIONS = 200
RESAMPLES = 1000


def measure_rows(
    project: Project,
    recipe: DatasetRecipe,
    selection: Selection,
    drafts: Mapping[Split, Draft],
    actions: Sequence[ActionCount],
) -> VersionStatistics:
    """The selection's candidates are those that have a row, with the tokens and the weights of their rows."""
    _measure_again(selection)
    preview = describe_selection(project, recipe, selection, resamples=RESAMPLES)
    train, held_out = drafts[Split.TRAIN].rows, drafts[Split.EVAL].rows
    own = [row for row in train if not row.candidate.instruction]
    numbers, measured = (Counter(row.candidate.band for row in rows) for rows in (own, held_out))
    contents = Counter(row.content for row in train)
    return VersionStatistics(
        # A candidate may have several rows: each turn of a trajectory.
        preview=replace(
            preview,
            train=preview.train._replace(rows=len(train)),
            held_out=preview.held_out._replace(rows=len(held_out)),
            instruction=preview.instruction._replace(rows=len(train) - len(own)),
            bands=[line._replace(rows=numbers[line.band], held_out_rows=measured[line.band]) for line in preview.bands],
            lengths=measure_lengths([row.characters / CHARACTERS_PER_TOKEN for row in train]),
        ),
        actions=list(actions[:MOST_ACTIONS]),
        same=len(train) - len(contents),
        same_across=sum(contents[content] for content in {row.content for row in held_out}),
    )


def _measure_again(selection: Selection) -> None:
    """The dataset's stage once more, by what was counted."""
    p = {mass.task_id: mass.p for mass in (*selection.filtered, *selection.pool)}
    sides: dict[bool, dict[int, TaskMass]] = {True: {}, False: {}}
    for row in selection.candidates:
        if not row.instruction:
            before = sides[row.held_out].get(row.task_id)
            mass = row.weight * row.tokens + (before.mass if before else 0.0)
            sides[row.held_out][row.task_id] = TaskMass(row.task_id, row.band, p.get(row.task_id), mass)
    selection.trained = list(sides[False].values())
    *earlier, last = selection.stages
    (counted,) = follow_stages([(last.stage, last.label, [*selection.trained, *sides[True].values()])])
    before_last = earlier[-1] if earlier else None
    selection.stages = [*earlier, make_stage(last.stage, last.label, counted.bands, counted.tasks, before=before_last)]
