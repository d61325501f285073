"""SWE-bench's report, which says beside a trajectory whether it resolved its instance."""

from __future__ import annotations

import json
from collections.abc import Mapping

from curation.formats.base import ImportContext

_PLACES = ("report.json", "../report.json", "results.json", "../results.json")
_LISTS = ("resolved", "resolved_ids")


def find_resolved(instance_id: str, context: ImportContext) -> bool | None:
    """Whether a report beside the file counts the instance as resolved; None where none names it.

    Raises RecordError where a report cannot be read.
    """
    for place in _PLACES:
        data = context.read_beside(place)
        try:
            report = json.loads(data) if data else None
        except (ValueError, RecursionError):
            continue
        if not isinstance(report, Mapping):
            continue
        entry = report.get(instance_id)
        if isinstance(entry, Mapping) and isinstance(entry.get("resolved"), bool):
            return bool(entry["resolved"])
        for name in _LISTS:
            if isinstance(report.get(name), list):
                return instance_id in report[name]
    return None
