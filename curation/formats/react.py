"""ReAct logs as plain text, and Reflexion's logs of many agents over several trials.

A log is `Question:` and what follows it. Reflexion adds `BEGIN TRIAL n` and `BEGIN CORRECT AGENTS`, `INCORRECT` or
`HALTED` above the logs, and `Correct answer:` below each; a halted agent ran out of steps.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError, Rejected
from curation.formats.cleaning import clean_text
from curation.formats.containers import ContainerError, open_container
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import MAX_RECORD, Record
from curation.formats.document import Document
from curation.formats.react_text import MARK, split_react
from curation.formats.reading import build_record

_QUESTION = re.compile(r"^Question:[ \t]*(.*)", re.MULTILINE)
_TRIAL = re.compile(r"^BEGIN TRIAL (\d{1,9})\b")
_GROUP = re.compile(r"^-* ?BEGIN (CORRECT|INCORRECT|HALTED) AGENTS\b")
_ANSWER = re.compile(r"^Correct answer:[ \t]*(.*)\Z", re.MULTILINE | re.DOTALL)
_RULE = re.compile(r"^#{10,}\s*$|^Trial summary:")


@dataclass
class _Log:
    """One agent's text, and under which headings it stood."""

    line: int = 0
    trial: int | None = None
    group: str = ""
    lines: list[str] = field(default_factory=list)
    size: int = 0


class React:
    name = "react"
    label = "ReAct text and Reflexion logs"
    looks_for = "text with lines `Question:`, `Thought 1:`, `Action 1:` and `Observation 1:`"

    def detect(self, head: Head) -> bool:
        if head.layout is not None or b"\0" in head.raw:
            return False
        text = head.raw.decode("utf-8", "replace")
        marks = {mark[1] for mark in MARK.finditer(text)}
        return marks >= {"Thought", "Action"} and _QUESTION.search(text) is not None

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        index, damaged = 0, False
        try:
            for log in _split_logs(stream):
                text, replaced = clean_text("".join(log.lines).strip())
                warnings = (f"{replaced} characters replaced: NUL, or bytes that are not UTF-8",) if replaced else ()
                if log.size > MAX_RECORD:
                    yield Rejected(index, f"line {log.line}: it is longer than {MAX_RECORD // 2**20} MB")
                else:
                    build = partial(_read_log, log=log, context=context)
                    yield build_record(Record(index, {"text": text}, text, warnings), build)
                index += 1
        except ContainerError as error:
            damaged = True
            yield Rejected(index, f"the file could not be read further: {error}", fatal=True)
        if index == 0 and not damaged:
            yield Rejected(0, "it has no line that begins with `Question:`", fatal=True)


def _split_logs(stream: BinaryIO) -> Iterator[_Log]:
    """A log for each question, in order."""
    content = io.TextIOWrapper(open_container(stream), encoding="utf-8-sig", errors="surrogateescape")
    trial, group = None, ""
    log: _Log | None = None
    number = 0
    while line := content.readline(MAX_RECORD):
        number += 1
        if found := _TRIAL.match(line):
            trial = int(found[1]) - 1
        elif found := _GROUP.match(line):
            group = found[1]
        if found or _RULE.match(line) or line.startswith("Question:"):
            if log:
                yield log
            log = _Log(number, trial, group) if line.startswith("Question:") else None
        if log:
            log.size += len(line)
            if log.size <= MAX_RECORD:
                log.lines.append(line)
    if log:
        yield log


def _read_log(record: Record, *, log: _Log, context: ImportContext) -> tuple[Document, list[str]]:
    text: str = record.value["text"]
    answer = _ANSWER.search(text)
    text = text[: answer.start()].rstrip() if answer else text
    messages = split_react(text)
    if not any(message["role"] == "assistant" for message in messages):
        raise RecordError(f"line {log.line}: no `Thought` and no `Action` follows its question")
    question = _QUESTION.match(text)
    conversation = Conversation(
        messages=messages,
        text_actions=True,
        agent="ReAct agent",
        instruction=question[1].strip() if question else None,
        trial=log.trial,
        success={"CORRECT": True, "INCORRECT": False, "HALTED": False}.get(log.group),
        status="truncated" if log.group == "HALTED" else None,
        scorer="exact match" if log.group else None,
        extra={"correct_answer": answer[1].strip() if answer else None},
    )
    return build_document(conversation, format=React.name, index=record.index, context=context)
