"""Logs of requests to an OpenAI-compatible endpoint: the messages that were sent, and the response."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import Record
from curation.formats.document import Document
from curation.formats.reading import parse_records

_READ = {"messages", "response", "tools", "model", "request", "error"}


class OpenAIRequests:
    name = "openai-requests"
    label = "OpenAI request logs"
    looks_for = "records with `messages` (or a `request` that has them) and `response`"

    def detect(self, head: Head) -> bool:
        first = head.first or {}
        return "response" in first and isinstance(_find(first, "messages"), list)

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        return parse_records(stream, partial(_read_request, context=context))


def _read_request(record: Record, *, context: ImportContext) -> tuple[Document, list[str]]:
    value = record.value
    messages = _find(value, "messages")
    if not isinstance(messages, list) or not messages:
        raise RecordError("it has no list of `messages`")
    response, error = value.get("response"), value.get("error")
    answer = _read_response(response)
    if answer is None and not error:
        raise RecordError("its `response` has no message")
    said = response if isinstance(response, Mapping) else {}
    conversation = Conversation(
        messages=[*messages, *([answer] if answer else [])],
        agent="OpenAI endpoint",
        model=said.get("model") or _find(value, "model"),
        session_id=said.get("id"),
        tools=_find(value, "tools"),
        status="crashed" if error else "truncated" if _is_cut(said) else None,
        error=error,
        extra={key: item for key, item in value.items() if key not in _READ} | {"usage": said.get("usage")},
    )
    return build_document(conversation, format=OpenAIRequests.name, index=record.index, context=context)


def _find(value: Mapping[str, Any], key: str) -> Any:
    """A parameter of the request: on the record, in `request`, or among the arguments of the call."""
    places = [value, value.get("request"), value.get("kwargs")]
    arguments = value.get("args")
    places += [arguments, arguments.get("kwargs")] if isinstance(arguments, Mapping) else []
    return next((place[key] for place in places if isinstance(place, Mapping) and place.get(key) is not None), None)


def _read_response(response: Any) -> dict[str, Any] | None:
    if isinstance(response, str):
        return {"role": "assistant", "content": response}
    choices = response.get("choices") if isinstance(response, Mapping) else response
    first = choices[0] if isinstance(choices, list) and choices else response
    message = first.get("message", first) if isinstance(first, Mapping) else None
    if not isinstance(message, Mapping) or not ({"content", "tool_calls"} & message.keys()):
        return None
    return {"role": "assistant"} | dict(message)


def _is_cut(response: Mapping[str, Any]) -> bool:
    choices = response.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return isinstance(first, Mapping) and first.get("finish_reason") == "length"
