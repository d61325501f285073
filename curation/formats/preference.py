"""Preferences: `chosen` and `rejected`, after a `prompt` they share or each whole. Both sides import, as a pair.

TRL's DPO records (texts or messages), LLaMA-Factory's (`conversations` and two turns, or `chosen_messages` and
`rejected_messages`), and ETO's (three lists of ShareGPT turns, with observations inside the sides).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import Record
from curation.formats.document import Document
from curation.formats.reading import Preference, parse_records
from curation.formats.sharegpt import turns_to_messages

_SIDES = ("chosen", "rejected")
_TASK_KEYS = ("task_id", "instance_id", "prompt_id", "id")
_READ = {"prompt", "conversations", "system", "tools", "chosen", "rejected", "chosen_messages", "rejected_messages"}


class Preferences:
    name = "preference"
    label = "preference pairs"
    looks_for = "records with `chosen` and `rejected`, or `chosen_messages` and `rejected_messages`"

    def detect(self, head: Head) -> bool:
        keys = (head.first or {}).keys()
        return keys >= set(_SIDES) or keys >= {"chosen_messages", "rejected_messages"}

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        return parse_records(stream, partial(_read_pair, context=context))


def _read_pair(record: Record, *, context: ImportContext) -> tuple[Preference, list[str]]:
    value = record.value
    shared = _read_shared(value)
    documents, warnings = [], []
    for side in _SIDES:
        own = _read_messages(value.get(side, value.get(f"{side}_messages")), place=f"`{side}`", role="assistant")
        document, odd = _build(record, side, shared + own, context)
        documents.append(document)
        warnings += odd
    chosen, rejected = documents
    if chosen.task.fingerprint != rejected.task.fingerprint:
        raise RecordError("its two sides begin with different requests: they are no pair")
    if chosen.steps == rejected.steps:
        raise RecordError("its two sides are the same")
    return Preference(chosen, rejected), warnings


def _read_shared(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages before both sides, none where each side is whole."""
    shared = []
    if isinstance(value.get("system"), str) and value["system"]:
        shared.append({"role": "system", "content": value["system"]})
    place = "conversations" if "conversations" in value else "prompt"
    before = value.get(place)
    return shared + ([] if before is None else _read_messages(before, place=f"`{place}`", role="user"))


def _read_messages(value: Any, *, place: str, role: str) -> list[dict[str, Any]]:
    """Messages of a text, a message, a ShareGPT turn, or a list of either; a bare text is said by `role`."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    turns = [value] if isinstance(value, dict) else value
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
        raise RecordError(f"{place} is neither a text nor a list of messages")
    if any("from" in turn for turn in turns):
        return turns_to_messages(turns)
    return list(turns)


def _build(
    record: Record, side: str, messages: list[dict[str, Any]], context: ImportContext
) -> tuple[Document, list[str]]:
    value = record.value
    scores = (f"score_{side}", f"{side}_score", f"{side}_rating")
    extra = {key: item for key, item in value.items() if key not in _READ and not any(name in key for name in _SIDES)}
    conversation = Conversation(
        messages=messages,
        text_actions=True,
        agent="preference data",
        model=value.get(f"{side}_model", value.get("model")),
        task_id=next((value[key] for key in _TASK_KEYS if value.get(key) not in (None, "")), None),
        reward=next((value[key] for key in scores if value.get(key) is not None), None),
        tools=value.get("tools"),
        extra=extra,
    )
    return build_document(conversation, format=Preferences.name, index=record.index, context=context)
