"""OpenHands' events as chat messages: those of V0 (`action`, `observation`) and of V1 (`kind`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from curation.formats.messages import write_arguments

_ABOUT_SESSION = {"recall", "null", "change_agent_state", "agent_state_changed", "condensation", "loading"}
_EVENT_KEYS = {
    "id", "timestamp", "source", "message", "action", "observation", "args", "content", "extras", "cause",
    "tool_call_metadata", "llm_metrics", "keep_prompt", "is_confirmed", "action_risk", "confirmation_state", "thought",
    "timeout",
}  # fmt: skip
_ARGUMENTS_OF_OURS = {"thought", "is_confirmed", "confirmation_state", "security_risk", "hidden", "keep_prompt"}


@dataclass
class Events:
    """What a session's events come to."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    tools: Any = None
    model: Any = None
    version: Any = None
    warnings: list[str] = field(default_factory=list)


def read_events(events: list[Any]) -> Events:
    """The messages of a list of events, or of [action, observation] pairs as old versions wrote them."""
    reader = _Reader()
    for event in events:
        for single in event if isinstance(event, list) else [event]:
            if isinstance(single, Mapping):
                reader.read(single)
            else:
                reader.left_out += 1
    if reader.left_out:
        reader.found.warnings.append("an event about the session itself, left out")
    return reader.found


class _Reader:
    def __init__(self) -> None:
        self.found = Events()
        self.left_out = 0
        self._reply: tuple[Any, dict[str, Any]] | None = None
        self._call_ids: dict[str, Any] = {}

    def read(self, event: Mapping[str, Any]) -> None:
        if isinstance(event.get("kind"), str):
            self._read_v1(event)
        elif event.get("observation") is not None:
            self._read_observation(event)
        elif event.get("action") is not None:
            self._read_action(event)
        else:
            self.left_out += 1

    def _read_action(self, event: Mapping[str, Any]) -> None:
        action = str(event["action"])
        args = event["args"] if isinstance(event.get("args"), Mapping) else _flat(event)
        if action == "system":
            self._say("system", args.get("content"))
            self.found.tools = args.get("tools") or self.found.tools
            self.found.version = args.get("openhands_version")
        elif action in _ABOUT_SESSION:
            self.left_out += 1
        elif action == "message":
            spoken = event.get("source") or ("agent" if self.found.messages else "user")
            self._say("assistant" if spoken == "agent" else "user", args.get("content", event.get("content")))
        else:
            self._act(event, action, args)

    def _act(self, event: Mapping[str, Any], action: str, args: Mapping[str, Any]) -> None:
        metadata = event.get("tool_call_metadata")
        answer = _find_answer(metadata)
        if answer is not None and isinstance(metadata, Mapping):
            # The model's own words; several actions may come from one answer of it.
            response = metadata["model_response"]
            self.found.model = self.found.model or response.get("model")
            if self._reply is None or self._reply[0] != response.get("id"):
                self._reply = (response.get("id"), dict(answer))
                self.found.messages.append(self._reply[1])
            self._call_ids[str(event.get("id"))] = metadata.get("tool_call_id")
            return
        thought = args.get("thought")
        message: dict[str, Any] = {"role": "assistant", "content": thought if isinstance(thought, str) else ""}
        arguments = {key: item for key, item in args.items() if key not in _ARGUMENTS_OF_OURS}
        call_id = event.get("id")
        message["tool_calls"] = [
            {"id": None if call_id is None else str(call_id), "name": action, "arguments": write_arguments(arguments)}
        ]
        self.found.messages.append(message)
        self._reply = None
        self._call_ids[str(call_id)] = None if call_id is None else str(call_id)

    def _read_observation(self, event: Mapping[str, Any]) -> None:
        if str(event["observation"]) in _ABOUT_SESSION:
            self.left_out += 1
            return
        metadata = event.get("tool_call_metadata")
        call_id = metadata.get("tool_call_id") if isinstance(metadata, Mapping) else None
        call_id = call_id or self._call_ids.get(str(event.get("cause")))
        self._answer(call_id, event.get("content", event.get("message")), _read_marks(event))
        self._reply = None

    def _read_v1(self, event: Mapping[str, Any]) -> None:
        kind = event["kind"]
        if kind == "MessageEvent":
            said = event.get("llm_message")
            said = said if isinstance(said, Mapping) else {}
            role = "assistant" if event.get("source") == "agent" else str(said.get("role") or "user")
            self._say(role, said.get("content"), said.get("reasoning_content"))
        elif kind == "SystemPromptEvent":
            prompt = event.get("system_prompt")
            self._say("system", [prompt] if isinstance(prompt, Mapping) else prompt)
            self.found.tools = event.get("tools") or self.found.tools
        elif kind == "ActionEvent":
            self._act_v1(event)
        elif event.get("action_id") is not None or "observation" in event:
            self._observe_v1(event)
        else:
            self.left_out += 1

    def _act_v1(self, event: Mapping[str, Any]) -> None:
        reply_id = event.get("llm_response_id")
        if reply_id is None or self._reply is None or self._reply[0] != reply_id:
            message: dict[str, Any] = {"role": "assistant", "content": event.get("thought"), "tool_calls": []}
            message["reasoning_content"] = event.get("reasoning_content")
            self._reply = (reply_id, message)
            self.found.messages.append(message)
        call = event.get("tool_call")
        call = call if isinstance(call, Mapping) else {}
        function = call["function"] if isinstance(call.get("function"), Mapping) else call
        action = event.get("action")
        arguments = function.get("arguments")
        if arguments is None and isinstance(action, Mapping):
            arguments = write_arguments({key: item for key, item in action.items() if key != "kind"})
        name = event.get("tool_name") or function.get("name")
        if not name:
            self.found.warnings.append("a call without the name of its tool")
        call_id = event.get("tool_call_id") or call.get("id") or event.get("id")
        self._call_ids[str(event.get("id"))] = call_id
        self._reply[1]["tool_calls"].append({"id": call_id, "name": name or "unknown_tool", "arguments": arguments})

    def _observe_v1(self, event: Mapping[str, Any]) -> None:
        observation = event.get("observation")
        content = observation.get("content") if isinstance(observation, Mapping) else observation
        content = next((event[key] for key in ("error", "rejection_reason") if event.get(key)), content)
        call_id = event.get("tool_call_id") or self._call_ids.get(str(event.get("action_id")))
        if call_id is None and event.get("action_id") is None:
            self._say("environment", content)
        else:
            failed = {"is_error": True} if event.get("error") else {}
            marks = _keep_marks(observation) if isinstance(observation, Mapping) else {}
            self._answer(call_id, content, marks | failed)
        self._reply = None

    def _say(self, role: str, content: Any, reasoning: Any = None) -> None:
        message = {"role": role, "content": content}
        self.found.messages.append(message | ({"reasoning_content": reasoning} if reasoning else {}))
        self._reply = None

    def _answer(self, call_id: Any, content: Any, marks: Mapping[str, Any]) -> None:
        self.found.messages.append({"role": "tool", "tool_call_id": call_id, "content": content, **marks})


