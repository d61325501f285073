"""What changed between two versions of a dataset: told from narrow rows, without any document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.db.models import Count, Exists, F, OuterRef, QuerySet, Sum

from curation.difficulty import BANDS
from curation.models import DatasetRow, DatasetVersion
from curation.models.dataset import Split
from curation.selection import CHARACTERS_PER_TOKEN

DIFFERENCES: dict[str, str] = {
    "added": "Rows of trajectories or pairs that the older version has none of",
    "removed": "Rows of trajectories or pairs that the newer version has none of",
    "changed": "Rows of the newer version whose trajectory or pair has another content in the older one",
    "moved": "Rows with the same content that are on the other side now",
}
"""Kinds of differences between an older and a newer version, in words."""


class BandChange(NamedTuple):
    """Rows to train on, and their supervised tokens times weight, of one difficulty; None is unknown."""

    band: int | None
    rows_before: int
    rows_after: int
    tokens_before: float
    tokens_after: float


class FieldChange(NamedTuple):
    """A field of the recipe that differs, both values as JSON; empty where a recipe has no such field."""

    field: str
    before: str
    after: str


class Comparison(NamedTuple):
    older: DatasetVersion
    newer: DatasetVersion
    counts: dict[str, int]
    same: int
    bands: list[BandChange]
    recipe: list[FieldChange]


def compare_versions(one: DatasetVersion, other: DatasetVersion) -> Comparison:
    """Both are frozen versions of one dataset, in either order."""
    older, newer = sorted((one, other), key=lambda version: version.number)
    counts = {kind: list_differences(older, newer, kind).count() for kind in DIFFERENCES}
    same = newer.rows.count() - counts["added"] - counts["changed"] - counts["moved"]
    return Comparison(
        older, newer, counts, same, _compare_bands(older, newer), list(_compare_recipes(older.recipe, newer.recipe))
    )


def list_differences(older: DatasetVersion, newer: DatasetVersion, kind: str) -> QuerySet[DatasetRow]:
    """The rows behind one kind of difference, with their tasks and trajectories; those of "removed" are the older's.

    Raises KeyError for a kind that there is none of.
    """
    mine, theirs = (older, newer) if kind == "removed" else (newer, older)
    others = DatasetRow.objects.filter(version=theirs, pair=OuterRef("pair"))
    if newer.dataset.kind not in ("dpo", "reward"):
        others = DatasetRow.objects.filter(version=theirs, revision__trajectory=OuterRef("revision__trajectory"))
    alike = others.filter(content_sha256=OuterRef("content_sha256"))
    condition = {
        "added": ~Exists(others),
        "removed": ~Exists(others),
        "changed": Exists(others) & ~Exists(alike),
        "moved": Exists(alike) & ~Exists(alike.filter(split=OuterRef("split"))),
    }[kind]
    rows = mine.rows.filter(condition).select_related("task", "revision__trajectory")
    return rows.defer("revision__document", "task__instruction")


def _compare_bands(older: DatasetVersion, newer: DatasetVersion) -> list[BandChange]:
    sums = [_sum_bands(version) for version in (older, newer)]
    bands = [*BANDS, None] if any(None in part for part in sums) else list(BANDS)
    nothing = (0, 0.0)
    changes = []
    for band in bands:
        before, after = (part.get(band, nothing) for part in sums)
        changes.append(BandChange(band, before[0], after[0], before[1], after[1]))
    return changes


def _sum_bands(version: DatasetVersion) -> dict[int | None, tuple[int, float]]:
    rows = version.rows.filter(split=Split.TRAIN).order_by().values("band")
    sums = rows.annotate(n=Count("id"), size=Sum(F("characters") * F("weight")))
    return {row["band"]: (row["n"], row["size"] / CHARACTERS_PER_TOKEN) for row in sums}


def _compare_recipes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    for field in sorted({*before, *after}):
        if before.get(field) != after.get(field) or (field in before) != (field in after):
            words = [json.dumps(side[field], ensure_ascii=False) if field in side else "" for side in (before, after)]
            yield FieldChange(field, *words)
