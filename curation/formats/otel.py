"""OpenTelemetry's spans of generative AI: OTLP's JSON, or spans as flat objects, with `gen_ai.` attributes.

The semantic conventions keep messages as `{role, parts}`; text or values, in attributes or in events.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError
from curation.formats.media import media_part
from curation.formats.messages import write_arguments
from curation.formats.spans import Message, Span, parse_spans

_AGENT_OPERATIONS = ("invoke_agent", "create_agent")


class OTel:
    name = "otel-genai"
    label = "OpenTelemetry GenAI spans"
    looks_for = "spans with attributes `gen_ai.…`, in `resourceSpans` or one by one"

    def detect(self, head: Head) -> bool:
        return any(
            key.startswith("gen_ai.") for record in head.records for span in list_spans(record) for key in span.names
        )

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        return parse_spans(stream, context, format=self.name, read=_read_record)


class RawSpan:
    """A span of either form: its attributes and those of its events as plain values."""

    def __init__(self, span: Mapping[str, Any]) -> None:
        self.span = span
        self.attributes = _read_attributes(span.get("attributes"))
        events = [event for event in _list(span.get("events")) if isinstance(event, Mapping)]
        self.events = [(str(event.get("name")), _read_attributes(event.get("attributes"))) for event in events]
        self.names = [*self.attributes, *(name for name, _ in self.events)]

    def find(self, *names: str) -> Any:
        """The first of these attributes, on the span or one of its events."""
        places = [self.attributes, *(attributes for _, attributes in self.events)]
        return next((place[name] for name in names for place in places if place.get(name) is not None), None)

    @property
    def trace_id(self) -> str:
        context = self.span.get("context")
        context = context if isinstance(context, Mapping) else {}
        found = self.span.get("traceId") or self.span.get("trace_id") or context.get("trace_id")
        return str(found or "")

    @property
    def span_id(self) -> str:
        context = self.span.get("context")
        context = context if isinstance(context, Mapping) else {}
        return str(self.span.get("spanId") or self.span.get("span_id") or context.get("span_id") or "")

    @property
    def parent_id(self) -> str:
        return str(
            next((self.span[key] for key in ("parentSpanId", "parent_span_id", "parent_id") if self.span.get(key)), "")
        )

    @property
    def start(self) -> Any:
        keys = ("startTimeUnixNano", "start_time_unix_nano", "start_time", "startTime")
        return next((self.span[key] for key in keys if self.span.get(key) is not None), "")

    @property
    def error(self) -> str | None:
        status = self.span.get("status")
        status = status if isinstance(status, Mapping) else {}
        failed = status.get("code", status.get("status_code")) in (2, "ERROR", "STATUS_CODE_ERROR")
        return str(status.get("message") or status.get("description") or "error") if failed else None


def list_spans(record: Mapping[str, Any]) -> list[RawSpan]:
    """The spans of a record: of an OTLP export, or the one that the record is."""
    exports = record.get("resourceSpans", record.get("resource_spans"))
    if not isinstance(exports, list):
        is_span = "attributes" in record and ("trace_id" in record or "traceId" in record or "context" in record)
        return [RawSpan(record)] if is_span else []
    spans = []
    for export in exports:
        export = export if isinstance(export, Mapping) else {}
        for scope in _list(export.get("scopeSpans", export.get("scope_spans"))):
            scope = scope if isinstance(scope, Mapping) else {}
            spans += [RawSpan(span) for span in _list(scope.get("spans")) if isinstance(span, Mapping)]
    return spans


def _read_record(record: Mapping[str, Any]) -> list[Span]:
    spans = list_spans(record)
    if not spans:
        raise RecordError("it is no span, and no export of spans")
    return [_read_span(span) for span in spans]


def _read_span(span: RawSpan) -> Span:
    operation = span.find("gen_ai.operation.name")
    messages = _read_messages(span.find("gen_ai.input.messages", "gen_ai.prompt"))
    system = _read_parts("system", _load(span.find("gen_ai.system_instructions")))
    if system and not any(message["role"] == "system" for message in messages):
        messages = system + messages
    session = span.find("gen_ai.conversation.id", "session.id")
    scores = {
        str(attributes.get("gen_ai.evaluation.name", "score")): attributes.get("gen_ai.evaluation.score.value")
        for name, attributes in span.events
        if name == "gen_ai.evaluation.result"
    }
    answer = _read_messages(span.find("gen_ai.output.messages", "gen_ai.completion"))
    is_agent = operation in _AGENT_OPERATIONS
    return Span(
        trace_id=str(session or span.trace_id),
        span_id=span.span_id,
        parent_id=span.parent_id,
        start=span.start,
        is_agent=is_agent,
        name=str(span.find("gen_ai.agent.name") or ""),
        messages=[] if is_agent else messages,
        answer=[] if is_agent else answer,
        model=span.find("gen_ai.response.model", "gen_ai.request.model"),
        tools=_load(span.find("gen_ai.tool.definitions")),
        session=session,
        error=span.error,
        rewards=scores,
    )


def _read_messages(value: Any) -> list[Message]:
    return [read for message in _list(_load(value)) for read in _read_message(message)]


def _read_message(message: Any) -> list[Message]:
    if not isinstance(message, Mapping):
        return []
    role = str(message.get("role") or "user")
    if isinstance(message.get("parts"), list):
        return _read_parts(role, message["parts"])
    return [dict(message) | {"role": role}]


def _read_parts(role: str, parts: Any) -> list[Message]:
    """The message that parts make, and the results among them as messages of their own."""
    message: Message = {"role": role, "content": [], "tool_calls": [], "reasoning_content": ""}
    results: list[Message] = []
    for part in _list(parts):
        if not isinstance(part, Mapping):
            continue
        kind = part.get("type")
        content = part.get("content", part.get("text"))
        if kind == "tool_call":
            arguments = part.get("arguments")
            text = arguments if isinstance(arguments, str) else write_arguments(arguments or {})
            message["tool_calls"].append({"id": part.get("id"), "name": part.get("name"), "arguments": text})
        elif kind == "tool_call_response":
            response = part.get("response", part.get("result"))
            text = response if isinstance(response, str) else write_arguments(response)
            results.append({"role": "tool", "tool_call_id": part.get("id"), "content": text})
        elif kind == "reasoning":
            message["reasoning_content"] += str(content or "")
        elif kind in ("blob", "uri", "file"):
            message["content"].append(_read_blob(part))
        else:
            message["content"].append(content if isinstance(content, str) else dict(part))
    said = message["content"] or message["tool_calls"] or message["reasoning_content"]
    kept = {key: item for key, item in message.items() if item or key in ("role", "content")}
    return results + ([kept] if said else [])


def _read_blob(part: Mapping[str, Any]) -> dict[str, Any]:
    media_type = str(part.get("mime_type") or part.get("media_type") or "")
    kind = str(part.get("modality") or media_type.split("/")[0] or "image")
    data = part.get("content", part.get("data"))
    if part.get("type") == "blob" and isinstance(data, str):
        return {"type": kind, "source": {"media_type": media_type or f"{kind}/*", "data": data}}
    address = part.get("uri") or part.get("file_id") or ""
    return media_part(kind, str(address), media_type=media_type or None).model_dump(mode="json")


def _read_attributes(value: Any) -> dict[str, Any]:
    """Attributes as an object: OTLP's are a list of `{key, value: {stringValue}}`."""
    if isinstance(value, Mapping):
        return dict(value)
    pairs = [item for item in _list(value) if isinstance(item, Mapping) and isinstance(item.get("key"), str)]
    return {item["key"]: _read_any(item.get("value")) for item in pairs}


def _read_any(value: Any) -> Any:
    if not isinstance(value, Mapping) or len(value) != 1:
        return value
    ((kind, inner),) = value.items()
    if kind == "intValue":
        return int(inner) if isinstance(inner, str) and inner.lstrip("-").isdecimal() else inner
    if kind == "arrayValue":
        return [_read_any(item) for item in _list(inner.get("values"))] if isinstance(inner, Mapping) else []
    if kind == "kvlistValue":
        return _read_attributes(inner.get("values")) if isinstance(inner, Mapping) else {}
    return inner


def _load(value: Any) -> Any:
    """A value that may be written as JSON text."""
    if not isinstance(value, str) or value[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
