"""Inspect's logs: `.eval`, a zip with a file for each sample, and `.json`, with all of them in `samples`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO

from curation.formats.archives import Archive, open_archive
from curation.formats.base import Found, Head, ImportContext, RecordError, Rejected
from curation.formats.containers import ContainerError
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import BOM, Loader, Record
from curation.formats.document import Document, Status
from curation.formats.messages import write_arguments
from curation.formats.outcomes import read_reward
from curation.formats.reading import build_record, read_whole

_HEADERS = ("header.json", "_journal/start.json")
_SAMPLE = re.compile(r"samples/.+\.json")
_ATTACHMENT = "attachment://"
_LETTERS: dict[str, tuple[float, bool | None]] = {
    "C": (1.0, True),
    "P": (0.5, None),
    "I": (0.0, False),
    "N": (0.0, False),
}
_DROPPED = {"source", "content", "tool_calls", "function", "error", "role", "tool_call_id"}


class Inspect:
    name = "inspect"
    label = "Inspect logs"
    looks_for = "a zip with `header.json` and `samples/`, or an object with `eval`, `status` and `samples`"

    def detect(self, head: Head) -> bool:
        if head.names:
            return any(name in head.names for name in _HEADERS)
        first = head.first or {}
        return isinstance(first.get("eval"), dict) and {"version", "status"} <= first.keys()

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        try:
            archive = open_archive(stream)
            samples = _read_zip(archive) if archive else _read_json(stream)
            for index, (header, load) in enumerate(samples):
                yield _build(index, header, load, context)
        except (ContainerError, RecordError) as error:
            yield Rejected(0, str(error), fatal=True)


Load = Callable[[], tuple[Any, tuple[str, ...], str]]
"""Gives a sample, what was put right in it, and how it begins. Raises RecordError or ContainerError."""


def _build(index: int, header: Mapping[str, Any], load: Load, context: ImportContext) -> Found:
    try:
        sample, warnings, raw = load()
    except (RecordError, ContainerError) as error:
        return Rejected(index, str(error))
    record = Record(index, sample if isinstance(sample, dict) else {}, raw, warnings)
    return build_record(record, partial(_read_sample, header=header, context=context))


def _read_zip(archive: Archive) -> Iterator[tuple[Mapping[str, Any], Load]]:
    """Each sample with the header; the journal's start stands in for the header of a run that was cut off."""
    name = next((name for name in _HEADERS if name in archive.names), None)
    if name is None:
        raise RecordError("it has neither `header.json` nor `_journal/start.json`")
    header = _object(_load_member(archive, name)[0])
    for member in archive.names:
        if _SAMPLE.fullmatch(member):
            yield header, partial(_load_member, archive, member)


def _load_member(archive: Archive, name: str) -> tuple[Any, tuple[str, ...], str]:
    text = archive.read(name).decode("utf-8", "surrogateescape").removeprefix(BOM)
    try:
        return (*Loader().load(text), text)
    except RecordError as error:
        raise RecordError(f"{name}: {error}") from error


def _read_json(stream: BinaryIO) -> Iterator[tuple[Mapping[str, Any], Load]]:
    log, warnings = read_whole(stream)
    samples = _object(log).get("samples")
    if not isinstance(samples, list) or not samples:
        raise RecordError("it has no `samples`: the log was written without them")
    for sample in samples:
        yield _object(log), partial(_give, sample, warnings)
        warnings = ()


def _give(sample: Any, warnings: tuple[str, ...]) -> tuple[Any, tuple[str, ...], str]:
    return sample, warnings, json.dumps(sample, ensure_ascii=False)


