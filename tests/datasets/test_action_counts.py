from __future__ import annotations

import json
from typing import Any

from curation.action_counts import MOST_VALUES, ActionCounts


def call(name: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "type": "function", "function": function}]}


def test_an_action_that_is_nearly_absent_is_named() -> None:
    counts = ActionCounts()
    for _ in range(3723):
        counts.add_message(call("act", action="left"))
    for _ in range(6):
        counts.add_message(call("act", action="right"))
    assert [(one.action, one.taught, one.rare) for one in counts.list_actions()] == [
        ("act: left", 3723, False),
        ("act: right", 6, True),
    ]


def test_a_tool_that_is_offered_and_never_called_is_named() -> None:
    counts = ActionCounts()
    schema = {"type": "object", "properties": {"action": {"type": "string", "enum": ["left", "right"]}}}
    counts.offer_tools([{"type": "function", "function": {"name": "act", "parameters": schema}}, {"name": "stop"}])
    for _ in range(200):
        counts.add_message(call("act", action="left"))
    assert {one.action: one.taught for one in counts.list_actions() if one.rare} == {"act: right": 0, "stop": 0}


def test_few_actions_are_not_called_nearly_absent() -> None:
    counts = ActionCounts()
    counts.offer_tools([{"name": "stop"}])
    counts.add_message(call("act", action="left"))
    assert not any(one.rare for one in counts.list_actions())


def test_what_bears_no_loss_is_not_counted_and_sides_are_told_apart() -> None:
    counts = ActionCounts()
    counts.add_message({"role": "tool", "content": "Action: look"})
    counts.add_message(call("act", action="left") | {"trainable": False})
    counts.add_message(call("act", action="left"))
    counts.add_message(call("act", action="left"), rejected=True)
    assert [(one.action, one.taught, one.rejected) for one in counts.list_actions()] == [("act: left", 1, 1)]


def test_a_tool_with_many_values_is_counted_as_one_and_takes_no_more_memory() -> None:
    counts = ActionCounts()
    for number in range(5000):
        counts.add_message(call("search", query=f"q{number}"))
    assert [(one.action, one.taught) for one in counts.list_actions()] == [("search", 5000)]
    assert sum(len(values) for values in counts._counts.values()) <= MOST_VALUES


def test_text_agents_are_counted_by_their_action_words() -> None:
    counts = ActionCounts()
    counts.add_message({"role": "assistant", "content": "Thought: hm\nAction 2: Search[Rome]"})
    counts.add_message({"role": "assistant", "content": "go north"})
    counts.add_message({"role": "assistant", "content": "I am sorry, but I cannot help with that."})
    assert {one.action for one in counts.list_actions()} == {"search", "go"}
