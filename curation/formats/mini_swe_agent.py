"""mini-swe-agent's trajectories: `messages` and `info`; a SWE-bench report beside them holds the outcome."""

from __future__ import annotations

from collections.abc import Iterator
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

_ENDS: dict[str, Status] = {
    "Submitted": "completed",
    "LimitsExceeded": "truncated",
    "StepLimitExceeded": "truncated",
    "CostLimitExceeded": "truncated",
    "ContextWindowExceededError": "truncated",
}


class MiniSweAgent:
    name = "mini-swe-agent"
    label = "mini-swe-agent trajectories"
    looks_for = "an object with `trajectory_format` mini-swe-agent, `messages` and `info`"

    def detect(self, head: Head) -> bool:
        return str((head.first or {}).get("trajectory_format")).startswith("mini-swe-agent")

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        return parse_records(stream, partial(_read_trajectory, context=context))


def _read_trajectory(record: Record, *, context: ImportContext) -> tuple[Document, list[str]]:
    value = record.value
    messages = value.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RecordError("it has no list of `messages`")
    info = value.get("info")
    info = info if isinstance(info, dict) else {}
    end = info.get("exit_status")
    end = end if isinstance(end, str) else ""
    task_id = value.get("instance_id") or _name_task(clean_text(context.filename)[0])
    read = [_read_message(message) for message in messages]
    acts_by_text = not any(isinstance(message, dict) and message.get("tool_calls") for message in read)
    conversation = Conversation(
        messages=_mark_observations(read) if acts_by_text else read,
        text_actions=acts_by_text,
        agent="mini-swe-agent",
        agent_version=info.get("mini_version"),
        model=_find_model(info),
        task_id=task_id,
        status=_ENDS.get(end) or ("crashed" if end else None),
        error=end if end and end not in _ENDS else None,
        success=find_resolved(task_id, context) if isinstance(task_id, str) else None,
        scorer="SWE-bench" if context.members else None,
        extra={"info": info or None},
    )
    version = value.get("trajectory_format")
    return build_document(
        conversation, format=MiniSweAgent.name, index=record.index, context=context, version=str(version)
    )


def _read_message(message: Any) -> Any:
    """The last message of a run that ended has the role `exit`: it is the environment's."""
    if isinstance(message, dict) and message.get("role") == "exit":
        return message | {"role": "environment"}
    return message


def _mark_observations(messages: list[Any]) -> list[Any]:
    """User messages that answer an agent which acts by its text are the environment's."""
    marked, acted = [], False
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        acted = acted or role == "assistant"
        marked.append(message | {"role": "tool"} if role == "user" and acted else message)
    return marked


def _find_model(info: dict[str, Any]) -> Any:
    config = info.get("config")
    model = config.get("model") if isinstance(config, dict) else None
    return model.get("model_name") if isinstance(model, dict) else None


def _name_task(filename: str) -> str | None:
    name = PurePosixPath(filename.replace("\\", "/")).name
    return name.split(".traj")[0].removesuffix(".json") or None
