"""SWE-agent's `.traj`: `history`, the conversation as the model saw it, and `trajectory`, what each action came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError
from curation.formats.cleaning import clean_text
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import Record
from curation.formats.document import Document, Status
from curation.formats.reading import parse_records
from curation.formats.swe_bench import find_resolved

_DROPPED = {"thought", "agent", "message_type", "is_demo", "tool_call_ids"}
_OF_STEP = ("state", "execution_time")


class SweAgent:
    name = "swe-agent"
    label = "SWE-agent trajectories"
    looks_for = "an object with `history` whose messages name their `agent`, and `trajectory`"

    def detect(self, head: Head) -> bool:
        history = (head.first or {}).get("history")
        first = history[0] if isinstance(history, list) and history else None
        return isinstance(first, dict) and first.keys() >= {"role", "agent"}

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        return parse_records(stream, partial(_read_trajectory, context=context))


def _read_trajectory(record: Record, *, context: ImportContext) -> tuple[Document, list[str]]:
    value = record.value
    info = value.get("info")
    info = info if isinstance(info, dict) else {}
    task_id = _name_task(clean_text(context.filename)[0])
    status = info.get("exit_status")
    status = status if isinstance(status, str) else ""
    config = value.get("replay_config")
    messages = _read_history(value)
    conversation = Conversation(
        messages=messages,
        text_actions=True,
        agent="SWE-agent",
        task_id=task_id,
        instruction=_find_instruction(messages),
        status=_read_status(status),
        error=status if _read_status(status) == "crashed" else None,
        success=find_resolved(task_id, context) if task_id else None,
        scorer="SWE-bench" if context.members else None,
        extra={"info": info or None, "environment": value.get("environment"), "replay_config": config},
    )
    return build_document(conversation, format=SweAgent.name, index=record.index, context=context)


def _read_history(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Chat messages; what answers an agent that acts by its text is the environment's, though its role says user."""
    history, taken = value.get("history"), value.get("trajectory")
    if not isinstance(history, list) or not history:
        raise RecordError("it has no `history`")
    steps = [step for step in taken if isinstance(step, Mapping)] if isinstance(taken, list) else []
    own = [item for item in history if isinstance(item, Mapping) and _is_action(item)]
    states = iter(steps if len(steps) == len(own) else [])
    messages: list[dict[str, Any]] = []
    acted = False
    for number, item in enumerate(history, start=1):
        if not isinstance(item, Mapping) or not isinstance(item.get("role"), str):
            raise RecordError(f"message {number} of its history: it has no role")
        message = {key: part for key, part in item.items() if key not in _DROPPED}
        ids = item.get("tool_call_ids")
        if item["role"] == "tool" and isinstance(ids, list) and ids:
            message["tool_call_id"] = ids[0]
        elif item["role"] == "user" and acted and not item.get("is_demo"):
            message["role"] = "tool"
        if item.get("is_demo"):
            message |= {"is_demo": True, "trainable": False}
        elif _is_action(item):
            acted = True
            step = next(states, {})
            message |= {key: step[key] for key in _OF_STEP if step.get(key) is not None}
        messages.append(message)
    last = steps[-1].get("observation") if steps else None
    if messages[-1]["role"] == "assistant" and isinstance(last, str) and last:
        messages.append({"role": "tool", "content": last})
    return messages


def _is_action(item: Mapping[str, Any]) -> bool:
    return item.get("role") == "assistant" and not item.get("is_demo")


def _find_instruction(messages: list[dict[str, Any]]) -> str | None:
    told = (item.get("content") for item in messages if item["role"] == "user" and not item.get("is_demo"))
    return next((content for content in told if isinstance(content, str)), None)


def _read_status(exit_status: str) -> Status | None:
    """The status by how the run ended: `submitted`, `submitted (exit_cost)`, `exit_context`, `exit_error`, ..."""
    if exit_status.startswith("submitted"):
        return "completed"
    if any(word in exit_status for word in ("context", "cost", "format", "time")):
        return "truncated"
    return "crashed" if exit_status else None


def _name_task(filename: str) -> str | None:
    name = PurePosixPath(filename.replace("\\", "/")).name
    return name.removesuffix(".gz").removesuffix(".zst").removesuffix(".traj") or None
