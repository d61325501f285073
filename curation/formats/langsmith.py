"""LangSmith's runs: one object each, of which those of type `llm` are model calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from curation.formats.base import Found, Head, ImportContext, RecordError
from curation.formats.langfuse import read_messages
from curation.formats.messages import write_arguments
from curation.formats.spans import Message, Span, parse_spans

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "tool"}
_CLASSES = {"HumanMessage": "human", "AIMessage": "ai", "SystemMessage": "system", "ToolMessage": "tool"}


class LangSmith:
    name = "langsmith"
    label = "LangSmith runs"
    looks_for = "runs with `run_type`, `trace_id`, `inputs` and `outputs`"

    def detect(self, head: Head) -> bool:
        return (head.first or {}).keys() >= {"run_type", "inputs", "id"}

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        return parse_spans(stream, context, format=self.name, read=_read_run)


def _read_run(run: Mapping[str, Any]) -> list[Span]:
    run_id = str(run.get("id") or "")
    if not run_id or not isinstance(run.get("run_type"), str):
        raise RecordError("it has no `id` or no `run_type`")
    is_call = run["run_type"] == "llm"
    inputs = run["inputs"] if isinstance(run.get("inputs"), Mapping) else {}
    scores = run.get("feedback_stats")
    extra = run.get("extra")
    metadata = extra.get("metadata") if isinstance(extra, Mapping) else None
    metadata = metadata if isinstance(metadata, Mapping) else {}
    parameters = extra.get("invocation_params") if isinstance(extra, Mapping) else None
    parameters = parameters if isinstance(parameters, Mapping) else {}
    own = Span(
        trace_id=str(run.get("trace_id") or run_id),
        span_id=run_id,
        parent_id=str(run.get("parent_run_id") or ""),
        start=run.get("dotted_order") or run.get("start_time") or "",
        is_agent=run.get("run_type") == "chain" and "agent" in str(run.get("name", "")).lower(),
        name=str(run.get("name") or ""),
        messages=_read_side(inputs, "user") if is_call else [],
        answer=_read_side(run.get("outputs"), "assistant") if is_call else [],
        model=metadata.get("ls_model_name") or parameters.get("model"),
        tools=parameters.get("tools") or inputs.get("tools"),
        session=metadata.get("session_id") or metadata.get("thread_id"),
        error=run.get("error"),
        rewards=_read_scores(scores),
    )
    return [own, *(span for child in _children(run) for span in _read_run(child))]


def _children(run: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    children = run.get("child_runs")
    return [child for child in children if isinstance(child, Mapping)] if isinstance(children, list) else []


def _read_scores(scores: Any) -> dict[str, Any]:
    if not isinstance(scores, Mapping):
        return {}
    return {str(name): score.get("avg") for name, score in scores.items() if isinstance(score, Mapping)}


def _read_side(value: Any, role: str) -> list[Message]:
    return [_read_message(message) for message in read_messages(_unpack(value), role)]


def _unpack(value: Any) -> Any:
    """LangChain nests lists of messages, and writes each as its constructor's arguments or as a typed object."""
    if isinstance(value, list):
        return [_unpack(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if isinstance(value.get("kwargs"), Mapping) and isinstance(value.get("id"), list):
        name = str(value["id"][-1]).removesuffix("Chunk") if value["id"] else ""
        return dict(value["kwargs"]) | {"role": _ROLES.get(_CLASSES.get(name, ""), "user")}
    if value.get("type") in _ROLES and isinstance(value.get("data"), Mapping):
        return dict(value["data"]) | {"role": _ROLES[value["type"]]}
    if value.get("type") in _ROLES and "content" in value:
        return {key: item for key, item in value.items() if key != "type"} | {"role": _ROLES[value["type"]]}
    return {
        key: _unpack(item) if key in ("messages", "generations", "message") else item for key, item in value.items()
    }


def _read_message(message: Message) -> Message:
    """Calls in LangChain's form, `{name, args, id}`, and in OpenAI's, which stands in `additional_kwargs`."""
    more = message.get("additional_kwargs")
    native = more.get("tool_calls") if isinstance(more, Mapping) else None
    calls = native or message.get("tool_calls")
    dropped = {"additional_kwargs", "response_metadata", "lc", "invalid_tool_calls", "usage_metadata", "type", "id"}
    read = {key: item for key, item in message.items() if key not in dropped}
    if isinstance(calls, list) and calls:
        read["tool_calls"] = [_read_call(call) for call in calls]
    return read


def _read_call(call: Any) -> Any:
    if not isinstance(call, Mapping) or "args" not in call:
        return call
    arguments = call["args"]
    text = arguments if isinstance(arguments, str) else write_arguments(arguments)
    return {"id": call.get("id"), "name": call.get("name"), "arguments": text}