def _read_marks(event: Mapping[str, Any]) -> dict[str, Any]:
    """What the recorder says of how an action went, beside the text: a failure, an exit code other than 0."""
    extras = event.get("extras")
    metadata = extras.get("metadata") if isinstance(extras, Mapping) else None
    marks: dict[str, Any] = {"is_error": True} if event["observation"] == "error" else {}
    for place in (event, extras, metadata):
        marks |= _keep_marks(place) if isinstance(place, Mapping) else {}
    return marks


def _keep_marks(place: Mapping[str, Any]) -> dict[str, Any]:
    marks: dict[str, Any] = {"is_error": True} if place.get("is_error") is True else {}
    return marks | ({"exit_code": place["exit_code"]} if place.get("exit_code") not in (None, 0) else {})


def _flat(event: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an action that stand on the event itself, as in old versions."""
    arguments = {key: item for key, item in event.items() if key not in _EVENT_KEYS}
    return arguments | {key: event[key] for key in ("thought", "content") if key in event}


def _find_answer(metadata: Any) -> Mapping[str, Any] | None:
    """The model's message behind an action, where it was kept."""
    response = metadata.get("model_response") if isinstance(metadata, Mapping) else None
    choices = response.get("choices") if isinstance(response, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, Mapping) else None
    return message if isinstance(message, Mapping) and message.get("role") == "assistant" else None
