"""Reading runs and what their engines write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import orjson
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from pydantic import ValidationError

from curation.models import DatasetRow, DatasetVersion, JobState
from curation.models.dataset import Split
from curation.permissions import Access
from training import run_dir
from training.models import Checkpoint, Evaluation, Run

CHARACTERS_A_TOKEN = 4  # of English with JSON in it, roughly


@dataclass(frozen=True)
class BandCost:
    """What a version holds in one band: rows, and roughly the tokens that bear loss."""

    band: int | None
    rows: int
    tokens: int


@dataclass(frozen=True)
class TokenLine:
    """A line of tokens.json; band None is "unknown"."""

    band: int | None
    tokens: run_dir.BandTokens

    @property
    def kept_percent(self) -> int:
        return round(100 * self.tokens.kept_tokens / self.tokens.supervised) if self.tokens.supervised else 0


def list_runs(access: Access) -> QuerySet[Run]:
    runs = Run.objects.filter(project=access.project)
    return runs.select_related("dataset_version__dataset", "base", "created_by")


def list_checkpoints(access: Access) -> QuerySet[Checkpoint]:
    checkpoints = Checkpoint.objects.filter(project=access.project)
    return checkpoints.select_related("run__dataset_version__dataset", "parent")


def list_evaluations(access: Access) -> QuerySet[Evaluation]:
    """Without their results, which can be large."""
    evaluations = Evaluation.objects.filter(project=access.project)
    return evaluations.defer("result").select_related("checkpoint", "dataset_version__dataset")


def list_versions(access: Access, *, with_rows_in: Split) -> QuerySet[DatasetVersion]:
    """Frozen versions that have such rows, and of which the engine can read the kind; newest first.

    With the numbers of all rows: `train_rows` and `eval_rows`.
    """
    versions = DatasetVersion.objects.filter(
        dataset__project=access.project, dataset__kind__in=Run.Method.values, state=JobState.DONE
    )
    versions = versions.filter(Exists(DatasetRow.objects.filter(version=OuterRef("pk"), split=with_rows_in)))
    return (
        versions.select_related("dataset")
        .annotate(train_rows=_count_rows(Split.TRAIN), eval_rows=_count_rows(Split.EVAL))
        .order_by("-pk")
    )


def _count_rows(split: Split) -> Coalesce:
    rows = DatasetRow.objects.filter(version=OuterRef("pk"), split=split).order_by().values("version")
    return Coalesce(Subquery(rows.annotate(number=Count("pk")).values("number")), 0)


def estimate_cost(version: DatasetVersion) -> list[BandCost]:
    """The training rows of a version by band, easiest first, unknown last."""
    train = version.rows.filter(split=Split.TRAIN)
    rows = train.values("band").annotate(rows=Count("pk"), characters=Sum("characters")).order_by()
    costs = [BandCost(row["band"], row["rows"], row["characters"] // CHARACTERS_A_TOKEN) for row in rows]
    return sorted(costs, key=lambda cost: cost.band or 9)


def sample_metrics(directory: Path, *, most: int = 160) -> list[run_dir.Metric]:
    """Metrics of a run, evenly thinned to about `most`: only those are parsed. Held-out measurements are all kept."""
    try:
        lines = (directory / run_dir.METRICS_FILE).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    stride = max(1, len(lines) // most)
    metrics = []
    for number, line in enumerate(lines):
        if number % stride == 0 or number == len(lines) - 1 or b'"eval_' in line:
            try:
                metrics.append(run_dir.Metric.model_validate(orjson.loads(line)))
            except (orjson.JSONDecodeError, ValidationError):
                continue  # a line written while the disk was full, say
    return metrics


def read_values(metrics: Sequence[run_dir.Metric], name: str) -> list[tuple[float, float]]:
    """(step, value) wherever `name` was logged."""
    points = []
    for metric in metrics:
        value = getattr(metric, name, None)
        if isinstance(value, int | float):
            points.append((float(metric.step), float(value)))
    return points


def estimate_time_left(run: Run, metrics: Sequence[run_dir.Metric]) -> timedelta | None:
    """By the pace of the last logged updates; None while it is not known."""
    timed = [metric for metric in metrics if metric.step > 0][-20:]
    if run.state != JobState.RUNNING or not run.progress_total or len(timed) < 2:
        return None
    steps, seconds = timed[-1].step - timed[0].step, timed[-1].time - timed[0].time
    left = run.progress_total - run.progress
    if steps <= 0 or seconds <= 0 or left <= 0:
        return None
    return timedelta(seconds=round(left * seconds / steps))


def read_token_lines(directory: Path) -> tuple[list[TokenLine], TokenLine | None]:
    """(by band, in all) of tokens.json; ([], None) while there is none."""
    try:
        report = run_dir.read_tokens(directory)
    except run_dir.RunDirError:
        report = None
    if report is None:
        return [], None
    lines = [TokenLine(int(band) if band.isdecimal() else None, tokens) for band, tokens in report.bands.items()]
    return sorted(lines, key=lambda line: line.band or 9), TokenLine(None, report.totals)
