"""tau2 results: `simulations` of `tasks`, in which the simulated user may call tools as well."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError, Rejected
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import Record
from curation.formats.document import Document, Status
from curation.formats.messages import write_arguments
from curation.formats.reading import build_record, parse_records, read_first, read_whole

_KEYS = {"task_id", "messages", "reward_info"}
_ENDS: dict[str, Status] = {
    "user_stop": "completed",
    "agent_stop": "completed",
    "max_steps": "truncated",
    "timeout": "truncated",
    "too_many_errors": "crashed",
    "agent_error": "crashed",
    "user_error": "crashed",
    "infrastructure_error": "crashed",
}
_SAID = {
    "role",
    "content",
    "tool_calls",
    "reasoning",
    "raw_data",
    "id",
    "requestor",
    "error",
    "errors",
    "usage",
    "cost",
}


class Tau2:
    name = "tau2"
    label = "tau2 results"
    looks_for = "an object with `simulations`, or a list of them, each with `task_id`, `messages` and `reward_info`"

    def detect(self, head: Head) -> bool:
        first = head.first or {}
        runs = first.get("simulations")
        if isinstance(runs, list):
            return not runs or (isinstance(runs[0], dict) and runs[0].keys() >= {"task_id", "messages"})
        return first.keys() >= _KEYS

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        if "simulations" not in (read_first(stream)):
            yield from parse_records(stream, partial(_read_simulation, root={}, context=context))
            return
        try:
            root, warnings = read_whole(stream)
        except RecordError as error:
            yield Rejected(0, str(error), fatal=True)
            return
        for index, run in enumerate(_list(root)):
            record = Record(index, run if isinstance(run, dict) else {}, json.dumps(run, ensure_ascii=False), warnings)
            yield build_record(record, partial(_read_simulation, root=root, context=context))
            warnings = ()


def _read_simulation(record: Record, *, root: Mapping[str, Any], context: ImportContext) -> tuple[Document, list[str]]:
    run = record.value
    messages = run.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RecordError("it has no `messages`")
    info = _object(root.get("info"))
    environment, agent = _object(info.get("environment_info")), _object(info.get("agent_info"))
    reward_info = _object(run.get("reward_info"))
    end = run.get("termination_reason")
    read = [_read_message(number, message) for number, message in enumerate(messages, start=1)]
    policy = environment.get("policy")
    if isinstance(policy, str) and policy and read[0]["role"] != "system":
        read.insert(0, {"role": "system", "content": policy})
    kept = ("id", "termination_reason", "agent_cost", "user_cost", "duration", "reward_info")
    conversation = Conversation(
        messages=read,
        agent=str(agent.get("implementation") or root.get("agent") or "tau2 agent"),
        model=agent.get("llm") or root.get("model"),
        task_id=run.get("task_id"),
        dataset=_text(environment.get("domain_name")) or _text(root.get("domain")),
        instruction=_find_instruction(root, run.get("task_id")),
        tools=environment.get("tool_defs"),
        trial=run.get("trial"),
        seed=run.get("seed"),
        reward=reward_info.get("reward"),
        rewards=reward_info.get("reward_breakdown"),
        status=_ENDS.get(end) if isinstance(end, str) else None,
        error=end if isinstance(end, str) and _ENDS.get(end) == "crashed" else None,
        scorer="tau2",
        extra={key: run.get(key) for key in kept},
    )
    return build_document(conversation, format=Tau2.name, index=record.index, context=context)


def _read_message(number: int, message: Any) -> dict[str, Any]:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise RecordError(f"message {number}: it has no role")
    role = message["role"]
    read: dict[str, Any] = {key: item for key, item in message.items() if key not in _SAID and item is not None}
    read |= {"role": role, "content": message.get("content")}
    if role == "tool":
        # What the simulated user asked for is not the agent's to see.
        own = message.get("requestor") != "user"
        read |= {"tool_call_id": message.get("id")} if own else {"role": "environment", "answers": message.get("id")}
        return read | ({"error": True} if message.get("error") is True else {})
    if isinstance(message.get("reasoning"), str):
        read["reasoning_content"] = message["reasoning"]
    if isinstance(message.get("usage"), Mapping):
        read["usage"] = message["usage"]
    calls = message.get("tool_calls")
    if calls and role == "assistant":
        read["tool_calls"] = _read_calls(calls, message)
    elif calls:
        read["user_tool_calls"] = calls
    return read


def _read_calls(calls: Any, message: Mapping[str, Any]) -> Any:
    """The calls, their arguments as the model wrote them where the raw answer is kept beside."""
    if not isinstance(calls, list):
        return calls
    raw = _object(_object(message.get("raw_data")).get("message")).get("tool_calls")
    written = raw if isinstance(raw, list) and len(raw) == len(calls) else [None] * len(calls)
    return [_read_call(call, original) for call, original in zip(calls, written, strict=True)]


def _read_call(call: Any, original: Any) -> Any:
    if not isinstance(call, Mapping):
        return call
    arguments = call.get("arguments")
    text = _object(_object(original).get("function")).get("arguments")
    if isinstance(text, str) and _parses_to(text, arguments):
        arguments = text
    elif isinstance(arguments, dict):
        arguments = write_arguments(arguments)
    return {"id": call.get("id"), "name": call.get("name"), "arguments": arguments}


def _parses_to(text: str, value: Any) -> bool:
    try:
        return bool(json.loads(text) == value)
    except (ValueError, RecursionError):
        return False


def _find_instruction(root: Mapping[str, Any], task_id: Any) -> str | None:
    """What the simulated user was told, as text."""
    tasks = root.get("tasks")
    for task in tasks if isinstance(tasks, list) else []:
        if isinstance(task, Mapping) and task.get("id") == task_id:
            scenario = _object(task.get("user_scenario"))
            told = scenario.get("instructions", scenario)
            if isinstance(told, Mapping):
                return "\n".join(f"{key}: {item}" for key, item in told.items() if item is not None)
            return _text(told)
    return None


def _list(root: Any) -> list[Any]:
    found = root.get("simulations") if isinstance(root, dict) else None
    return found if isinstance(found, list) else []


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
