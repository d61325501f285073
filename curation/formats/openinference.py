"""OpenInference's spans, as Phoenix exports them: messages flattened into attributes, `llm.input_messages.0...`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError
from curation.formats.decoding import Loader
from curation.formats.otel import RawSpan, list_spans
from curation.formats.spans import Message, Span, parse_spans

_INPUT = "llm.input_messages."
_OUTPUT = "llm.output_messages."
_NUMBER = re.compile(r"\d{1,6}")


class OpenInference:
    name = "openinference"
    label = "OpenInference spans"
    looks_for = "spans with attributes `openinference.span.kind` and `llm.input_messages.…`"

    def detect(self, head: Head) -> bool:
        return any(_is_openinference(span.attributes) for record in head.records for span in list_spans(record))

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        return parse_spans(stream, context, format=self.name, read=_read_record)


def _is_openinference(attributes: Mapping[str, Any]) -> bool:
    return any(key == "openinference.span.kind" or key.startswith(_INPUT) for key in _flatten(attributes))


def _read_record(record: Mapping[str, Any]) -> list[Span]:
    spans = list_spans(record)
    if not spans:
        raise RecordError("it is no span, and no export of spans")
    return [_read_span(span) for span in spans]


def _read_span(span: RawSpan) -> Span:
    attributes = _flatten(span.attributes)
    kind = str(attributes.get("openinference.span.kind", "")).upper()
    tools = [item for key, item in attributes.items() if re.fullmatch(r"llm\.tools\.\d+\.tool\.json_schema", key)]
    session = attributes.get("session.id")
    return Span(
        trace_id=str(session or span.trace_id),
        span_id=span.span_id,
        parent_id=span.parent_id,
        start=span.start,
        is_agent=kind == "AGENT",
        name=str(attributes.get("agent.name") or span.span.get("name") or ""),
        messages=_read_messages(attributes, _INPUT),
        answer=_read_messages(attributes, _OUTPUT),
        model=attributes.get("llm.model_name"),
        tools=[_load(tool) for tool in tools] or None,
        session=session,
        error=span.error,
        rewards={
            key.split(".")[1]: item for key, item in attributes.items() if re.fullmatch(r"eval\.[^.]+\.score", key)
        },
    )


def _read_messages(attributes: Mapping[str, Any], prefix: str) -> list[Message]:
    tree = _unflatten({key.removeprefix(prefix): item for key, item in attributes.items() if key.startswith(prefix)})
    return [_read_message(item.get("message", item)) for item in _in_order(tree) if isinstance(item, Mapping)]


def _read_message(value: Any) -> Message:
    value = value if isinstance(value, Mapping) else {}
    contents = [_read_content(item) for item in _in_order(value.get("contents"))]
    message: Message = {"role": str(value.get("role") or "user"), "content": contents or value.get("content")}
    calls = [item.get("tool_call", item) for item in _in_order(value.get("tool_calls")) if isinstance(item, Mapping)]
    if calls:
        message["tool_calls"] = [dict(call) for call in calls if isinstance(call, Mapping)]
    if value.get("tool_call_id") is not None:
        message["tool_call_id"] = value["tool_call_id"]
    return message


def _read_content(item: Any) -> Any:
    content = item.get("message_content", item) if isinstance(item, Mapping) else item
    if isinstance(content, Mapping) and content.get("type") == "image":
        image = content.get("image")
        inner = image.get("image") if isinstance(image, Mapping) else None
        return {"type": "image_url", "image_url": inner if isinstance(inner, Mapping) else {}}
    return content


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Attributes with dotted names, whether they were flat or nested."""
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        items = [(str(number), item) for number, item in enumerate(value)]
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in items:
        flat |= _flatten(item, f"{prefix}.{key}" if prefix else key)
    return flat


def _unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, item in flat.items():
        *path, last = key.split(".")
        node = tree
        for piece in path:
            inner = node.setdefault(piece, {})
            node = inner if isinstance(inner, dict) else node.setdefault(f"{piece}.", {})
        node[last] = item
    return tree


def _in_order(tree: Any) -> list[Any]:
    """The items of numbered keys, by number."""
    if not isinstance(tree, Mapping):
        return []
    return [tree[key] for key in sorted((key for key in tree if _NUMBER.fullmatch(key)), key=int)]


def _load(value: Any) -> Any:
    try:
        return Loader().load(value)[0] if isinstance(value, str) else value
    except RecordError:
        return value
