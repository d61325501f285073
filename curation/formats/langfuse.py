"""Langfuse's traces: observations, of which the generations are model calls, and scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError
from curation.formats.spans import Message, Span, parse_spans


class Langfuse:
    name = "langfuse"
    label = "Langfuse traces"
    looks_for = "traces with `id`, `observations` and `scores`"

    def detect(self, head: Head) -> bool:
        first = head.first or {}
        return isinstance(first.get("observations"), list) and "id" in first

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        return parse_spans(stream, context, format=self.name, read=_read_trace)


def _read_trace(trace: Mapping[str, Any]) -> list[Span]:
    observations = trace.get("observations")
    trace_id = str(trace.get("id") or "")
    if not isinstance(observations, list) or not trace_id:
        raise RecordError("it has no `id` or no list of `observations`")
    scores = {
        str(score.get("name")): score.get("value")
        for score in _list(trace.get("scores"))
        if isinstance(score, Mapping) and isinstance(score.get("value"), int | float)
    }
    root = Span(
        trace_id=trace_id,
        session=trace.get("sessionId"),
        rewards=scores,
        extra={key: trace[key] for key in ("name", "tags", "metadata", "userId") if trace.get(key)},
    )
    spans = [_read_observation(trace_id, item) for item in observations if isinstance(item, Mapping)]
    if not any(span.is_call for span in spans):
        root.messages, root.answer = read_messages(trace.get("input"), "user"), read_messages(trace.get("output"))
        if not root.is_call:
            raise RecordError("none of its observations is a generation with messages")
    return [root, *spans]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _read_observation(trace_id: str, item: Mapping[str, Any]) -> Span:
    kind = str(item.get("type", "")).upper()
    called = item.get("input")
    is_call = kind == "GENERATION"
    failed = item.get("level") == "ERROR"
    return Span(
        trace_id=trace_id,
        span_id=str(item.get("id") or ""),
        parent_id=str(item.get("parentObservationId") or ""),
        start=item.get("startTime") or "",
        is_agent=kind == "AGENT",
        name=str(item.get("name") or ""),
        messages=read_messages(called, "user") if is_call else [],
        answer=read_messages(item.get("output")) if is_call else [],
        model=item.get("model"),
        tools=called.get("tools") if isinstance(called, Mapping) else None,
        error=str(item.get("statusMessage") or "error") if failed else None,
    )


def read_messages(value: Any, role: str = "assistant") -> list[Message]:
    """Chat messages of an input or output: a list, an object that holds them, one message, or a text."""
    if isinstance(value, Mapping):
        inner = next((value[key] for key in ("messages", "choices", "generations") if value.get(key) is not None), None)
        if inner is not None:
            return read_messages(inner, role)
        if isinstance(value.get("message"), Mapping):
            return read_messages(value["message"], role)
        if "role" in value or "content" in value or "tool_calls" in value:
            return [{"role": role} | dict(value)]
        return []
    if isinstance(value, list):
        return [message for item in value for message in read_messages(item, role)]
    return [{"role": role, "content": value}] if isinstance(value, str) and value else []
