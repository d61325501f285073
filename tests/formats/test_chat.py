from __future__ import annotations

import json
from typing import Any

import pytest

from curation.formats.document import text_of
from tests.formats.reading_aids import as_lines, chat_record, only_document, only_reason, pack, parse_bytes, parse_value

TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def test_lines_lists_and_single_objects_are_read() -> None:
    records = [chat_record("a"), chat_record("b")]
    for data in (as_lines(*records), json.dumps(records).encode(), pack(as_lines(*records))):
        assert [type(result).__name__ for result in parse_bytes("chat", data)] == ["Parsed", "Parsed"]
    assert len(parse_bytes("chat", json.dumps(records[0], indent=1).encode())) == 1


def test_a_bare_list_of_messages_is_one_conversation() -> None:
    document = only_document(parse_value("chat", chat_record("a")["messages"]))
    assert [text_of(step.message) for step in document.steps] == ["a", "hi"]


def test_what_was_replaced_in_a_bare_list_is_said() -> None:
    (parsed,) = parse_bytes("chat", b'[{"role": "user", "content": "a\\u0000"}]')
    assert "1 characters replaced" in parsed.warnings[0]  # type: ignore[union-attr]  # a Rejected would fail here


@pytest.mark.parametrize("data", [b'[{"role": "user", "content": "a"}, 3]', b'[{"role": "user", "content": "a"}'])
def test_a_bare_list_that_is_broken_is_one_rejection(data: bytes) -> None:
    assert only_reason(parse_bytes("chat", data))


@pytest.mark.parametrize("tools", [[TOOL], json.dumps([TOOL])])
def test_tools_may_be_a_list_or_its_json_text(tools: Any) -> None:
    assert only_document(parse_value("chat", chat_record(tools=tools))).agent.tool_definitions == [TOOL]


@pytest.mark.parametrize("tools", ["[", "3", [3], {"a": 1}, "[NaN]"])
def test_tools_that_make_no_sense_are_left_out_with_a_warning(tools: Any) -> None:
    (parsed,) = parse_value("chat", chat_record(tools=tools))
    assert "`tools`" in parsed.warnings[0]  # type: ignore[union-attr]  # a Rejected would fail here, as it should


def test_what_stands_beside_the_messages_is_read() -> None:
    record = chat_record(
        task_id=7, reward=0.25, success=True, trial=3, seed=11, model="m", rewards={"a": True}, id="r1"
    )
    document = only_document(parse_value("chat", record, model="the user's", dataset="d"))
    assert (document.task.id, document.task.dataset, document.agent.model_name) == ("7", "d", "m")
    assert (document.trial.index, document.trial.seed) == (3, 11)
    assert (document.outcome.reward, document.outcome.success, document.outcome.rewards) == (0.25, True, {"a": 1.0})
    assert document.extra == {"id": "r1"}


def test_without_a_task_id_the_same_request_is_the_same_task() -> None:
    one, other, third = (only_document(parse_value("chat", chat_record(text))) for text in ("do it", " do  it", "else"))
    assert one.task.id == other.task.id != third.task.id
    assert one.outcome.status == "unknown"


def test_the_model_is_the_users_word_only_where_the_file_has_none() -> None:
    assert only_document(parse_value("chat", chat_record(), model="mine")).agent.model_name == "mine"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"messages": []}, "no list of `messages`"),
        ({"messages": "x"}, "no list of `messages`"),
        ({}, "no list of `messages`"),
        ({"messages": [{}]}, "message 1: it has no role"),
        (chat_record(task_id="x" * 201), "task.id: String should have at most 200 characters"),
    ],
)
def test_a_record_that_is_no_conversation_is_rejected(record: dict[str, Any], reason: str) -> None:
    assert reason in only_reason(parse_value("chat", record))
