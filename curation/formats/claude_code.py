"""Claude Code's sessions: one line for each piece of a tree of messages; subagents are side chains or own files."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO

from curation.formats.atif import document_to_atif
from curation.formats.base import Found, Head, ImportContext, RecordError, Rejected
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import Loader, Record
from curation.formats.document import Document
from curation.formats.messages import write_arguments
from curation.formats.reading import build_record, read_records

_TYPES = ("user", "assistant")


class ClaudeCode:
    name = "claude-code"
    label = "Claude Code sessions"
    looks_for = "JSON lines with `type` user or assistant, `uuid` and `message`"

    def detect(self, head: Head) -> bool:
        return any(
            record.get("type") in _TYPES and "uuid" in record and isinstance(record.get("message"), dict)
            for record in head.records
        )

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        lines: list[dict[str, Any]] = []
        warnings: Counter[str] = Counter()
        for item in read_records(stream):
            if isinstance(item, Rejected):
                if item.fatal:
                    yield item
                    return
                warnings["a line that could not be read was left out"] += 1
            else:
                lines.append(item.value)
        if _is_nested(lines, context):
            return
        said = tuple(f"{text} ({count} times)" if count > 1 else text for text, count in warnings.items())
        yield build_record(Record(0, {"lines": lines}, "", said), partial(_read_session, context=context))


def _read_session(record: Record, *, context: ImportContext) -> tuple[Document, list[str]]:
    lines = [line for line in record.value["lines"] if _is_message(line)]
    own = [line for line in lines if line.get("isSidechain") is not True]
    sides = [line for line in lines if line.get("isSidechain") is True]
    if not lines:
        raise RecordError("it holds no message of a user or an assistant")
    if not own:  # a file of a subagent by itself
        own, sides = sides, []
    subagents = _group_sides(sides) or _read_beside(own, context)
    documents, warnings = {}, []
    for number, (name, chain) in enumerate(subagents.items(), start=1):
        document, odd = _read_chain(chain, record.index, context, {})
        written = document_to_atif(document.model_copy(update={"trajectory_id": name or f"subagent-{number}"}))
        documents[name or f"subagent-{number}"] = written
        warnings += odd
    document, odd = _read_chain(own, record.index, context, documents)
    return document, warnings + odd


def _read_chain(
    lines: list[dict[str, Any]], index: int, context: ImportContext, subagents: Mapping[str, dict[str, Any]]
) -> tuple[Document, list[str]]:
    """The document of one agent's lines: the branch that leads to the last of them."""
    branch, dropped = _pick_branch(lines)
    messages = _merge(branch)
    if not messages:
        raise RecordError("it holds no message that is not about the session itself")
    answers = [line["message"] for line in branch if line["type"] == "assistant"]
    first = lines[0]
    conversation = Conversation(
        messages=messages,
        agent="Claude Code",
        agent_version=first.get("version"),
        model=next((answer.get("model") for answer in answers if answer.get("model")), None),
        session_id=first.get("sessionId"),
        subagents=list(subagents.values()),
        extra={key: first.get(key) for key in ("cwd", "gitBranch", "agentId", "entrypoint")},
    )
    document, warnings = build_document(conversation, format=ClaudeCode.name, index=index, context=context)
    _link(document, branch, subagents)
    if dropped:
        warnings.append("messages of branches that were given up, left out")
    return document, warnings


