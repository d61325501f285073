"""Traces of model calls as conversations: what tracing tools record is each call, with the history it was sent.

One trace is one trajectory. The calls of one agent make its conversation; agents below the first are its subagents.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO

from curation.formats.atif import document_to_atif
from curation.formats.base import Found, ImportContext, RecordError, Rejected
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import Record
from curation.formats.document import Document
from curation.formats.reading import build_record, read_records

MOST_SPANS = 500_000
"""Spans of one file: those of one trace need not stand together, so that all are held until its end."""

Message = dict[str, Any]


@dataclass(kw_only=True)
class Span:
    """One span. A call of a model has messages; `is_agent` spans begin a (sub)agent."""

    trace_id: str
    span_id: str = ""
    parent_id: str = ""
    start: Any = ""
    is_agent: bool = False
    name: str = ""
    messages: list[Message] = field(default_factory=list)
    answer: list[Message] = field(default_factory=list)
    model: Any = None
    tools: Any = None
    session: Any = None
    error: Any = None
    reward: Any = None
    rewards: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def is_call(self) -> bool:
        return bool(self.messages or self.answer)


def parse_spans(
    stream: BinaryIO, context: ImportContext, *, format: str, read: Callable[[Mapping[str, Any]], list[Span]]
) -> Iterator[Found]:
    """Every trace of a file. `read` gives the spans of one record; it raises RecordError for a bad one."""
    traces: dict[str, list[Span]] = {}
    count = last = 0
    for item in read_records(stream):
        if isinstance(item, Rejected):
            yield item
            last = item.record_index + 1
            continue
        last = item.index + 1
        try:
            spans = read(item.value)
        except RecordError as error:
            yield Rejected(item.index, str(error), item.raw)
            continue
        count += len(spans)
        if count > MOST_SPANS:
            yield Rejected(item.index, f"the file holds more than {MOST_SPANS:,} spans", fatal=True)
            return
        for span in spans:
            traces.setdefault(span.trace_id, []).append(span)
    # Traces are numbered behind the records, whose numbers the rejected ones have.
    for index, spans in enumerate(traces.values()):
        if any(span.is_call for span in spans):
            record = Record(last + index, {}, "")
            yield build_record(record, partial(_build, spans=spans, format=format, context=context))


def _build(record: Record, *, spans: list[Span], format: str, context: ImportContext) -> tuple[Document, list[str]]:
    spans = sorted(spans, key=lambda span: str(span.start))
    main, *others = _group_by_agent(spans)
    subagents = []
    for number, group in enumerate(others, start=1):
        name = f"subagent-{number}"
        document, _ = _build_group(group, record.index, format, context, [])
        subagents.append(document_to_atif(document.model_copy(update={"trajectory_id": name})))
    return _build_group(main, record.index, format, context, subagents, whole=spans)


def _build_group(
    calls: list[Span],
    index: int,
    format: str,
    context: ImportContext,
    subagents: list[dict[str, Any]],
    whole: list[Span] | None = None,
) -> tuple[Document, list[str]]:
    spans = whole or calls
    rewards = {name: value for span in spans for name, value in span.rewards.items()}
    reward = next((span.reward for span in spans if span.reward is not None), next(iter(rewards.values()), None))
    last_error = calls[-1].error
    names = [span.name for span in spans if span.is_agent and span.name]
    conversation = Conversation(
        messages=merge_calls(calls),
        agent=names[0] if names else "traced agent",
        model=next((call.model for call in calls if call.model), None),
        session_id=next((str(span.session) for span in spans if span.session), calls[0].trace_id),
        tools=next((call.tools for call in reversed(calls) if call.tools), None),
        reward=reward,
        rewards=rewards,
        status="crashed" if last_error else None,
        error=last_error,
        subagents=subagents,
        extra=next((span.extra for span in spans if span.extra), {}),
    )
    return build_document(conversation, format=format, index=index, context=context)


def merge_calls(calls: list[Span]) -> list[Message]:
    """One conversation of successive calls, whether each was sent the whole history or only what is new."""
    merged: list[Message] = []
    for call in calls:
        shared = sum(1 for _ in _shared(merged, call.messages))
        if shared == len(merged):
            merged = list(call.messages)
        else:
            known = {_key(message) for message in merged}
            merged += [message for message in call.messages if _key(message) not in known]
        merged += call.answer
    return merged


def _shared(left: list[Message], right: list[Message]) -> Iterator[None]:
    for one, other in zip(left, right, strict=False):
        if _key(one) != _key(other):
            return
        yield None


def _key(message: Message) -> str:
    """What makes two messages the same: role, text, calls and whom they answer; not how a recorder dressed them up."""
    calls = [
        [call.get("id"), call.get("name"), call.get("arguments")] if isinstance(call, Mapping) else call
        for call in message.get("tool_calls") or []
    ]
    content = message.get("content")
    if isinstance(content, list):
        content = [part.get("text", part) if isinstance(part, Mapping) else part for part in content]
        content = content[0] if len(content) == 1 else content
    return json.dumps([message.get("role"), content or "", calls, message.get("tool_call_id")], default=str)


def _group_by_agent(spans: list[Span]) -> list[list[Span]]:
    """The calls of each agent, the agent of the first call before the others."""
    by_id = {span.span_id: span for span in spans if span.span_id}
    groups: dict[str, list[Span]] = {}
    for span in spans:
        if not span.is_call:
            continue
        above, steps = by_id.get(span.parent_id), 0
        while above and not above.is_agent and steps < len(spans):
            above, steps = by_id.get(above.parent_id), steps + 1
        groups.setdefault(above.span_id if above else "", []).append(span)
    return list(groups.values())
