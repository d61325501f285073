"""FireAct results: an object keyed by question number, each with `traj` (ReAct text or messages), `em` and `f1`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError, Rejected
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import Record
from curation.formats.document import Document
from curation.formats.react_text import split_react
from curation.formats.reading import build_record, read_whole

_INSTRUCTION = re.compile(r"### Instruction:\s*\n(.*?)\n\s*### Response:\s*\n", re.DOTALL)
_SCORES = ("em", "f1")


class FireAct:
    name = "fireact"
    label = "FireAct results"
    looks_for = "one object keyed by question number, each value with `traj` and `em`"

    def detect(self, head: Head) -> bool:
        values = list((head.first or {}).values())[:3]
        return bool(values) and all(isinstance(value, dict) and {"traj", "em"} <= value.keys() for value in values)

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        try:
            attempts, warnings = read_whole(stream)
        except RecordError as error:
            yield Rejected(0, str(error), fatal=True)
            return
        if not isinstance(attempts, dict):
            yield Rejected(0, "it is no object keyed by question number", fatal=True)
            return
        for index, (key, value) in enumerate(attempts.items()):
            record = Record(
                index, value if isinstance(value, dict) else {}, json.dumps(value, ensure_ascii=False), warnings
            )
            yield build_record(record, partial(_read_attempt, key=key, context=context))
            warnings = ()


def _read_attempt(record: Record, *, key: str, context: ImportContext) -> tuple[Document, list[str]]:
    value = record.value
    log = value.get("traj")
    instruction = None
    messages: Any = log
    if isinstance(log, str):
        messages = split_react(log)
        found = _INSTRUCTION.search(log)
        instruction = found[1].strip() if found else None
    if not messages:
        raise RecordError("it has neither text nor messages in `traj`")
    conversation = Conversation(
        messages=messages,
        text_actions=True,
        agent="FireAct agent",
        task_id=key,
        dataset="hotpotqa" if "hotpotqa" in context.filename.lower() else None,
        instruction=instruction,
        reward=value.get("reward"),
        success=value.get("em"),
        rewards={name: value.get(name) for name in _SCORES},
        scorer="exact match",
        extra={name: value.get(name) for name in ("gt", "pred")},
    )
    return build_document(conversation, format=FireAct.name, index=record.index, context=context)
