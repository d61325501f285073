"""tau-bench results: a list of attempts, each with `traj` (chat messages) and `reward`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import PurePath
from typing import Any, BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError
from curation.formats.cleaning import clean_text
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import Record
from curation.formats.document import Document
from curation.formats.outcomes import read_rewards, read_task_id
from curation.formats.reading import parse_records

_DOMAIN = re.compile(r"(?:^|[-_. ])(airline|retail)(?=[-_. ]|$)", re.IGNORECASE)


class TauBench:
    name = "tau-bench"
    label = "tau-bench results"
    looks_for = "records with `traj`, `reward` and `task_id`"

    def detect(self, head: Head) -> bool:
        first = head.first or {}
        return {"traj", "reward", "task_id"} <= first.keys()

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        return parse_records(stream, partial(read_attempt, context=context))


def read_attempt(record: Record, *, context: ImportContext) -> tuple[Document, list[str]]:
    """One attempt. The model stands in no field: it is the context's, or what the file name says beside the domain."""
    value = record.value
    info = value.get("info")
    info = info if isinstance(info, dict) else {}
    error = info.get("error")
    messages = value.get("traj")
    if not isinstance(messages, list) or not messages:
        raise RecordError(
            f"it has no messages in `traj`{f'; the run failed with: {str(error)[:300]}' if error else ''}"
        )
    task_id = read_task_id(value.get("task_id"))
    if task_id is None:
        raise RecordError("its `task_id` is neither a number nor a text")
    model, domain = guess_from_name(context.filename)
    conversation = Conversation(
        messages=messages,
        agent="tau-bench agent",
        model=context.model or model,
        task_id=task_id,
        dataset=domain,
        instruction=_read_instruction(info.get("task"), messages),
        trial=value.get("trial"),
        reward=value.get("reward"),
        success=value.get("success"),
        rewards=_read_rewards(info),
        status="crashed" if error else None,
        error=error,
        scorer="tau-bench",
        extra={"info": info or None},
    )
    return build_document(conversation, format=TauBench.name, index=record.index, context=context)


def guess_from_name(filename: str) -> tuple[str | None, str | None]:
    """(model, domain) of a results file: "gpt-4o-airline.json" is ("gpt-4o", "airline")."""
    stem = PurePath(clean_text(filename)[0].replace("\\", "/")).name.split(".json", 1)[0]
    found = _DOMAIN.search(stem)
    model = _DOMAIN.sub("", stem).strip("-_. ")
    return model[:120] or None, found.group(1).lower() if found else None


def _read_instruction(task: Any, messages: list[Any]) -> str:
    if isinstance(task, Mapping) and isinstance(task.get("instruction"), str):
        return str(task["instruction"])
    said = (
        message.get("content") for message in messages if isinstance(message, Mapping) and message.get("role") == "user"
    )
    return next((content for content in said if isinstance(content, str)), "")


def _read_rewards(info: Mapping[str, Any]) -> dict[str, float]:
    """The parts of the reward: whether the database ended as wanted, whether every wanted output was said."""
    reward_info = info.get("reward_info")
    parts = reward_info.get("info") if isinstance(reward_info, Mapping) else None
    return read_rewards(parts)
