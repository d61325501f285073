"""TRL's `prompt` and `completion`, texts or messages; with a `label` (KTO) it says whether the completion was good."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import Record
from curation.formats.document import Document
from curation.formats.reading import parse_records

_READ = {"prompt", "completion", "label", "tools", "task_id", "id", "model", "reward"}


class Completion:
    name = "prompt-completion"
    label = "prompts and completions"
    looks_for = "records with `prompt` and `completion`"

    def detect(self, head: Head) -> bool:
        return (head.first or {}).keys() >= {"prompt", "completion"}

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        return parse_records(stream, partial(_read_completion, context=context))


def _read_completion(record: Record, *, context: ImportContext) -> tuple[Document, list[str]]:
    value = record.value
    label = value.get("label")
    conversation = Conversation(
        messages=[*_read_side(value, "prompt", "user"), *_read_side(value, "completion", "assistant")],
        agent="completion data",
        model=value.get("model"),
        task_id=value.get("task_id", value.get("id")),
        reward=value.get("reward"),
        success=label,
        scorer="label" if isinstance(label, bool) else None,
        tools=value.get("tools"),
        extra={key: item for key, item in value.items() if key not in _READ},
    )
    return build_document(conversation, format=Completion.name, index=record.index, context=context)


def _read_side(value: dict[str, Any], key: str, role: str) -> list[Any]:
    side = value.get(key)
    if isinstance(side, str):
        return [{"role": role, "content": side}]
    if not isinstance(side, list) or not side:
        raise RecordError(f"`{key}` is neither a text nor a list of messages")
    return side
