"""General instruction data: a request and its answer, as Alpaca and question-and-answer sets hold them.

It is mixed into agent data so that a model keeps what it could do before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import Record
from curation.formats.document import Document
from curation.formats.reading import parse_records

_NAMES = (("instruction", "output"), ("instruction", "response"), ("question", "answer"), ("query", "response"))
_READ = {"input", "context", "system", "history", "id"}


class Instruction:
    name = "instruction"
    label = "instruction data"
    looks_for = "records with `instruction` and `output`, or `question` and `answer`"

    def detect(self, head: Head) -> bool:
        return _find_names(head.first or {}) is not None

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        return parse_records(stream, partial(_read_instruction, context=context))


def _read_instruction(record: Record, *, context: ImportContext) -> tuple[Document, list[str]]:
    value = record.value
    names = _find_names(value)
    if names is None:
        raise RecordError("it has no `instruction` with its `output`, and no `question` with its `answer`")
    request, answer = (value[name] for name in names)
    more = value.get("input", value.get("context"))
    messages: list[dict[str, Any]] = []
    if isinstance(value.get("system"), str) and value["system"]:
        messages.append({"role": "system", "content": value["system"]})
    for turn in value["history"] if isinstance(value.get("history"), list) else []:
        if not isinstance(turn, list) or len(turn) != 2:
            raise RecordError("its `history` is no list of request and answer")
        messages += [{"role": "user", "content": turn[0]}, {"role": "assistant", "content": turn[1]}]
    text = f"{request}\n{more}" if isinstance(more, str) and more else request
    messages += [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    conversation = Conversation(
        messages=messages,
        agent="instruction data",
        task_id=value.get("id"),
        extra={key: item for key, item in value.items() if key not in {*_READ, *names}},
    )
    return build_document(conversation, format=Instruction.name, index=record.index, context=context)


def _find_names(value: Mapping[str, Any]) -> tuple[str, str] | None:
    return next((names for names in _NAMES if all(isinstance(value.get(name), str) for name in names)), None)
