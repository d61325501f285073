"""Codex's sessions: JSON lines of `type` and `payload`, of which the response items are the conversation.

Older sessions have the items themselves on their lines, behind one line about the session.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError, Rejected
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import Record
from curation.formats.document import Document
from curation.formats.messages import write_arguments
from curation.formats.reading import build_record, read_records

_TYPES = {"session_meta", "turn_context", "response_item", "event_msg", "compacted"}
_ITEMS = {"message", "reasoning", "function_call", "function_call_output"}
_ABOUT = ("<environment_context>", "<user_instructions>", "# AGENTS.md", "<permissions instructions>", "<turn_aborted>")


class Codex:
    name = "codex"
    label = "Codex sessions"
    looks_for = "JSON lines with `type` session_meta, response_item or event_msg, and `payload`"

    def detect(self, head: Head) -> bool:
        records = head.records
        if any(_kind(record) in _TYPES and isinstance(record.get("payload"), dict) for record in records):
            return True
        first = head.first or {}
        return {"id", "timestamp"} <= first.keys() and any(_kind(record) in _ITEMS for record in records[1:])

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        lines: list[dict[str, Any]] = []
        unread = 0
        for item in read_records(stream):
            if isinstance(item, Rejected):
                if item.fatal:
                    yield item
                    return
                unread += 1
            else:
                lines.append(item.value)
        warnings = ("a line that could not be read was left out",) if unread else ()
        yield build_record(Record(0, {"lines": lines}, "", warnings), partial(_read_session, context=context))


def _read_session(record: Record, *, context: ImportContext) -> tuple[Document, list[str]]:
    meta: Mapping[str, Any] = {}
    model = None
    items: list[Mapping[str, Any]] = []
    for line in record.value["lines"]:
        kind, payload = line.get("type"), line.get("payload")
        if not isinstance(payload, Mapping):
            if kind is None and "id" in line and not meta:
                meta = line
            elif kind is not None:
                items.append(line)
        elif kind == "session_meta" and not meta:
            meta = payload
        elif kind == "turn_context":
            model = payload.get("model") or model
        elif kind == "response_item":
            items.append(payload)
    messages = _read_items(items)
    if not messages:
        raise RecordError("it holds no response item")
    conversation = Conversation(
        messages=messages,
        agent="Codex",
        agent_version=meta.get("cli_version"),
        model=model or meta.get("model"),
        session_id=meta.get("id"),
        instruction=_find_request(messages),
        extra={key: meta.get(key) for key in ("cwd", "git", "originator", "instructions")},
    )
    return build_document(conversation, format=Codex.name, index=record.index, context=context)


def _read_items(items: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Chat messages; what the model said, thought and called between two results is one turn."""
    messages: list[dict[str, Any]] = []
    turn: dict[str, Any] | None = None
    for item in items:
        kind = str(item.get("type"))
        if kind == "message" and item.get("role") != "assistant":
            messages.append({"role": str(item.get("role") or "user"), "content": item.get("content")})
            turn = None
        elif kind.endswith("_output"):
            messages.append(_read_result(item))
            turn = None
        else:
            if turn is None:
                turn = {"role": "assistant", "content": [], "tool_calls": [], "reasoning_content": ""}
                messages.append(turn)
            _add(turn, kind, item)
    return messages


def _add(turn: dict[str, Any], kind: str, item: Mapping[str, Any]) -> None:
    if kind == "message":
        content = item.get("content")
        turn["content"] += content if isinstance(content, list) else [content or ""]
    elif kind == "reasoning":
        pieces = [part for key in ("summary", "content") for part in _list(item.get(key)) if isinstance(part, Mapping)]
        turn["reasoning_content"] += "\n".join(str(part.get("text") or "") for part in pieces)
    elif kind.endswith("_call"):
        arguments: Any = next((item[key] for key in ("arguments", "input", "action") if item.get(key) is not None), {})
        if kind == "custom_tool_call":
            arguments = {"input": arguments}
        turn["tool_calls"].append(
            {
                "id": item.get("call_id", item.get("id")),
                "name": item.get("name") or kind.removesuffix("_call"),
                "arguments": arguments if isinstance(arguments, str) else write_arguments(arguments),
            }
        )


def _read_result(item: Mapping[str, Any]) -> dict[str, Any]:
    output = item.get("output")
    if output is None and "tools" in item:
        output = write_arguments(item["tools"])
    if isinstance(output, Mapping) and isinstance(output.get("content"), str):
        output = output["content"]
    return {"role": "tool", "tool_call_id": item.get("call_id"), "content": output}


def _find_request(messages: list[dict[str, Any]]) -> str | None:
    """What the user asked for: the first message that is not about the session's surroundings."""
    for message in messages:
        content = message["content"]
        parts = content if isinstance(content, list) else [{"text": content}]
        text = "".join(str(part.get("text") or "") for part in parts if isinstance(part, Mapping))
        if message["role"] == "user" and text.strip() and not text.lstrip().startswith(_ABOUT):
            return text
    return None


def _kind(record: Mapping[str, Any]) -> str:
    found = record.get("type")
    return found if isinstance(found, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
