from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.formats.base import RecordError
from curation.formats.document import Step, text_of
from curation.formats.messages import document_to_messages, messages_to_steps, pair_results
from tests.formats.reading_aids import only_document, parse_value


def call(name: str, native_id: str | None = None, arguments: Any = "{}") -> dict[str, Any]:
    return {"id": native_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def answer(content: Any, native_id: str | None = None) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": native_id, "content": content}


def assistant(*calls: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **fields}


def answers_of(step: Step) -> dict[str, str]:
    """What each call of a step returned."""
    assert step.tool_calls is not None
    names = {call.tool_call_id: call.function_name for call in step.tool_calls}
    results = step.observation.results if step.observation else []
    return {names[result.source_call_id or ""]: text_of(result.content) for result in results}


def test_ids_that_repeat_in_a_conversation_pair_within_their_turn() -> None:
    steps, odd = messages_to_steps(
        [assistant(call("a", "x")), answer("1", "x"), assistant(call("b", "x")), answer("2", "x")]
    )
    assert [answers_of(step) for step in steps] == [{"a": "1"}, {"b": "2"}]
    assert [step.tool_calls[0].tool_call_id for step in steps if step.tool_calls] == ["1.1", "2.1"]
    assert "repeats" in odd[0]


def test_parallel_results_out_of_order_follow_ids_that_leave_no_doubt() -> None:
    steps, _ = messages_to_steps([assistant(call("a", "x"), call("b", "y")), answer("2", "y"), answer("1", "x")])
    assert answers_of(steps[0]) == {"a": "1", "b": "2"}


def test_the_same_id_twice_in_one_turn_pairs_by_order() -> None:
    steps, _ = messages_to_steps([assistant(call("a", "x"), call("b", "x")), answer("1", "x"), answer("2", "x")])
    assert answers_of(steps[0]) == {"a": "1", "b": "2"}


def test_an_unanswered_call_is_normal() -> None:
    steps, odd = messages_to_steps([assistant(call("a", "x"), call("b", "y")), answer("2", "y")])
    assert answers_of(steps[0]) == {"b": "2"}
    assert not odd


def test_results_beyond_the_calls_are_kept_unpaired_and_named() -> None:
    steps, odd = messages_to_steps([assistant(call("a", "x")), answer("1", "x"), answer("2", "x")])
    assert steps[0].observation is not None
    assert [result.source_call_id for result in steps[0].observation.results] == ["1.1", None]
    assert odd == ["a result that answers no call"]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=6), st.sampled_from(["same", "none", "turn"]))
def test_by_order_the_nth_result_of_a_turn_answers_its_nth_call(turns: list[tuple[int, int]], ids: str) -> None:
    messages: list[dict[str, Any]] = []
    for turn, (calls, results) in enumerate(turns):
        native = {"same": "x", "none": None, "turn": f"t{turn}"}[ids]
        messages.append(assistant(*(call(f"c{number}", native) for number in range(calls))))
        messages += [answer(f"r{number}", native) for number in range(results)]
    steps, _ = messages_to_steps(messages)
    for step, (calls, results) in zip(steps, turns, strict=True):
        found = step.observation.results if step.observation else []
        assert len(found) == results
        expected = [f"{step.step_id}.{number + 1}" if number < calls else None for number in range(results)]
        assert [result.source_call_id for result in found] == expected


@given(st.lists(st.sampled_from(["a", "b", "c", None])), st.lists(st.sampled_from(["a", "b", "c", None])))
def test_no_call_is_answered_twice_and_none_is_skipped_without_reason(calls: list[Any], results: list[Any]) -> None:
    pairs = pair_results(calls, results)
    answered = [index for index in pairs if index is not None]
    assert len(pairs) == len(results)
    assert max(Counter(answered).values(), default=0) <= 1
    assert len(answered) == min(len(calls), len(results)) or len(set(results)) == len(results)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("", ""),
        ("plain", "plain"),
        ([{"type": "text", "text": "a"}, {"type": "text", "value": "b"}, "c"], "abc"),
        ([{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "input_text", "text": "x"}], "[image]x"),
        ([{"type": "text", "text": None}, {"type": 3, "text": 4}, {"type": []}, 5], "[unknown][unknown]5"),
        ({"ok": True}, '{"ok": true}'),
    ],
)
def test_content_of_every_kind_becomes_parts(content: Any, text: str) -> None:
    steps, _ = messages_to_steps([{"role": "user", "content": content}])
    assert text_of(steps[0].message) == text


