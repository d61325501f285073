"""ATIF, the Agent Trajectory Interchange Format, versions 1.0 to 1.8: in, and out again without loss."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO

import atif
from pydantic import ValidationError

from curation.formats.atif_media import attach_media, write_part
from curation.formats.base import Found, Head, ImportContext, RecordError, describe_source
from curation.formats.conversations import first_request
from curation.formats.decoding import Record
from curation.formats.document import (
    SCHEMA_VERSION,
    Agent,
    ContentForm,
    Document,
    Observation,
    ObservationResult,
    Part,
    Step,
    Task,
    ToolCall,
    fingerprint_instruction,
    text_of,
    text_parts,
)
from curation.formats.harbor import complete_from_trial
from curation.formats.messages import write_arguments
from curation.formats.reading import describe_invalid, parse_records
from curation.formats.whetstone import is_own

_VERSION = re.compile(r"(?:ATIF-)?v?1\.[0-8](?:\.\d+)?", re.IGNORECASE)
_ROOT_KEYS = (
    "session_id",
    "trajectory_id",
    "notes",
    "final_metrics",
    "continued_trajectory_ref",
    "extra",
    "subagent_trajectories",
)
_STEP_KEYS = (
    "timestamp",
    "model_name",
    "reasoning_effort",
    "reasoning_content",
    "metrics",
    "llm_call_count",
    "is_copied_context",
    "extra",
)


class Atif:
    name = "atif"
    label = "ATIF"
    looks_for = "an object with `schema_version` ATIF-v1.0 to ATIF-v1.8, `agent` and `steps`"

    def detect(self, head: Head) -> bool:
        first = head.first or {}
        return {"schema_version", "agent", "steps"} <= first.keys() and not is_own(head)

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        return parse_records(stream, partial(read_trajectory, context=context))


def read_trajectory(record: Record, *, context: ImportContext) -> tuple[Document, list[str]]:
    """One trajectory. ATIF has no task id and no reward: the task is known by the text of its first request."""
    value = record.value
    version = value.get("schema_version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise RecordError(f"`schema_version` is {str(version)[:40]!r}; ATIF-v1.0 to ATIF-v1.8 can be read")
    try:
        atif.Trajectory.model_validate(value, strict=True)
    except ValidationError as error:
        raise RecordError(f"it is not valid ATIF: {describe_invalid(error)}") from error
    steps = [_read_step(step) for step in value["steps"]]
    instruction = first_request(steps)
    fingerprint = fingerprint_instruction(instruction)
    agent = Agent.model_validate(value["agent"])
    document = Document.model_validate(
        {
            "agent": agent.model_copy(
                update={"model_name": context.model if agent.model_name is None else agent.model_name}
            ),
            "steps": steps,
            "source": describe_source(Atif.name, context, index=record.index, version=version),
            "task": Task(
                id=fingerprint[:16], dataset=context.dataset, fingerprint=fingerprint, instruction=instruction
            ),
        }
        | {key: value[key] for key in _ROOT_KEYS if value.get(key) is not None}
    )
    attach_media(document, context)
    return complete_from_trial(document, context)


def subagent_steps(value: Mapping[str, Any]) -> list[Step]:
    """The steps of a subagent's trajectory, which stands in a document in ATIF's form."""
    return [_read_step(step) for step in value.get("steps") or []]


def document_to_atif(document: Document) -> dict[str, Any]:
    """The ATIF form of a document. One that was read from ATIF comes out as it went in, but for keys that were null.

    What ATIF has no place for (task, trial, outcome) is left out. Arguments that are no JSON object stand in the
    call's `extra.arguments_raw`.
    """
    version = document.source.version if document.source.format == Atif.name else None
    root = {key: getattr(document, key) for key in _ROOT_KEYS}
    written = {
        "schema_version": version or SCHEMA_VERSION,
        "agent": _without_none(document.agent.model_dump(mode="json")),
        "steps": [_write_step(step) for step in document.steps],
    }
    return written | _without_none(root)


def _read_step(value: Mapping[str, Any]) -> Step:
    message, message_form = _read_content(value.get("message"))
    agent = value["source"] == "agent"
    step_id = value["step_id"]
    calls = [
        _read_call(call, call_id=f"{step_id}.{order}")
        for order, call in enumerate(value.get("tool_calls") or [], start=1)
    ]
    observation = value.get("observation")
    copied = value.get("is_copied_context") is True or value.get("llm_call_count") == 0
    return Step.model_validate(
        {
            "step_id": step_id,
            "source": value["source"],
            "message": message,
            "message_form": message_form,
            "tool_calls": calls if value.get("tool_calls") is not None else None,
            "observation": _read_observation(observation, calls) if observation is not None else None,
            "actor": "assistant" if agent else "user" if value["source"] == "user" else "environment",
            "trainable": agent and not copied,
        }
        | {key: value[key] for key in _STEP_KEYS if value.get(key) is not None}
    )


def _read_call(value: Mapping[str, Any], *, call_id: str) -> ToolCall:
    return ToolCall(
        tool_call_id=call_id,
        native_id=value["tool_call_id"],
        function_name=value["function_name"],
        arguments=value["arguments"],
        arguments_raw=write_arguments(value["arguments"]),
        extra=value.get("extra"),
    )


def _read_observation(value: Mapping[str, Any], calls: list[ToolCall]) -> Observation:
    """Results with their calls. Where a step's ids repeat, each result takes the first call of its id still open."""
    open_calls = list(calls)
    results = []
    for result in value["results"]:
        wanted = result.get("source_call_id")
        answered = None
        if wanted is not None:
            same_id = [call for call in open_calls if call.native_id == wanted] or [
                call for call in calls if call.native_id == wanted
            ]
            answered = same_id[0] if same_id else None
        if answered in open_calls:
            open_calls.remove(answered)
        content, form = _read_content(result.get("content"))
        results.append(
            ObservationResult(
                source_call_id=answered.tool_call_id if answered else None,
                native_id=wanted if wanted is not None and answered is None else None,
                content=content,
                content_form=form,
                subagent_trajectory_ref=result.get("subagent_trajectory_ref"),
                extra=result.get("extra"),
            )
        )
    return Observation(results=results)


