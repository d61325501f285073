"""OpenAI chat messages, both ways: messages to steps for parsers, a document to messages for training and export."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from curation.formats.base import RecordError
from curation.formats.cleaning import clean_value
from curation.formats.document import (
    Document,
    Observation,
    ObservationResult,
    Part,
    Step,
    ToolCall,
    text_of,
    text_part,
    text_parts,
)
from curation.formats.media import read_media
from curation.formats.plain_json import NotPlainError, load_plain

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "model": "assistant",
    "gpt": "assistant",
    "tool": "tool",
    "function": "tool",
    "environment": "environment",
}
_MESSAGE_KEYS = {"role", "content", "tool_calls", "function_call", "tool_call_id", "reasoning_content", "trainable"}
_WEIGHTS = ("trainable", "loss", "weight", "loss_weight")
_TEXT_TYPES = (None, "text", "input_text", "output_text")


def pair_results(call_ids: Sequence[str | None], result_ids: Sequence[str | None]) -> list[int | None]:
    """For each result of one turn, the index of the call it answers, or None where there are more results than calls.

    Ids decide only where they leave no doubt: all of them present, none repeated, each result's id among the calls'.
    Otherwise results answer calls in order, for ids do repeat in recorded files.
    """
    calls, results = set(call_ids), set(result_ids)
    distinct = len(calls) == len(call_ids) and len(results) == len(result_ids)
    if distinct and None not in results and results <= calls:
        return [call_ids.index(wanted) for wanted in result_ids]
    return [number if number < len(call_ids) else None for number in range(len(result_ids))]


def messages_to_steps(messages: list[Any], *, text_actions: bool = False) -> tuple[list[Step], list[str]]:
    """The steps of a conversation, and what was odd about it.

    An assistant message and the tool messages up to the next assistant message make one step. With `text_actions` the
    agent acts by what it writes, and it is not odd that a result answers no call. The list is empty afterwards: a
    hundred megabytes of messages need not stand in memory beside their steps.
    Raises RecordError for what is not a message.
    """
    reader = _Reader(text_actions=text_actions)
    messages.reverse()
    for number in range(1, len(messages) + 1):
        try:
            reader.read(messages.pop())
        except RecordError as error:
            raise RecordError(f"message {number}: {error}") from error
    reader.close_turn()
    return reader.steps, [f"{text} ({count} times)" if count > 1 else text for text, count in reader.odd.items()]


def document_to_messages(document: Document) -> list[dict[str, Any]]:
    """Chat messages of a document: arguments stay the text that was recorded, ids are our own and unique.

    What an observation holds without a call to answer becomes a user message, since no template has a place for a
    tool message that answers nothing.
    """
    messages: list[dict[str, Any]] = []
    for step in document.steps:
        if step.source == "agent":
            messages.append(_assistant_message(step))
        else:
            messages.append({"role": step.source, "content": text_of(step.message)})
        names = {call.tool_call_id: call.function_name for call in step.tool_calls or []}
        results = step.observation.results if step.observation else []
        for result in sorted(results, key=lambda result: result.source_call_id is None):
            content = text_of(result.content)
            if result.source_call_id is None:
                messages.append({"role": "user", "content": content})
            else:
                call_id = result.source_call_id
                messages.append({"role": "tool", "tool_call_id": call_id, "name": names[call_id], "content": content})
    return messages


def read_parts(content: Any) -> list[Part]:
    """The parts of a message's content: a string, a list of parts or strings, nothing, or any other JSON value."""
    if content is None or isinstance(content, str):
        return text_parts(content)
    if not isinstance(content, list):
        return [text_part(json.dumps(content, ensure_ascii=False))]
    return [_read_part(part) for part in content]


def read_call(call: Any, *, call_id: str) -> ToolCall:
    """A tool call in OpenAI's form, nested under `function` or flat; `call_id` is the id we give it."""
    if not isinstance(call, Mapping):
        raise RecordError("a tool call is not an object")
    function = call["function"] if isinstance(call.get("function"), Mapping) else call
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise RecordError("a tool call has no function name")
    native_id = call.get("id")
    arguments, raw = read_arguments(function.get("arguments"))
    return ToolCall(
        tool_call_id=call_id,
        native_id=None if native_id is None else str(native_id),
        function_name=name,
        arguments=arguments,
        arguments_raw=raw,
    )


def read_arguments(value: Any) -> tuple[dict[str, Any] | None, str]:
    """Arguments as (object, text): the object is None where the text is no JSON object."""
    if value is None or value == "":
        return {}, ""
    if not isinstance(value, str):
        return (value if isinstance(value, dict) else None), write_arguments(value)
    try:
        parsed = load_plain(value)
    except NotPlainError:
        return _read_odd_arguments(value), value
    return (parsed if isinstance(parsed, dict) else None), value


def _read_odd_arguments(value: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(value, parse_constant=_refuse_constant)
        return clean_value(parsed)[0] if isinstance(parsed, dict) else None
    except (ValueError, RecursionError):
        return None


def write_arguments(value: Any) -> str:
    """Arguments that were recorded as an object, as the text a model is to write."""
    return json.dumps(value, ensure_ascii=False)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _assistant_message(step: Step) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text_of(step.message)}
    if step.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.tool_call_id,
                "type": "function",
                "function": {"name": call.function_name, "arguments": call.arguments_raw},
            }
            for call in step.tool_calls
        ]
    if step.reasoning_content:
        message["reasoning_content"] = step.reasoning_content
    if not step.trainable:
        message["trainable"] = False
    return message


