"""What was counted while a version was frozen, as it is stored with the version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from pydantic import BaseModel, TypeAdapter

from curation.action_counts import ActionCount
from curation.models import DatasetVersion
from curation.selectors.previews import Preview
from curation.waterfall import Stage, dump_stages, read_stages


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
    plain: dict[str, Any] = _name_fields(bare)
    plain["preview"]["stages"] = dump_stages(statistics.preview.stages)
    return plain


def _name_fields(value: Any) -> Any:
    """The plain form of a value, in which everything that has named fields is an object."""
    if is_dataclass(value):
        return {one.name: _name_fields(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _name_fields(part) for name, part in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(name): _name_fields(part) for name, part in value.items()}
    return [_name_fields(part) for part in value] if isinstance(value, list | tuple) else value


def read_frozen_stages(version: DatasetVersion) -> list[Stage]:
    """The waterfall that was stored; empty for a version that is not frozen, or was before anything was stored."""
    return read_stages(version.statistics["preview"]["stages"]) if version.statistics else []


def read_statistics(version: DatasetVersion) -> VersionStatistics | None:
    """What was stored; None for a version that is not frozen, or was before anything was stored."""
    if not version.statistics:
        return None
    plain = version.statistics | {"preview": version.statistics["preview"] | {"stages": []}}
    statistics = _STATISTICS.validate_python(plain)
    return replace(statistics, preview=replace(statistics.preview, stages=read_frozen_stages(version)))
