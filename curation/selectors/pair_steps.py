"""Reading the two sides of a pair, row by row, without reading either document whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache
from django.db import connection

from curation.models import Revision
from curation.revisions.alignment import Row, StepOutline, align_steps
from curation.selectors.trajectories import read_steps

ROWS_AT_ONCE = 20
TELLING = frozenset(["extra", "metrics", "model_name", "reasoning_effort", "timestamp"])
KEPT_SECONDS = 3600

# What steps are recognised by, cut short inside the database: an observation is not part of it.
OUTLINE = """
SELECT (step ->> 'step_id')::int, step ->> 'source', coalesce(calls.names, '{}'), coalesce(calls.arguments, ''),
    coalesce(left(step #>> '{message,0,text}', 600), '')
FROM curation_revision AS revision
CROSS JOIN LATERAL jsonb_path_query(revision.document, %s::jsonpath) AS step
LEFT JOIN LATERAL (
    SELECT array_agg(call ->> 'function_name' ORDER BY place) AS names,
        string_agg(left(call ->> 'arguments_raw', 600), ' ' ORDER BY place) AS arguments
    FROM jsonb_array_elements(
        CASE jsonb_typeof(step -> 'tool_calls') WHEN 'array' THEN step -> 'tool_calls' ELSE '[]' END
    ) WITH ORDINALITY AS listed(call, place)
) AS calls ON true
WHERE revision.id = %s ORDER BY 1
"""


@dataclass(frozen=True)
class PairRow:
    """A step of each side, in their plain form; None where a side has none like the other's, or has ended."""

    number: int
    left: dict[str, Any] | None
    right: dict[str, Any] | None
    left_ended: bool = False
    right_ended: bool = False


@dataclass(frozen=True)
class PairRows:
    """Some rows, and the number of the row after them (None after the last)."""

    rows: list[PairRow]
    next: int | None


def read_shared(revision: Revision, *, shared: int, first: int) -> PairRows:
    """Steps from `first` on of the `shared` ones with which both sides begin; each row's left side is both's."""
    number = max(0, min(ROWS_AT_ONCE, shared + 1 - first))
    steps = read_steps(revision, first=first, number=number) if number else []
    rows = [PairRow(place, _blind(step), None) for place, step in enumerate(steps, start=first)]
    following = first + number
    return PairRows(rows, following if rows and following <= shared else None)


def read_rows(left: Revision, right: Revision, *, shared: int, first: int) -> PairRows:
    """Rows from number `first` on, counted from 1 where the sides part."""
    aligned = _align(left, right, shared=shared)
    shown = aligned[first - 1 : first - 1 + ROWS_AT_ONCE]
    ours, theirs = (_read(revision, [row[side] for row in shown]) for side, revision in enumerate((left, right)))
    ends = [max((place for place, row in enumerate(aligned, start=1) if row[side]), default=0) for side in (0, 1)]
    rows = [
        PairRow(place, ours.get(one or 0), theirs.get(other or 0), place > ends[0], place > ends[1])
        for place, (one, other) in enumerate(shown, start=first)
    ]
    following = first + ROWS_AT_ONCE
    return PairRows(rows, following if following <= len(aligned) else None)


def _align(left: Revision, right: Revision, *, shared: int) -> list[Row]:
    """The rows of a pair; since revisions never change, neither do they."""
    key = f"aligned-{left.pk}-{right.pk}-{shared}"
    rows: list[Row] | None = cache.get(key)
    if rows is None:
        rows = align_steps(_outline(left, after=shared), _outline(right, after=shared))
        cache.set(key, rows, KEPT_SECONDS)
    return rows


def _outline(revision: Revision, *, after: int) -> list[StepOutline]:
    with connection.cursor() as cursor:
        cursor.execute(OUTLINE, [f"$.steps[{after} to last]", revision.pk])
        return [
            StepOutline(step_id, source, tuple(tools), arguments, text)
            for step_id, source, tools, arguments, text in cursor.fetchall()
        ]


def _read(revision: Revision, numbers: Iterable[int | None]) -> dict[int, dict[str, Any]]:
    """The steps with these numbers, which follow one another, by number."""
    wanted = sorted(number for number in numbers if number)
    if not wanted:
        return {}
    steps = read_steps(revision, first=wanted[0], number=wanted[-1] + 1 - wanted[0])
    return {step["step_id"]: _blind(step) for step in steps}


def _blind(step: dict[str, Any]) -> dict[str, Any]:
    """A step without what recorders and corrections added to it: that would tell which side is which."""
    for result in (step.get("observation") or {}).get("results") or []:
        result.pop("extra", None)
    return {name: value for name, value in step.items() if name not in TELLING}
