"""OpenAI chat messages: `messages` on each record, or one list of messages that is the whole file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO

from curation.formats.base import FormatError, Found, Head, ImportContext, RecordError, Rejected, describe_source
from curation.formats.decoding import Loader, Record
from curation.formats.document import Agent, Document, Outcome, Step, Task, Trial, fingerprint_instruction, text_of
from curation.formats.messages import messages_to_steps
from curation.formats.outcomes import read_index, read_reward, read_rewards, read_task_id
from curation.formats.reading import build_record, parse_records, read_head, read_whole

_TASK_KEYS = ("task_id", "instance_id", "item_id")
_READ_KEYS = {"messages", "tools", "reward", "success", "rewards", "trial", "seed", "model", *_TASK_KEYS}


class Chat:
    name = "chat"
    label = "OpenAI chat messages"
    looks_for = "records with a list `messages`, or one list of messages with `role` and `content`"

    def detect(self, head: Head) -> bool:
        first = head.first or {}
        return isinstance(first.get("messages"), list) or _is_message_list(head)

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        build = partial(read_conversation, context=context)
        try:
            whole = _is_message_list(read_head(stream))
        except FormatError:
            whole = False  # parse_records says what is wrong with the file
        if not whole:
            yield from parse_records(stream, build)
            return
        try:
            messages, warnings = read_whole(stream)
        except RecordError as error:
            yield Rejected(0, str(error), fatal=True)
        else:
            yield build_record(Record(0, {"messages": messages}, "", warnings), build)


def read_conversation(record: Record, *, context: ImportContext) -> tuple[Document, list[str]]:
    """One conversation, with what stands beside its messages: tools, task, trial, model and outcome."""
    value = record.value
    messages = value.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RecordError("it has no list of `messages`")
    steps, warnings = messages_to_steps(messages)
    tools, odd_tools = read_tools(value.get("tools"))
    reward, success, odd_reward = read_reward(value.get("reward"))
    said = value.get("success")
    success = said if isinstance(said, bool) else success
    model = value.get("model")
    instruction = first_request(steps)
    fingerprint = fingerprint_instruction(instruction)
    seed = value.get("seed")
    kept = {key: item for key, item in value.items() if key not in _READ_KEYS}
    document = Document(
        agent=Agent(
            name="chat agent",
            model_name=model if model and isinstance(model, str) else context.model,
            tool_definitions=tools,
        ),
        steps=steps,
        extra=kept or None,
        source=describe_source(Chat.name, context, index=record.index),
        task=Task(
            id=_read_task_id(value) or fingerprint[:16],
            dataset=context.dataset,
            fingerprint=fingerprint,
            instruction=instruction,
        ),
        trial=Trial(
            index=read_index(value.get("trial")),
            seed=seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
        ),
        outcome=Outcome(
            reward=reward,
            success=success,
            rewards=read_rewards(value.get("rewards")),
            status="unknown" if reward is None and success is None else "completed",
        ),
    )
    return document, warnings + odd_tools + odd_reward


def first_request(steps: list[Step]) -> str:
    """The first user text: what the task says where nothing else does."""
    return next((text_of(step.message) for step in steps if step.actor == "user"), "")


def read_tools(value: Any) -> tuple[list[dict[str, Any]] | None, list[str]]:
    """Tool definitions, a list or the JSON text of one, and what was odd about them."""
    if isinstance(value, str) and value:
        try:
            value = Loader().load(value)[0]
        except RecordError:
            return None, ["`tools` that are not JSON, left out"]
    if value is None or value == "":
        return None, []
    if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
        return None, ["`tools` that are not a list of objects, left out"]
    return value, []


def _read_task_id(value: Mapping[str, Any]) -> str | None:
    return next((name for key in _TASK_KEYS if (name := read_task_id(value.get(key)))), None)


def _is_message_list(head: Head) -> bool:
    first = head.first or {}
    return head.layout == "array" and isinstance(first.get("role"), str) and "messages" not in first
