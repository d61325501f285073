"""What is read of one revision's document. It is cut up inside the database: no page loads the whole of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.db import connection

from curation.models import Revision
from curation.selectors.trajectories import STEPS_AT_ONCE

MOST_HITS = 200
MOST_TOKENS = 10**12

# One pass over the document, since every pass decompresses all of it: each key with its value, of the steps a line
# for each, with its content where it is wanted. Of subagents, what their headings say.
_OPENING = """
SELECT part.key, step.number, step.value->>'source',
    coalesce(left(step.value #>> '{observation,results,0,content,0,text}', 200) ~* '^\\s*(error|traceback)', false),
    step.value #> '{metrics,prompt_tokens}', step.value #> '{metrics,completion_tokens}',
    CASE part.key
        WHEN 'steps' THEN CASE WHEN step.number BETWEEN %(first)s AND %(last)s THEN step.value END
        WHEN 'subagent_trajectories' THEN (
            SELECT jsonb_agg(jsonb_build_object('trajectory_id', one->'trajectory_id', 'name', one #> '{agent,name}',
                'step_count', jsonb_array_length(one->'steps'))) FROM jsonb_array_elements(part.value) AS one)
        ELSE part.value
    END
FROM curation_revision, jsonb_each(document) AS part(key, value)
    LEFT JOIN LATERAL jsonb_array_elements(CASE part.key WHEN 'steps' THEN part.value END)
        WITH ORDINALITY AS step(value, number) ON true
WHERE id = %(revision)s ORDER BY step.number
"""

# Each text of each step under the name that pages know it by.
_TEXTS = """
SELECT 'message' AS part, 0 AS place, (
    SELECT string_agg(piece->>'text', '') FROM jsonb_array_elements(step.value->'message') AS piece) AS words
UNION ALL SELECT 'reasoning', 1, step.value->>'reasoning_content'
UNION ALL SELECT 'call-' || call.number - 1, 1 + call.number, (call.value->>'function_name') || ' ' || coalesce(
    nullif(call.value->'arguments', 'null')::text, call.value->>'arguments_raw')
    FROM jsonb_array_elements(nullif(step.value->'tool_calls', 'null')) WITH ORDINALITY AS call(value, number)
UNION ALL SELECT 'result-' || result.number - 1, 10000 + result.number, (
    SELECT string_agg(piece->>'text', '') FROM jsonb_array_elements(result.value->'content') AS piece)
    FROM jsonb_array_elements(step.value #> '{observation,results}') WITH ORDINALITY AS result(value, number)
"""
_FIND = f"""
SELECT step.number, text.part, at, substr(words, greatest(at - 60, 1), least(at - 1, 60)),
    substr(words, at, length(%(words)s::text)), substr(words, at + length(%(words)s::text), 120),
    (length(lower(words)) - length(replace(lower(words), lower(%(words)s::text), '')))
        / length(lower(%(words)s::text))
FROM curation_revision, jsonb_array_elements(document->'steps') WITH ORDINALITY AS step(value, number),
    LATERAL ({_TEXTS}) AS text, strpos(lower(words), lower(%(words)s::text)) AS at
WHERE id = %(revision)s AND at > 0 ORDER BY step.number, text.place LIMIT %(most)s
"""  # noqa: S608  # made of the constant above


@dataclass(frozen=True)
class StepMark:
    """One step of the minimap."""

    step_id: int
    source: str
    is_error: bool


@dataclass(frozen=True)
class Opening:
    """What a reading page begins with. `head` is the document without its steps, and without the steps of subagents.

    Tokens are those read and written by the model, None where the file does not say.
    """

    head: dict[str, Any]
    marks: list[StepMark]
    steps: list[dict[str, Any]]
    tokens_read: int | None
    tokens_written: int | None


@dataclass(frozen=True)
class Hit:
    """A text, `part` of a step, in which words were found: the first match with what is around it, and how often."""

    step_id: int
    part: str
    before: str
    match: str
    after: str
    times: int


def read_opening(revision: Revision, *, first: int = 1) -> Opening:
    """The head, a mark for each step, and the steps from `first` on: one statement.

    An observation that begins with "error" marks a failed action.
    """
    head: dict[str, Any] = {}
    marks: list[StepMark] = []
    steps: list[dict[str, Any]] = []
    read: list[int | None] = []
    written: list[int | None] = []
    with connection.cursor() as cursor:
        cursor.execute(_OPENING, {"revision": revision.pk, "first": first, "last": first + STEPS_AT_ONCE - 1})
        for key, number, source, is_error, prompt, completion, value in cursor.fetchall():
            if key != "steps":
                head[key] = _as_json(value)
                continue
            marks.append(StepMark(number, source, is_error))
            read.append(_count(_as_json(prompt)))
            written.append(_count(_as_json(completion)))
            if value is not None:
                steps.append(_as_json(value))
    total = head.get("final_metrics") or {}
    return Opening(
        head=head,
        marks=marks,
        steps=steps,
        tokens_read=_first_known(_count(total.get("total_prompt_tokens")), _sum(read)),
        tokens_written=_first_known(_count(total.get("total_completion_tokens")), _sum(written)),
    )


def read_subagent(revision: Revision, path: list[int]) -> dict[str, Any] | None:
    """A subagent's trajectory in ATIF's form, by its place among the subagents, and theirs."""
    keys = [key for number in path for key in ("subagent_trajectories", str(number))]
    value = _read(revision, keys)
    return value if isinstance(value, dict) else None


def read_part(revision: Revision, step_id: int, *path: str) -> Any:
    """What stands at `path` in a step, None where there is nothing."""
    return _read(revision, ["steps", str(step_id - 1), *path])


def find_in_steps(revision: Revision, words: str) -> list[Hit]:
    """The texts that hold the words as they stand, whatever their case: at most MOST_HITS, in the order of reading."""
    if not words or "\x00" in words:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_FIND, {"revision": revision.pk, "words": words, "most": MOST_HITS})
        return [Hit(step, part, *pieces) for step, part, _, *pieces in cursor.fetchall()]


def _read(revision: Revision, keys: list[str]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT document #> %s FROM curation_revision WHERE id = %s", [keys, revision.pk])
        row = cursor.fetchone()
    return _as_json(row[0]) if row else None


def _as_json(value: Any) -> Any:
    """Django leaves JSON of raw SQL as text."""
    return json.loads(value) if isinstance(value, str) else value


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < MOST_TOKENS else None


def _sum(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _first_known(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)
