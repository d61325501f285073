"""What two attempts at a task share, and where a preference pair is cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from curation.formats.document import Document, Step, ToolCall, text_of
from curation.formats.messages import document_to_messages

Message = dict[str, Any]
T = TypeVar("T")

LENGTH_RATIO = 2.0
"""A side whose agent wrote more than so many times as much as the other's is warned of."""


class PairError(ValueError):
    """Two documents that make no preference pair; the text says why."""


@dataclass(frozen=True)
class PairMeasure:
    """What is known of two documents as a pair, by the names of PreferencePair's fields.

    `warnings` holds values of PreferencePair.Warning; characters are those of the agent's turns that are learnt from.
    """

    shared_steps: int
    chosen_characters: int
    rejected_characters: int
    warnings: list[str]
    step_only: bool = False


def measure_pair(chosen: Document, rejected: Document, *, step_only: bool = False) -> PairMeasure:
    """Compare two documents that are to be a pair. Raises PairError for two that no trainer could learn from."""
    _, ours, theirs = split_pair_messages(chosen, rejected, step_only=step_only)
    longer, shorter = count_agent_characters(ours), count_agent_characters(theirs)
    doubts = {
        "length": max(longer, shorter) > LENGTH_RATIO * min(longer, shorter),
        "equal": [_loose_key(message) for message in ours] == [_loose_key(message) for message in theirs],
        "fingerprint": chosen.task.fingerprint != rejected.task.fingerprint,
        "tools": _tools_key(chosen) != _tools_key(rejected),
    }
    return PairMeasure(
        shared_steps=shared_prefix(chosen, rejected),
        chosen_characters=longer,
        rejected_characters=shorter,
        warnings=[name for name, holds in doubts.items() if holds],
        step_only=step_only,
    )


def count_agent_characters(messages: Sequence[Message]) -> int:
    """Characters of the assistant's turns that are trained on: text, reasoning, names and arguments of calls."""
    total = 0
    for message in messages:
        if message["role"] == "assistant" and message.get("trainable") is not False:
            total += len(message["content"]) + len(message.get("reasoning_content", ""))
            for call in message.get("tool_calls", []):
                total += len(call["function"]["name"]) + len(call["function"]["arguments"])
    return total


def shared_prefix(a: Document, b: Document) -> int:
    """The number of leading steps alike: source, text, calls (name and arguments) and what they returned."""
    return _count_alike(a.steps, b.steps, _step_key)


def split_pair_messages(
    chosen: Document, rejected: Document, *, step_only: bool = False
) -> tuple[list[Message], list[Message], list[Message]]:
    """(prompt, chosen, rejected) messages for preference training.

    The prompt is what both share, cut right before the first assistant message after which they differ, so that no
    turn is divided. Where they part before the agent first speaks (simulated users word the same request in other
    words), it is the messages both begin with, and each side goes on with its own. With `step_only` each side is the
    one turn of the agent in which they part. Raises PairError where nothing differs, where nothing is shared, or where
    a side has no assistant turn to learn from.
    """
    left, right = document_to_messages(chosen), document_to_messages(rejected)
    alike = _count_alike(left, right, _message_key)
    if alike == len(left) == len(right):
        raise PairError("Both sides are the same, message for message.")
    if step_only:
        return _split_turn(left, right, alike)
    cut = _find_cut(left, right, alike)
    if cut == 0:
        raise PairError(f"The two share no message: they begin with {_name(left)} and {_name(right)} that differ.")
    for side, messages in (("chosen", left[cut:]), ("rejected", right[cut:])):
        if not any(message["role"] == "assistant" and message.get("trainable", True) for message in messages):
            raise PairError(f"The {side} side has no assistant turn to learn from after what both share.")
    return left[:cut], left[cut:], right[cut:]


def _split_turn(
    left: Sequence[Message], right: Sequence[Message], alike: int
) -> tuple[list[Message], list[Message], list[Message]]:
    turns = [*left[alike : alike + 1], *right[alike : alike + 1]]
    if len(turns) < 2 or any(turn["role"] != "assistant" for turn in turns):
        raise PairError("The two do not part at a turn of the agent.")
    if alike == 0:
        raise PairError("The two part at the very first message, so there is nothing to answer.")
    if not all(turn.get("trainable", True) for turn in turns):
        raise PairError("The turn in which the two part is not to be learnt from.")
    return list(left[:alike]), turns[:1], turns[1:]


def _find_cut(left: Sequence[Message], right: Sequence[Message], alike: int) -> int:
    last = min(alike, len(left) - 1, len(right) - 1)
    for index in range(last, -1, -1):
        if left[index]["role"] == right[index]["role"] == "assistant":
            return index
    return alike


def _count_alike(left: Sequence[T], right: Sequence[T], key: Callable[[T], object]) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if key(one) != key(other):
            break
        count += 1
    return count


def _step_key(step: Step) -> object:
    results = step.observation.results if step.observation else []
    order = {call.tool_call_id: number for number, call in enumerate(step.tool_calls or [])}
    return (
        step.source,
        text_of(step.message),
        [_call_key(call) for call in step.tool_calls or []],
        [(order.get(result.source_call_id or ""), text_of(result.content)) for result in results],
    )


def _call_key(call: ToolCall) -> object:
    return call.function_name, _canonical(call.arguments_raw)


def _message_key(message: Message) -> object:
    """A message without ids: those are ours, and say nothing about what was said."""
    calls = [
        (call["function"]["name"], _canonical(call["function"]["arguments"])) for call in message.get("tool_calls", [])
    ]
    return message["role"], message["content"], message.get("reasoning_content"), message.get("name"), calls


def _loose_key(message: Message) -> object:
    """A message without ids and without regard to white space."""
    calls = [
        (call["function"]["name"], "".join(_canonical(call["function"]["arguments"]).split()))
        for call in message.get("tool_calls", [])
    ]
    spoken = (message["content"].split(), message.get("reasoning_content", "").split())
    return message["role"], spoken, message.get("name"), calls


def _tools_key(document: Document) -> list[str]:
    return sorted(json.dumps(tool, sort_keys=True) for tool in document.agent.tool_definitions or [])


def _canonical(arguments: str) -> str:
    """Arguments that mean the same compare equal, however they were spaced; 1 and true do not mean the same."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments


def _name(messages: Sequence[Message]) -> str:
    return f"a {messages[0]['role']} message" if messages else "nothing"
