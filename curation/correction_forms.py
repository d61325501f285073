"""The form of a correction: its fields for a step as it stands, and the edit that what was typed into them makes.

Fields are named by the order of calls and results, from 1, so that they mean the same when steps were renumbered;
"new" stands for the call of an inserted step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curation.formats.document import text_of
from curation.revisions import Edit, divide_text
from curation.services.corrections import parse_edit

OPERATIONS = {
    "edit": ("Change this step", "e"),
    "insert": ("Insert a new step", "i"),
    "split": ("Split it in two", "s"),
    "delete": ("Delete this step", "d"),
    "truncate": ("Leave out everything after it", "t"),
}
SOURCES = {"agent": "Agent", "user": "User", "system": "System", "environment": "Environment"}
_LABELS = {
    "message": "Text",
    "reasoning": "Reasoning",
    "name": "Tool",
    "arguments": "Arguments",
    "result": "Observation",
    "first": "First half",
    "second": "Second half",
}


@dataclass(frozen=True)
class Carried:
    """What was typed on an older revision, as it stands on a newer one."""

    values: dict[str, str]
    both: list[str]
    """Labels of the fields that both sides changed: the typed text is in the form."""
    homeless: list[tuple[str, str]]
    """Label and typed text of fields that the newer step does not have."""


def fields_of(step: Mapping[str, Any]) -> dict[str, str]:
    """All fields of the form, by name, before anything was typed."""
    message, reasoning = text_of(step.get("message")), step.get("reasoning_content") or ""
    calls, results = step.get("tool_calls") or [], (step.get("observation") or {}).get("results") or []
    fields = {"message": message, "reasoning": reasoning}
    for order, call in enumerate(calls, start=1):
        fields |= {f"name-{order}": call["function_name"], f"arguments-{order}": call["arguments_raw"]}
    for order, result in enumerate(results, start=1):
        fields[f"result-{order}"] = text_of(result.get("content"))
    fields |= {"source": "agent", "place": "after", "message-new": "", "reasoning-new": "", "name-new": ""}
    fields |= {"arguments-new": "{}", "result-new": ""}
    for name, text in (("message", message), ("reasoning", reasoning)):
        fields[f"first-{name}"], fields[f"second-{name}"] = divide_text(text)
    return fields | {"calls-in-first": str(len(calls) // 2), "operation": "edit", "reason": ""}


def read_edit(typed: Mapping[str, str], step: Mapping[str, Any]) -> Edit:
    """The edit that the form describes: only what differs from the step as it stands. Raises ValueError."""
    step_id, operation = step["step_id"], typed.get("operation", "edit")
    if operation == "insert":
        return _read_insertion(typed, step_id)
    if operation == "split":
        return _read_split(typed, step_id)
    if operation != "edit":
        return parse_edit({"kind": operation, "step_id": step_id})
    changed = {
        name: _like(typed[name], now) for name, now in fields_of(step).items() if _differs(name, typed.get(name), now)
    }
    calls = []
    for order, call in enumerate(step.get("tool_calls") or [], start=1):
        parts = {"function_name": changed.get(f"name-{order}"), "arguments_raw": changed.get(f"arguments-{order}")}
        if any(part is not None for part in parts.values()):
            calls.append({"tool_call_id": call["tool_call_id"], **parts})
    results = len((step.get("observation") or {}).get("results") or [])
    observations = [
        {"result": order - 1, "text": changed[f"result-{order}"]}
        for order in range(1, results + 1)
        if f"result-{order}" in changed
    ]
    return parse_edit(
        {
            "kind": "edit",
            "step_id": step_id,
            "message": changed.get("message"),
            "reasoning_content": changed.get("reasoning"),
            "tool_calls": calls,
            "observations": observations,
        }
    )


def carry_over(typed: Mapping[str, str], before: Mapping[str, Any], after: Mapping[str, Any]) -> Carried:
    """What was typed on the step `before`, on the same step as others have changed it since.

    A field that was left alone follows them, so that saving it does not bring the old text back.
    """
    old, new = fields_of(before), fields_of(after)
    mine = {name: text for name, text in typed.items() if name in old and _differs(name, text, old[name])}
    recorded = ("message", "reasoning", "name-", "arguments-", "result-")
    both = [
        label_of(name)
        for name in mine
        if name in new and new[name] != old[name] and name.startswith(recorded) and mine[name] != new[name]
    ]
    homeless = [(label_of(name), text) for name, text in mine.items() if name not in new]
    return Carried(new | {name: text for name, text in mine.items() if name in new}, both, homeless)


def label_of(name: str) -> str:
    """A field's name as a person reads it: "Arguments 2"."""
    kind, _, rest = name.partition("-")
    return f"{_LABELS.get(kind, kind)} {rest}".strip()


def _read_insertion(typed: Mapping[str, str], step_id: int) -> Edit:
    source, name = typed.get("source", "agent"), typed.get("name-new", "").strip()
    fields: dict[str, Any] = {
        "kind": "insert",
        "after_step_id": step_id - 1 if typed.get("place") == "before" else step_id,
        "source": source,
        "message": _lines(typed.get("message-new", "")),
    }
    if source == "agent":
        fields["reasoning_content"] = _lines(typed.get("reasoning-new", ""))
        call = {"function_name": name, "arguments_raw": _lines(typed.get("arguments-new", "")).strip() or "{}"}
        if typed.get("result-new", "").strip():
            call["observation"] = _lines(typed["result-new"])
        if name:
            fields["tool_calls"] = [call]
        elif call["arguments_raw"] != "{}" or "observation" in call:
            raise ValueError("The new step has arguments or an observation, but no tool: name the tool.")
    return parse_edit(fields)


def _read_split(typed: Mapping[str, str], step_id: int) -> Edit:
    halves = {
        half: {
            "message": _lines(typed.get(f"{half}-message", "")),
            "reasoning_content": _lines(typed.get(f"{half}-reasoning", "")),
        }
        for half in ("first", "second")
    }
    number = typed.get("calls-in-first", "0") or "0"
    return parse_edit({"kind": "split", "step_id": step_id, **halves, "calls_in_first": number})


def _differs(name: str, sent: str | None, now: str) -> bool:
    """Whether a field was edited. Browsers rewrite ends of lines, and drop them in a field of one line."""
    if sent is None:
        return False
    if name.startswith("name-"):
        return _lines(sent).replace("\n", "") != _lines(now).replace("\n", "")
    return _lines(sent) != _lines(now)


def _like(sent: str, now: str) -> str:
    """A typed text with the ends of lines that the recorded one has."""
    alone = now.count("\n") != now.count("\r\n")
    return _lines(sent).replace("\n", "\r\n") if "\r\n" in now and not alone else _lines(sent)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