def _read_part(part: Any) -> Part:
    if isinstance(part, str):
        return text_part(part)
    if not isinstance(part, Mapping):
        return text_part(json.dumps(part, ensure_ascii=False))
    kind, text = part.get("type"), part.get("text", part.get("value"))
    if kind in _TEXT_TYPES and (text is None or isinstance(text, str)):
        return text_part(text or "")
    if media := read_media(part):
        return media
    kept = {key: value for key, value in part.items() if key != "text" or isinstance(value, str)}
    return Part.model_validate(kept | {"type": kind if isinstance(kind, str) else "unknown"})


class _Reader:
    """Reads messages one by one; the turn that is open collects results until the next assistant message."""

    def __init__(self, *, text_actions: bool) -> None:
        self.steps: list[Step] = []
        self.odd: Counter[str] = Counter()
        self._turn: Step | None = None
        self._results: list[ObservationResult] = []
        self._ids: set[str] = set()
        self._text_actions = text_actions

    def read(self, message: Any) -> None:
        if not isinstance(message, Mapping):
            raise RecordError("it is not an object")
        role = message.get("role")
        if not isinstance(role, str):
            raise RecordError("it has no role")
        kind = ROLES.get(role.lower())
        if kind == "assistant":
            self._read_assistant(message)
        elif kind == "tool" and self._turn is not None:
            self._read_result(message)
        else:
            if kind == "tool":
                self.odd["a tool message with no assistant message before it, read as the environment's"] += 1
            elif kind is None:
                self.odd[f"the unknown role {role[:40]!r}, read as the environment's"] += 1
            self._add_step(message, kind or "environment")

    def close_turn(self) -> None:
        """Give the results of the open turn to its calls."""
        step, results = self._turn, self._results
        self._turn, self._results = None, []
        if step is None or not results:
            return
        calls = step.tool_calls or []
        pairs = pair_results([call.native_id for call in calls], [result.native_id for result in results])
        for result, index in zip(results, pairs, strict=True):
            if index is None and not (self._text_actions and not calls):
                self.odd["a result that answers no call"] += 1
            if index is not None:
                result.source_call_id = calls[index].tool_call_id
                self._compact(result, calls[index])
        step.observation = Observation(results=results)

    def _compact(self, result: ObservationResult, call: ToolCall) -> None:
        """Drop what the call says already."""
        if result.native_id == call.native_id:
            result.native_id = None
        if result.extra and result.extra.get("name") == call.function_name:
            del result.extra["name"]
        result.extra = result.extra or None

    def _read_assistant(self, message: Mapping[str, Any]) -> None:
        self.close_turn()
        step = self._add_step(message, "assistant")
        calls = message.get("tool_calls")
        if calls is None and isinstance(message.get("function_call"), Mapping):
            calls = [{"function": message["function_call"]}]
        if calls is not None and not isinstance(calls, list):
            raise RecordError("its tool_calls is not a list")
        read = [read_call(call, call_id=f"{step.step_id}.{order}") for order, call in enumerate(calls or [], start=1)]
        for call in read:
            if call.native_id is not None and call.native_id in self._ids:
                self.odd["a tool-call id that repeats: results were paired with calls by their order"] += 1
            elif call.native_id is not None:
                self._ids.add(call.native_id)
            if call.arguments is None:
                self.odd["arguments that are not a JSON object, kept as text"] += 1
        step.tool_calls = read or None
        self._turn = step

    def _read_result(self, message: Mapping[str, Any]) -> None:
        if self._turn is not self.steps[-1]:
            self.odd["a result that stands after a later message"] += 1
        native_id = message.get("tool_call_id")
        self._results.append(
            ObservationResult(
                content=read_parts(message.get("content")),
                native_id=None if native_id is None else str(native_id),
                extra=_extra_of(message),
            )
        )

    def _add_step(self, message: Mapping[str, Any], kind: str) -> Step:
        agent = kind == "assistant"
        extra = _extra_of(message) or {}
        reasoning = message.get("reasoning_content")
        if agent and reasoning is None and isinstance(extra.get("reasoning"), str):
            reasoning = extra.pop("reasoning")
        left_out = agent and any(key in message and _is_zero(message[key]) for key in _WEIGHTS)
        step = Step(
            step_id=len(self.steps) + 1,
            source="agent" if agent else "system" if kind == "system" else "user",
            message=read_parts(message.get("content")),
            reasoning_content=reasoning if agent and isinstance(reasoning, str) and reasoning else None,
            role_raw=message["role"],
            actor="assistant" if agent else "user" if kind == "user" else "environment",
            trainable=agent and not left_out,
            extra=extra or None,
        )
        self.steps.append(step)
        return step


def _is_zero(value: Any) -> bool:
    return isinstance(value, bool | int | float) and value == 0


def _extra_of(message: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the recorder added to a message beyond the keys that are read."""
    return {key: value for key, value in message.items() if key not in _MESSAGE_KEYS and value is not None} or None
