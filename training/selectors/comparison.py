"""Two to four checkpoints side by side: derived from their runs and evaluations each time, never stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from curation.models import DatasetVersion, JobState
from curation.statistics import wilson_interval
from training.models import Checkpoint, Evaluation, Run
from training.results import Evaluation as Result
from training.results import HeldOut, NextAction, Preference
from training.selectors.runs import read_token_lines

FEWEST, MOST = 2, 4
MOST_VERSIONS = 2
ACTIONS_AT_ONCE = 5
NOTHING = "—"


@dataclass(frozen=True)
class Difference:
    """A setting that is not the same everywhere, with its value for each checkpoint."""

    name: str
    values: list[str]


@dataclass(frozen=True)
class Share:
    """How many of how many, with Wilson's 95 % interval."""

    correct: int
    total: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.correct / self.total

    @property
    def percent(self) -> float:
        return 100 * self.value

    @property
    def low_percent(self) -> float:
        return 100 * self.low

    @property
    def high_percent(self) -> float:
        return 100 * self.high


@dataclass(frozen=True)
class Cell:
    """One checkpoint's figures on one band, or on all rows; None where it was not measured there."""

    held_out: HeldOut | None
    preference: Share | None
    margin: float | None

    @property
    def token_percent(self) -> float | None:
        accuracy = self.held_out.token_accuracy if self.held_out else None
        return None if accuracy is None else 100 * accuracy


NO_FIGURES = Cell(None, None, None)


@dataclass(frozen=True)
class BandLine:
    """The checkpoints' figures on the rows of one band; `is_total`: on all of them."""

    band: int | None
    is_total: bool
    rows: int
    cells: list[Cell]


@dataclass(frozen=True)
class ActionLine:
    """One held-out step: what was recorded, and what each checkpoint does there (None: not measured).

    `step` counts the conversation's messages from 0.
    """

    trajectory: int | None
    pair: int | None
    step: int
    band: int | None
    recorded: str
    actions: list[NextAction | None]


@dataclass(frozen=True)
class Measured:
    """All checkpoints on one version."""

    version: DatasetVersion
    evaluations: list[Evaluation | None]
    results: list[Result | None]
    lines: list[BandLine]
    actions: list[ActionLine]

    @property
    def has_preferences(self) -> bool:
        return any(result is not None and result.preference.total.pairs for result in self.results)

    @property
    def missing(self) -> list[int]:
        """Places of the checkpoints without figures that nobody is measuring."""
        return [
            place
            for place, evaluation in enumerate(self.evaluations)
            if evaluation is None or evaluation.state in (JobState.FAILED, JobState.STOPPED)
        ]

    @property
    def active(self) -> list[Evaluation]:
        return [evaluation for evaluation in self.evaluations if evaluation is not None and evaluation.is_active]


def find_differences(checkpoints: Sequence[Checkpoint]) -> list[Difference]:
    """What differs between the checkpoints: kind, start, data, trained tokens and recipe.

    A base has no recipe, which makes none of its settings a difference between the others.
    """
    settings = [_describe(checkpoint) for checkpoint in checkpoints]
    recipes = [_describe_recipe(checkpoint) for checkpoint in checkpoints]
    trained = [recipe for recipe in recipes if recipe is not None]
    differences = []
    for name in dict.fromkeys(name for described in settings for name in described):
        values = [described.get(name, NOTHING) for described in settings]
        if len(set(values)) > 1:
            differences.append(Difference(name, values))
    for name in dict.fromkeys(name for recipe in trained for name in recipe):
        if len({recipe.get(name, NOTHING) for recipe in trained}) > 1:
            values = [NOTHING if recipe is None else recipe.get(name, NOTHING) for recipe in recipes]
            differences.append(Difference(name.replace("_", " "), values))
    return differences


def _describe(checkpoint: Checkpoint) -> dict[str, str]:
    run = get_training_run(checkpoint)
    described = {"kind": checkpoint.get_kind_display(), "starts from": str(checkpoint.parent or NOTHING)}
    if run is None:
        return described
    described["data"] = str(run.dataset_version)
    _, total = read_token_lines(run.directory)
    if total is not None:
        described["rows trained on"] = f"{total.tokens.kept + total.tokens.truncated:,}"
        described["supervised tokens"] = f"{total.tokens.kept_tokens:,}"
    return described


def _describe_recipe(checkpoint: Checkpoint) -> dict[str, str] | None:
    run = get_training_run(checkpoint)
    return None if run is None else {name: _show(value) for name, value in run.recipe.items()}


def _show(value: Any) -> str:
    return NOTHING if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def get_training_run(checkpoint: Checkpoint) -> Run | None:
    """The run that trained a checkpoint; None for a base, though a run may have made it."""
    return None if checkpoint.kind == Checkpoint.Kind.BASE else checkpoint.run


def measure_all(checkpoints: Sequence[Checkpoint], versions: Iterable[DatasetVersion]) -> list[Measured]:
    """The checkpoints' evaluations on each of the versions, as far as there are any."""
    versions = list(versions)
    found = {
        (evaluation.checkpoint_id, evaluation.dataset_version_id): evaluation
        for evaluation in Evaluation.objects.filter(checkpoint__in=checkpoints, dataset_version__in=versions)
    }
    measured = []
    for version in versions:
        evaluations = [found.get((checkpoint.pk, version.pk)) for checkpoint in checkpoints]
        for evaluation, checkpoint in zip(evaluations, checkpoints, strict=True):
            if evaluation is not None:
                evaluation.checkpoint, evaluation.dataset_version = checkpoint, version
        results = [_read_result(evaluation) for evaluation in evaluations]
        measured.append(Measured(version, evaluations, results, _line_up_bands(results), _line_up_actions(results)))
    return measured


def _read_result(evaluation: Evaluation | None) -> Result | None:
    if evaluation is None or evaluation.state != JobState.DONE or evaluation.result is None:
        return None
    return Result.model_validate(evaluation.result)


def _line_up_bands(results: Sequence[Result | None]) -> list[BandLine]:
    bands = sorted({band for result in results if result is not None for band in result.held_out_bands})
    lines = []
    for band in bands:
        cells = [
            _make_cell(result.held_out_bands.get(band), result.preference.bands.get(band)) if result else NO_FIGURES
            for result in results
        ]
        number = int(band) if band.isdecimal() else None
        lines.append(BandLine(number, False, _most_rows(cells), cells))
    totals = [_make_cell(result.held_out, result.preference.total) if result else NO_FIGURES for result in results]
    return [*lines, BandLine(None, True, _most_rows(totals), totals)] if lines else []


def _most_rows(cells: Sequence[Cell]) -> int:
    return max((cell.held_out.rows for cell in cells if cell.held_out is not None), default=0)


def _make_cell(held_out: HeldOut | None, preference: Preference | None) -> Cell:
    if preference is None or not preference.pairs:
        return Cell(held_out, None, None)
    low, high = wilson_interval(preference.correct, preference.pairs)
    return Cell(held_out, Share(preference.correct, preference.pairs, low, high), preference.margin)


def _line_up_actions(results: Sequence[Result | None]) -> list[ActionLine]:
    """The steps in the order of the first checkpoint measured; others answer at the same ones."""
    by_step = [
        {(action.trajectory, action.pair, action.step): action for action in (result.next_actions if result else [])}
        for result in results
    ]
    lines = []
    for key in dict.fromkeys(key for actions in by_step for key in actions):
        here = [actions.get(key) for actions in by_step]
        known = next(action for action in here if action is not None)
        lines.append(ActionLine(key[0], key[1], known.step, known.band, known.recorded, here))
    return lines
