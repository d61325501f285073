"""OpenHands: a file of events that is one session, or `output.jsonl`, whose records each hold a `history` of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError, Rejected
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import Record
from curation.formats.document import Document, Status
from curation.formats.openhands_events import Events, read_events
from curation.formats.reading import build_record, parse_records, read_first, read_records

_READ = {"instance_id", "instruction", "history", "error", "success", "issue", "instance", "metrics"}


class OpenHands:
    name = "openhands"
    label = "OpenHands sessions and output.jsonl"
    looks_for = "events with `kind` or with `action` and `observation`, or records with a `history` of them"

    def detect(self, head: Head) -> bool:
        if _is_output(head.first or {}):
            return True
        events = _find_items(head.first) or head.records
        return any(_is_event(event) for event in events)

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        if _is_output(read_first(stream)):
            yield from parse_records(stream, partial(_read_output, context=context))
            return
        events: list[Any] = []
        unread = 0
        for item in read_records(stream):
            if isinstance(item, Rejected):
                if item.fatal:
                    yield item
                    return
                unread += 1
            else:
                events += _find_items(item.value) or [item.value]
        warnings = ("an event that could not be read was left out",) if unread else ()
        yield build_record(Record(0, {"events": events}, "", warnings), partial(_read_session, context=context))


def _read_session(record: Record, *, context: ImportContext) -> tuple[Document, list[str]]:
    read = read_events(record.value["events"])
    return _build(read, Conversation(messages=read.messages, session_id=None), record, context)


def _read_output(record: Record, *, context: ImportContext) -> tuple[Document, list[str]]:
    value = record.value
    history = value.get("history")
    if not isinstance(history, list) or not history:
        error = value.get("error")
        raise RecordError(f"it has no `history`{f'; the run failed with: {str(error)[:300]}' if error else ''}")
    read = read_events(history)
    issue, metadata = _object(value.get("issue")), _object(value.get("metadata"))
    error = value.get("error")
    conversation = Conversation(
        messages=read.messages,
        model=read.model or _object(metadata.get("llm_config")).get("model"),
        task_id=value.get("instance_id") or _name_issue(issue),
        instruction=value.get("instruction"),
        success=value.get("success", _find_resolved(value)),
        status=_read_status(error),
        error=error,
        scorer="SWE-bench" if _find_resolved(value) is not None else None,
        extra={key: item for key, item in value.items() if key not in _READ} | {"issue": dict(issue) or None},
    )
    return _build(read, conversation, record, context)


def _build(
    read: Events, conversation: Conversation, record: Record, context: ImportContext
) -> tuple[Document, list[str]]:
    if not read.messages:
        raise RecordError("none of its events is a message, an action or an observation")
    conversation.agent = "OpenHands"
    conversation.agent_version = read.version
    conversation.model = conversation.model or read.model
    conversation.tools = read.tools
    document, warnings = build_document(conversation, format=OpenHands.name, index=record.index, context=context)
    return document, warnings + read.warnings


def _read_status(error: Any) -> Status | None:
    if not error:
        return None
    return "truncated" if "maximum iteration" in str(error) or "max iteration" in str(error) else "crashed"


def _find_resolved(value: Mapping[str, Any]) -> bool | None:
    result = _object(value.get("test_result"))
    for place in (_object(result.get("report")), result, _object(value.get("report"))):
        if isinstance(place.get("resolved"), bool):
            return bool(place["resolved"])
    return None


def _name_issue(issue: Mapping[str, Any]) -> str | None:
    if "number" not in issue:
        return None
    return f"{issue.get('owner', '')}/{issue.get('repo', '')}#{issue['number']}"


def _is_output(first: Mapping[str, Any]) -> bool:
    history = first.get("history")
    return isinstance(history, list) and ("instance_id" in first or "issue" in first)


def _find_items(value: Any) -> list[Any] | None:
    """The events of a session that is one object."""
    found = next((value[key] for key in ("items", "events") if key in value), None) if isinstance(value, dict) else None
    return found if isinstance(found, list) else None


def _is_event(event: Any) -> bool:
    if not isinstance(event, Mapping):
        return False
    if str(event.get("kind")).endswith(("Event", "Observation")) and "timestamp" in event:
        return True
    return "source" in event and "timestamp" in event and ("action" in event or "observation" in event)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