def _read_sample(record: Record, *, header: Mapping[str, Any], context: ImportContext) -> tuple[Document, list[str]]:
    sample = record.value
    messages = sample.get("messages") or sample.get("message_pool")
    if not isinstance(messages, list) or not messages:
        raise RecordError("it has no `messages`")
    task = _object(header.get("eval"))
    error, limit = _object(sample.get("error")), sample.get("limit")
    reward, success, rewards, scorer = _read_scores(sample.get("scores") or {"score": sample.get("score")})
    attachments = _object(sample.get("attachments"))
    status: Status | None = "crashed" if error else "truncated" if limit else None
    conversation = Conversation(
        messages=[_read_message(message, attachments) for message in messages],
        text_actions=True,
        agent="Inspect solver",
        model=task.get("model"),
        session_id=sample.get("uuid"),
        task_id=sample.get("id"),
        dataset=_text(task.get("task")),
        instruction=_resolve(_text(sample.get("input")), attachments),
        trial=sample.get("epoch"),
        reward=reward,
        success=success,
        rewards=rewards,
        status=status,
        error=error.get("message"),
        scorer=scorer,
        extra={key: sample.get(key) for key in ("target", "scores", "metadata", "limit", "model_usage")},
    )
    version = str(header.get("version", ""))
    return build_document(conversation, format=Inspect.name, index=record.index, context=context, version=version)


def _read_message(message: Any, attachments: Mapping[str, Any]) -> Any:
    if not isinstance(message, Mapping):
        return message
    read = {key: item for key, item in message.items() if key not in _DROPPED and item is not None}
    read |= {"role": message.get("role"), "content": message.get("content")}
    content = message.get("content")
    if isinstance(content, list):
        thoughts = [part for part in content if isinstance(part, Mapping) and part.get("type") == "reasoning"]
        read["content"] = [_read_part(part, attachments) for part in content if part not in thoughts]
        if thoughts:
            read["reasoning_content"] = "\n".join(str(part.get("reasoning") or "") for part in thoughts)
    elif isinstance(content, str):
        read["content"] = _resolve(content, attachments)
    if message.get("role") == "tool":
        read |= {"tool_call_id": message.get("tool_call_id"), "name": message.get("function")}
        error = _object(message.get("error"))
        if error:
            read["error"] = dict(error)
            read["content"] = read["content"] or error.get("message")
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        read["tool_calls"] = [_read_call(call) for call in calls]
    return read


def _read_call(call: Any) -> Any:
    """Inspect names the function in `function` and keeps arguments as an object."""
    if not isinstance(call, Mapping) or not isinstance(call.get("function"), str):
        return call
    arguments = call.get("arguments")
    text = write_arguments(arguments) if isinstance(arguments, dict) else arguments
    return {"id": call.get("id"), "name": call["function"], "arguments": text}


def _read_part(part: Any, attachments: Mapping[str, Any]) -> Any:
    if not isinstance(part, Mapping):
        return part
    return {key: _resolve(item, attachments) if isinstance(item, str) else item for key, item in part.items()}


def _resolve(text: str | None, attachments: Mapping[str, Any]) -> str | None:
    """What an `attachment://` stands for, where the log holds it."""
    if text and text.startswith(_ATTACHMENT):
        found = attachments.get(text.removeprefix(_ATTACHMENT))
        return found if isinstance(found, str) else text
    return text


def _read_scores(scores: Any) -> tuple[Any, bool | None, dict[str, Any], str | None]:
    """(reward, success, all rewards, the scorer's name); the first score that has a value is the reward."""
    rewards: dict[str, Any] = {}
    first: tuple[Any, bool | None, str] | None = None
    for name, score in _object(scores).items():
        value = score.get("value") if isinstance(score, Mapping) else score
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        for part, item in parts:
            reward, success = _read_score(item)
            if reward is not None:
                rewards[f"{name}.{part}" if part else str(name)] = reward
                first = first or (reward, success, str(name))
    return (first[0], first[1], rewards, first[2]) if first else (None, None, rewards, None)


def _read_score(value: Any) -> tuple[float | None, bool | None]:
    if isinstance(value, str):
        return _LETTERS.get(value, (None, None))
    reward, success, _ = read_reward(value)
    return reward, success


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