@pytest.mark.parametrize(
    ("arguments", "parsed", "raw"),
    [
        ('{"b": 1,  "a":2}', {"b": 1, "a": 2}, '{"b": 1,  "a":2}'),
        ({"a": None}, {"a": None}, '{"a": null}'),
        ("", {}, ""),
        (None, {}, ""),
        ("not json", None, "not json"),
        ("[1]", None, "[1]"),
        (["fast"], None, '["fast"]'),
        ('{"a": NaN}', None, '{"a": NaN}'),
        ('{"a": 1e999}', None, '{"a": 1e999}'),
        ('{"a": "\\u0000"}', {"a": "\ufffd"}, '{"a": "\\u0000"}'),
    ],
)
def test_arguments_keep_their_text_and_are_parsed_where_they_can_be(arguments: Any, parsed: Any, raw: str) -> None:
    steps, odd = messages_to_steps([assistant(call("f", "x", arguments))])
    assert steps[0].tool_calls is not None
    assert (steps[0].tool_calls[0].arguments, steps[0].tool_calls[0].arguments_raw) == (parsed, raw)
    assert bool(odd) == (parsed is None)


def test_deeply_nested_arguments_are_kept_as_text() -> None:
    bomb = '{"a":' + "[" * 50_000 + "]" * 50_000 + "}"
    steps, _ = messages_to_steps([assistant(call("f", "x", bomb))])
    assert steps[0].tool_calls is not None
    assert (steps[0].tool_calls[0].arguments, steps[0].tool_calls[0].arguments_raw) == (None, bomb)


def test_roles_old_and_unknown_are_read_and_kept_as_they_were() -> None:
    steps, odd = messages_to_steps(
        [
            {"role": "developer", "content": "rules"},
            {"role": "human", "content": "go"},
            {"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "done"},
            {"role": "exit", "content": "bye"},
        ]
    )
    assert [(step.source, step.actor, step.role_raw) for step in steps] == [
        ("system", "environment", "developer"),
        ("user", "user", "human"),
        ("agent", "assistant", "assistant"),
        ("user", "environment", "exit"),
    ]
    assert answers_of(steps[2]) == {"f": "done"}
    assert odd == ["the unknown role 'exit', read as the environment's"]


def test_a_message_that_was_not_to_be_learned_from_is_not_trained_on() -> None:
    said = [
        {"role": "assistant", "content": "x", **mark}
        for mark in ({}, {"weight": 0}, {"trainable": False}, {"loss": False})
    ]
    steps, _ = messages_to_steps(said)
    assert [step.trainable for step in steps] == [True, False, False, False]


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (3, "message 2: it is not an object"),
        ({"content": "x"}, "message 2: it has no role"),
        ({"role": "assistant", "tool_calls": "f"}, "message 2: its tool_calls is not a list"),
        ({"role": "assistant", "tool_calls": ["f"]}, "message 2: a tool call is not an object"),
        ({"role": "assistant", "tool_calls": [{"id": "x"}]}, "message 2: a tool call has no function name"),
    ],
)
def test_what_is_no_message_is_refused_with_its_place(message: Any, complaint: str) -> None:
    with pytest.raises(RecordError, match=complaint):
        messages_to_steps([{"role": "user", "content": "hi"}, message])


def test_messages_come_out_as_they_went_in_but_for_our_own_ids() -> None:
    messages = [
        {"role": "system", "content": "rules"},
        {"role": "user", "content": "go"},
        assistant(call("f", "x", '{"b":1, "a": 2}'), call("g", "x"), content="thought", reasoning_content="because"),
        answer("one", "x"),
        answer("two", "x"),
        {"role": "assistant", "content": "done", "weight": 0},
    ]
    document = only_document(parse_value("chat", {"messages": messages}))
    out = document_to_messages(document)
    assert out[2]["tool_calls"] == [
        {"id": "3.1", "type": "function", "function": {"name": "f", "arguments": '{"b":1, "a": 2}'}},
        {"id": "3.2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    assert out[2]["reasoning_content"] == "because"
    assert out[3] == {"role": "tool", "tool_call_id": "3.1", "name": "f", "content": "one"}
    assert out[4] == {"role": "tool", "tool_call_id": "3.2", "name": "g", "content": "two"}
    assert out[5] == {"role": "assistant", "content": "done", "trainable": False}
    assert [message["content"] for message in out[:3]] == ["rules", "go", "thought"]


def test_what_no_call_asked_for_becomes_a_user_message() -> None:
    messages = [{"role": "user", "content": "go"}, {"role": "assistant", "content": "look"}, answer("a wall")]
    document = only_document(parse_value("chat", {"messages": messages}))
    assert document_to_messages(document)[-1] == {"role": "user", "content": "a wall"}
