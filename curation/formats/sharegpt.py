"""ShareGPT conversations, with tool calls as LLaMA-Factory writes them, and their kin.

AgentTuning and AgentTraj add `loss` to a turn and `item_id` to a record; ETO's runs add `meta`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError
from curation.formats.chat import place_images
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import Record
from curation.formats.document import Document, Status
from curation.formats.messages import document_to_messages
from curation.formats.reading import parse_records

_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "system": "system",
    "observation": "tool",
    "tool": "tool",
    "function_response": "tool",
    "ipython": "tool",
}
_CALLS = ("function_call", "tool_call")
_READ = {"conversations", "tools", "system", "images", "id", "item_id", "meta", "model"}
_TURN_KEYS = {"from", "value", "role", "content"}
_ENDS: dict[str, Status] = {"max_steps": "truncated", "context_length": "truncated", "error": "crashed"}


class ShareGPT:
    name = "sharegpt"
    label = "ShareGPT conversations"
    looks_for = "records with a list `conversations` of `from` and `value`"

    def detect(self, head: Head) -> bool:
        first = head.first or {}
        return isinstance(first.get("conversations"), list)

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        return parse_records(stream, partial(read_record, context=context))


def read_record(record: Record, *, context: ImportContext) -> tuple[Document, list[str]]:
    value = record.value
    messages = turns_to_messages(value.get("conversations"))
    system = value.get("system")
    if isinstance(system, str) and system:
        messages.insert(0, {"role": "system", "content": system})
    meta = value.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    error, end = meta.get("error"), meta.get("terminate_reason")
    conversation = Conversation(
        messages=place_images(messages, value.get("images")),
        text_actions=True,
        agent="ShareGPT agent",
        model=value.get("model"),
        task_id=next((value[key] for key in ("item_id", "id") if value.get(key) not in (None, "")), None),
        reward=meta.get("reward"),
        success=meta.get("success"),
        status="crashed" if error else _ENDS.get(end) if isinstance(end, str) else None,
        error=error,
        tools=value.get("tools"),
        extra={"meta": meta or None} | {key: item for key, item in value.items() if key not in _READ},
    )
    return build_document(conversation, format=ShareGPT.name, index=record.index, context=context)


def turns_to_messages(turns: Any) -> list[dict[str, Any]]:
    """Chat messages of ShareGPT turns. Raises RecordError for what is no list of turns."""
    if not isinstance(turns, list) or not turns:
        raise RecordError("it has no list of `conversations`")
    messages: list[dict[str, Any]] = []
    for number, turn in enumerate(turns, start=1):
        try:
            messages.append(_read_turn(turn))
        except RecordError as error:
            raise RecordError(f"turn {number}: {error}") from error
    return messages


def _read_turn(turn: Any) -> dict[str, Any]:
    if not isinstance(turn, Mapping):
        raise RecordError("it is not an object")
    role, text = turn.get("from", turn.get("role")), turn.get("value", turn.get("content"))
    if not isinstance(role, str):
        raise RecordError("it has no `from`")
    kept = {key: item for key, item in turn.items() if key not in _TURN_KEYS and item is not None}
    if role.lower() in _CALLS:
        return {"role": "assistant", "content": "", "tool_calls": _read_calls(text), **kept}
    return {"role": _ROLES.get(role.lower(), role), "content": text, **kept}


def _read_calls(text: Any) -> list[dict[str, Any]]:
    """The calls of a `function_call` turn: the JSON of one `{name, arguments}`, or of a list of them."""
    try:
        calls = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError) as error:
        raise RecordError("its function call is not JSON") from error
    calls = calls if isinstance(calls, list) else [calls]
    if not calls or not all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls):
        raise RecordError("its function call has no `name`")
    return [{"name": call["name"], "arguments": call.get("arguments", call.get("parameters"))} for call in calls]


def document_to_sharegpt(document: Document) -> dict[str, Any]:
    """The form that LLaMA-Factory reads: calls as turns of their own, `loss` false where a turn is not trained on."""
    turns: list[dict[str, Any]] = []
    system = ""
    for message in document_to_messages(document):
        role, content = message["role"], message["content"]
        left_out = {"loss": False} if message.get("trainable") is False else {}
        if role == "system" and not turns and not system:
            system = content
        elif role == "assistant":
            calls = [_write_call(call["function"]) for call in message.get("tool_calls", [])]
            if content or not calls:
                turns.append({"from": "gpt", "value": content, **left_out})
            if calls:
                written = "[" + ", ".join(calls) + "]" if len(calls) > 1 else calls[0]
                turns.append({"from": "function_call", "value": written, **left_out})
        else:
            turns.append({"from": {"tool": "observation", "user": "human"}.get(role, role), "value": content})
    tools = document.agent.tool_definitions
    return {
        "conversations": turns,
        "system": system,
        "tools": json.dumps(tools, ensure_ascii=False) if tools else "",
    }


def _write_call(function: Mapping[str, Any]) -> str:
    """One call as JSON text; arguments that are JSON stand in it as they were recorded."""
    name, arguments = json.dumps(function["name"], ensure_ascii=False), function["arguments"] or "{}"
    try:
        json.loads(arguments)
    except (ValueError, RecursionError):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return f'{{"name": {name}, "arguments": {arguments}}}'