def _pick_branch(lines: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The lines from the root to the last one, and how many others there are; lines without parents are all kept."""
    if not any(line.get("parentUuid") for line in lines):
        return lines, 0
    by_id = {line.get("uuid"): line for line in lines if isinstance(line.get("uuid"), str)}
    kept: set[int] = set()
    line: dict[str, Any] | None = lines[-1]
    while line is not None and id(line) not in kept:
        kept.add(id(line))
        parent = line.get("parentUuid")
        line = by_id.get(parent) if isinstance(parent, str) else None
    replies = {_reply_id(line) for line in lines if id(line) in kept} - {None}
    branch = [
        line
        for line in lines
        if id(line) in kept or _reply_id(line) in replies or not line.get("parentUuid") or _answers(line)
    ]
    return branch, len(lines) - len(branch)


def _reply_id(line: Mapping[str, Any]) -> str | None:
    """The id of the reply that a line is a piece of."""
    found = line["message"].get("id")
    return found if isinstance(found, str) else None


def _answers(line: Mapping[str, Any]) -> bool:
    """Whether a line holds results: those of parallel calls hang beside one another, not one below the other."""
    content = line["message"].get("content")
    return isinstance(content, list) and any(
        isinstance(block, Mapping) and block.get("type") == "tool_result" for block in content
    )


def _merge(branch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Chat messages; the lines of one reply become one."""
    messages: list[dict[str, Any]] = []
    last_id = None
    for line in branch:
        if line.get("isMeta") is True:
            continue
        message = line["message"]
        if line["type"] == "assistant":
            read = _read_answer(message)
            same = _reply_id(line) is not None and _reply_id(line) == last_id and messages
            if same and messages[-1]["role"] == "assistant":
                _extend(messages[-1], read)
            else:
                messages.append(read)
            last_id = _reply_id(line)
        else:
            messages += _read_user(message)
    return messages


def _read_answer(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    read: dict[str, Any] = {"role": "assistant", "content": [], "tool_calls": [], "reasoning_content": ""}
    for block in blocks:
        kind = block.get("type") if isinstance(block, Mapping) else None
        if kind == "tool_use":
            arguments = block.get("input")
            text = write_arguments(arguments) if isinstance(arguments, dict) else arguments
            read["tool_calls"].append({"id": block.get("id"), "name": block.get("name"), "arguments": text})
        elif kind == "thinking":
            read["reasoning_content"] += str(block.get("thinking") or "")
        elif kind != "redacted_thinking":
            read["content"].append(block)
    if isinstance(message.get("usage"), Mapping):
        read["usage"] = message["usage"]
    return read


def _extend(message: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key in ("content", "tool_calls", "reasoning_content"):
        message[key] = message[key] + more[key]
    message |= {key: value for key, value in more.items() if key == "usage"}


def _read_user(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A message of the user, and the results that stand in it as messages of their own."""
    content = message.get("content")
    if not isinstance(content, list):
        return [{"role": "user", "content": content}]
    read, rest = [], []
    for block in content:
        if isinstance(block, Mapping) and block.get("type") == "tool_result":
            result = {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": block.get("content")}
            read.append(result | ({"is_error": True} if block.get("is_error") is True else {}))
        else:
            rest.append(block)
    return read + ([{"role": "user", "content": rest}] if rest else [])


def _group_sides(sides: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The side chains of a session by the subagent that wrote them."""
    groups: dict[str, list[dict[str, Any]]] = {}
    roots: dict[str, str] = {}
    for line in sides:
        own, name = str(line.get("uuid")), line.get("agentId")
        if not isinstance(name, str):
            name = roots.get(str(line.get("parentUuid")), own)
        roots[own] = name
        groups.setdefault(name, []).append(line)
    return groups


def _read_beside(own: list[dict[str, Any]], context: ImportContext) -> dict[str, list[dict[str, Any]]]:
    """The files of this session's subagents in the same archive: `agent-*.jsonl` that name the session."""
    session = own[0].get("sessionId")
    if context.members is None or session is None or posixpath.basename(context.filename).startswith("agent-"):
        return {}
    groups: dict[str, list[dict[str, Any]]] = {}
    for name in context.members.names:
        if posixpath.basename(name).startswith("agent-") and name.endswith(".jsonl"):
            lines = _load_lines(context.members.read(name))
            if lines and lines[0].get("sessionId") == session:
                groups[str(lines[0].get("agentId") or name)] = lines
    return groups


def _is_nested(lines: list[dict[str, Any]], context: ImportContext) -> bool:
    """Whether this is a subagent's file whose session stands in the same archive, and brings it."""
    if context.members is None or not posixpath.basename(context.filename).startswith("agent-"):
        return False
    sessions = {f"{line.get('sessionId')}.jsonl" for line in lines[:1]}
    return any(posixpath.basename(name) in sessions for name in context.members.names)


def _load_lines(data: bytes) -> list[dict[str, Any]]:
    loader = Loader()
    lines = []
    for text in data.decode("utf-8", "surrogateescape").splitlines():
        try:
            value = loader.load(text)[0]
        except RecordError:
            continue
        if isinstance(value, dict) and _is_message(value):
            lines.append(value)
    return lines


def _link(document: Document, branch: list[dict[str, Any]], subagents: Mapping[str, dict[str, Any]]) -> None:
    """Name the subagent in the result of the call that started it."""
    started = {}
    for line in branch:
        result = line.get("toolUseResult")
        name = str(result.get("agentId")) if isinstance(result, Mapping) else ""
        for message in _read_user(line["message"]) if name in subagents else []:
            if message["role"] == "tool":
                started[str(message["tool_call_id"])] = name
    for step in document.steps:
        natives = {call.tool_call_id: call.native_id for call in step.tool_calls or []}
        for result in step.observation.results if step.observation else []:
            started_by = started.get(natives.get(result.source_call_id or "") or "")
            if started_by:
                result.subagent_trajectory_ref = [{"trajectory_id": started_by}]


def _is_message(line: Mapping[str, Any]) -> bool:
    return line.get("type") in _TYPES and isinstance(line.get("message"), dict)
