"""How often each action is taught: the tools an agent calls, or the action words of one that writes text. Pure.

A set with 3,723 left turns and 6 right ones taught a model that cannot turn right: what is nearly absent is named.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

MOST_VALUES = 24
"""Of a tool with more different values of its one argument, the calls alone are counted."""

LONGEST_VALUE = 24
NEARLY_ABSENT = 0.01
"""Of what the most frequent action has."""

ENOUGH = 100
"""With fewer of the most frequent action, nothing is said to be nearly absent."""

_ACTION = re.compile(r"^\s*Action(?:\s+\d+)?\s*:\s*(\w+)", re.MULTILINE | re.IGNORECASE)


class ActionCount(NamedTuple):
    """An action, as a tool's name, a tool's name with the value of its only short argument, or a word of text.

    `taught` counts it where it is learnt from (in pairs, on the chosen side), `rejected` where it is to be avoided.
    `rare` marks what is offered or seen, and nearly never taught.
    """

    action: str
    taught: int
    rejected: int
    rare: bool


class ActionCounts:
    """Counts as messages go by; what it holds does not grow with their number."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, Counter[bool]]] = defaultdict(lambda: defaultdict(Counter))
        self._single: set[str] = set()
        self._offered: dict[str, list[str]] = {}

    def offer_tools(self, tools: Iterable[Mapping[str, Any]]) -> None:
        """Tools that an agent had, in OpenAI's form: one that is never called is told of."""
        for tool in tools:
            inner = tool.get("function")
            function = inner if isinstance(inner, Mapping) else tool
            name = function.get("name")
            if isinstance(name, str) and name not in self._offered:
                self._offered[name] = _list_choices(function.get("parameters"))

    def add_message(self, message: Mapping[str, Any], *, rejected: bool = False) -> None:
        """Count a chat message if it bears loss: an assistant's that is not marked otherwise."""
        if message.get("role") != "assistant" or message.get("trainable") is False:
            return
        calls = message.get("tool_calls") or []
        for call in calls:
            self._count(call["function"]["name"], _only_value(call["function"]["arguments"]), rejected)
        if not calls and (word := _action_word(message.get("content"))):
            self._count(word, "", rejected)

    def list_actions(self) -> list[ActionCount]:
        """The most taught first."""
        counts: dict[str, Counter[bool]] = {}
        for tool, values in self._counts.items():
            for value, sides in values.items():
                counts[f"{tool}: {value}" if value else tool] = sides
        for tool, choices in self._offered.items():
            known = [] if tool in self._single else choices
            for name in [f"{tool}: {choice}" for choice in known] or [tool]:
                if known or tool not in self._counts:
                    counts.setdefault(name, Counter())
        most = max((sides[False] for sides in counts.values()), default=0)
        found = [
            ActionCount(name, sides[False], sides[True], most >= ENOUGH and sides[False] < NEARLY_ABSENT * most)
            for name, sides in counts.items()
        ]
        return sorted(found, key=lambda action: (-action.taught, -action.rejected, action.action))

    def _count(self, tool: str, value: str, rejected: bool) -> None:
        values = self._counts[tool]
        if tool in self._single:
            value = ""
        values[value][rejected] += 1
        if len(values) > MOST_VALUES:
            self._single.add(tool)
            self._counts[tool] = defaultdict(Counter, {"": sum(values.values(), Counter())})


def _only_value(arguments: str) -> str:
    """The value of the only argument, where it is one short word or two; else nothing."""
    try:
        plain = json.loads(arguments or "{}")
    except ValueError:
        return ""
    values = list(plain.values()) if isinstance(plain, dict) else []
    if len(values) != 1 or not isinstance(values[0], str) or len(values[0]) > LONGEST_VALUE:
        return ""
    return values[0] if 0 < len(values[0].split()) <= 2 else ""


def _list_choices(schema: Any) -> list[str]:
    """What a tool's only argument may be, where its schema lists it."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping) or len(properties) != 1:
        return []
    (only,) = properties.values()
    choices = only.get("enum") if isinstance(only, Mapping) else None
    if not isinstance(choices, list) or len(choices) > MOST_VALUES:
        return []
    return [choice for choice in choices if isinstance(choice, str) and len(choice) <= LONGEST_VALUE]


def _action_word(content: Any) -> str:
    """The action that a text names: after "Action:", or the first word of a text of three at most."""
    if not isinstance(content, str):
        return ""
    named = _ACTION.findall(content)
    if named:
        return str(named[-1]).casefold()
    words = content[:100].split()
    return words[0].casefold()[:LONGEST_VALUE] if 0 < len(words) <= 3 else ""
