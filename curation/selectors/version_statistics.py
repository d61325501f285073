"""What was counted while a version was frozen, as it is stored with the version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from curation.action_counts import ActionCount
from curation.models import DatasetVersion
from curation.selectors.previews import Preview
from curation.waterfall import dump_stages, read_stages


@dataclass(frozen=True)
class VersionStatistics:
    """`preview` as for a recipe, but of the frozen rows; `actions` in all rows to train on, the most taught first.

    `same` rows to train on have the content of another one of them, `same_across` that of a held-out one.
    """

    preview: Preview
    actions: list[ActionCount]
    same: int
    same_across: int


_STATISTICS = TypeAdapter(VersionStatistics)


def dump_statistics(statistics: VersionStatistics) -> dict[str, Any]:
    """Plain JSON, its waterfall as everywhere: a list of stages with what each has and lost by band."""
    bare = replace(statistics, preview=replace(statistics.preview, stages=[]))
    plain: dict[str, Any] = _STATISTICS.dump_python(bare, mode="json")
    plain["preview"]["stages"] = dump_stages(statistics.preview.stages)
    return plain


def read_statistics(version: DatasetVersion) -> VersionStatistics | None:
    """What was stored; None for a version that is not frozen, or was before anything was stored."""
    if not version.statistics:
        return None
    plain = version.statistics | {"preview": version.statistics["preview"] | {"stages": []}}
    statistics = _STATISTICS.validate_python(plain)
    stages = read_stages(version.statistics["preview"]["stages"])
    return replace(statistics, preview=replace(statistics.preview, stages=stages))
