"""Reading datasets and their versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Subquery, Sum

from curation.bias import bias
from curation.difficulty import BANDS
from curation.models import Dataset, DatasetRow, DatasetVersion, FilterVersion, JobState, LeftOut, Project, Trajectory
from curation.models.dataset import Split
from curation.permissions import Access
from curation.selection import CHARACTERS_PER_TOKEN

Shares = list[tuple[int | None, float]]


@dataclass(frozen=True)
class SideStats:
    """One side of a split. `tokens` is an estimate, a quarter of the characters counted."""

    rows: int
    tasks: int
    tokens: int
    bands: Shares


@dataclass(frozen=True)
class Stats:
    """What a version holds.

    `pool` counts the project's attempts by band as collected, crashed ones left out. `bias` compares the training
    rows, weighted, with it: 0 for the same shares, 1 for none in common; None where either has no known band.
    """

    train: SideStats
    held_out: SideStats
    pool: Shares
    bias: float | None
    left_out: list[tuple[str, int]]


def list_datasets(access: Access) -> QuerySet[Dataset]:
    """The project's datasets with `version_count`, `last_number` and `row_count` of the newest frozen version."""
    frozen = DatasetVersion.objects.filter(dataset=OuterRef("pk"), state=JobState.DONE).order_by("-number")
    rows = frozen.annotate(n=Count("rows")).values("n")[:1]
    return Dataset.objects.filter(project=access.project).annotate(
        version_count=Count("versions"),
        last_number=Max("versions__number", filter=Q(versions__state=JobState.DONE)),
        row_count=Subquery(rows),
    )


def list_newest_versions(project: Project) -> QuerySet[DatasetVersion]:
    """The newest frozen version of each dataset, the newest first."""
    frozen = DatasetVersion.objects.filter(dataset=OuterRef("pk"), state=JobState.DONE).order_by("-number")
    newest = Dataset.objects.filter(project=project).annotate(newest=Subquery(frozen.values("pk")[:1]))
    return DatasetVersion.objects.filter(pk__in=newest.values("newest")).select_related("dataset").order_by("-pk")


def list_newest_filters(access: Access) -> list[FilterVersion]:
    """The newest version of each saved filter that has any, by name."""
    versions = FilterVersion.objects.filter(filter__project=access.project).select_related("filter")
    return sorted(versions.order_by("filter", "-number").distinct("filter"), key=lambda version: version.filter.name)


def list_measuring(access: Access) -> list[Dataset]:
    """Datasets that have a frozen version, whose held-out tasks can be kept out of others: the newest 200."""
    frozen = DatasetVersion.objects.filter(dataset=OuterRef("pk"), state=JobState.DONE)
    return list(Dataset.objects.filter(Exists(frozen), project=access.project).order_by("-pk")[:200])


def list_versions(dataset: Dataset) -> QuerySet[DatasetVersion]:
    """A dataset's versions, newest first, with `train_count` and `eval_count`."""
    return (
        dataset.versions.select_related("created_by")
        .order_by("-number")
        .annotate(
            train_count=Count("rows", filter=Q(rows__split=Split.TRAIN)),
            eval_count=Count("rows", filter=Q(rows__split=Split.EVAL)),
        )
    )


def list_rows(version: DatasetVersion) -> QuerySet[DatasetRow]:
    """A version's rows with their tasks and trajectories, without any document."""
    rows = version.rows.select_related("task", "revision__trajectory")
    return rows.defer("revision__document", "task__instruction")


def list_left_out_rows(version: DatasetVersion) -> QuerySet[LeftOut]:
    """What fitted a version's filter and is not in it, with the tasks."""
    rows = version.left_out_rows.select_related("trajectory__task", "pair__task")
    return rows.defer("trajectory__task__instruction", "pair__task__instruction")


def count_pool(project: Project) -> dict[int | None, float]:
    """The project's attempts by band, crashed ones left out."""
    attempts = Trajectory.objects.filter(project=project).exclude(completion=Trajectory.Completion.CRASHED)
    return dict(attempts.values_list("task__band").annotate(n=Count("id")).order_by())


def summarize_version(version: DatasetVersion) -> Stats:
    """What a frozen version holds. Tokens are those of the agent's turns that are trained on."""
    grouped = version.rows.values("split", "band").order_by()
    groups = list(grouped.annotate(rows=Count("id"), size=Sum("characters"), total=Sum("weight")))
    tasks = dict(version.rows.values_list("split").annotate(n=Count("task", distinct=True)).order_by())
    sides = {}
    for split in Split:
        mine = [group for group in groups if group["split"] == split]
        sides[split] = SideStats(
            rows=sum(group["rows"] for group in mine),
            tasks=tasks.get(split, 0),
            tokens=sum(group["size"] for group in mine) // CHARACTERS_PER_TOKEN,
            bands=_in_order({group["band"]: group["rows"] for group in mine}),
        )
    weighted = {group["band"]: group["total"] for group in groups if group["split"] == Split.TRAIN}
    pool = count_pool(version.dataset.project)
    known = {band: weight for band, weight in weighted.items() if band}
    return Stats(
        train=sides[Split.TRAIN],
        held_out=sides[Split.EVAL],
        pool=_in_order(pool),
        bias=bias(known, {band: number for band, number in pool.items() if band}),
        left_out=sorted(version.left_out.items(), key=lambda reason: -reason[1]),
    )


def _in_order(amounts: Mapping[int | None, float]) -> Shares:
    """Every band from 1 to 5, then the unknown where there is any."""
    shares: Shares = [(band, amounts.get(band, 0)) for band in BANDS]
    return [*shares, (None, amounts[None])] if amounts.get(None) else shares