def _read_content(value: Any) -> tuple[list[Part], ContentForm]:
    if value is None:
        return [], "none"
    if isinstance(value, str):
        return text_parts(value), "text"
    return [Part.model_validate(_without_none(part)) for part in value], "parts"


def _write_step(step: Step) -> dict[str, Any]:
    written: dict[str, Any] = {
        "step_id": step.step_id,
        "source": step.source,
        "message": _write_content(step.message, step.message_form),
    }
    if step.tool_calls is not None:
        written["tool_calls"] = [_write_call(call) for call in step.tool_calls]
    if step.observation is not None:
        native = {call.tool_call_id: _native_id(call) for call in step.tool_calls or []}
        written["observation"] = {"results": [_write_result(result, native) for result in step.observation.results]}
    return written | _without_none({key: getattr(step, key) for key in _STEP_KEYS})


def _write_call(call: ToolCall) -> dict[str, Any]:
    extra = call.extra
    if call.arguments is None:
        extra = (extra or {}) | {"arguments_raw": call.arguments_raw}
    return _without_none(
        {
            "tool_call_id": _native_id(call),
            "function_name": call.function_name,
            "arguments": call.arguments or {},
            "extra": extra,
        }
    )


def _write_result(result: ObservationResult, native: Mapping[str, str]) -> dict[str, Any]:
    own, extra = result.source_call_id, result.extra
    if result.native_id is not None:
        extra = (extra or {}) | {"source_call_id": result.native_id}  # in its place, ATIF wants a call of this step
    return _without_none(
        {
            "source_call_id": native[own] if own is not None else None,
            "content": _write_content(result.content, result.content_form),
            "subagent_trajectory_ref": result.subagent_trajectory_ref,
            "extra": extra,
        }
    )


def _write_content(parts: list[Part], form: ContentForm) -> str | list[dict[str, Any]] | None:
    if form == "none" and not parts:
        return None
    if form == "text" and all(part.type == "text" for part in parts):
        return text_of(parts)
    return [write_part(part) for part in parts]


def _native_id(call: ToolCall) -> str:
    return call.native_id if call.native_id is not None else call.tool_call_id


def _without_none(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if item is not None}
