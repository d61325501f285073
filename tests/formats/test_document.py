from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from curation.formats.document import Document, fingerprint_instruction, hash_document, text_of, text_parts
from tests.formats.reading_aids import plain_document


def read(**changes: Any) -> Document:
    return Document.model_validate(plain_document("look", "take") | changes)


def test_the_plain_form_keeps_the_contracts_keys_and_leaves_out_empty_optional_ones() -> None:
    plain = read().model_dump(mode="json")
    assert plain["session_id"] is None
    assert plain["agent"]["model_name"] is None
    assert plain["steps"][2]["tool_calls"][0]["native_id"] is None
    assert "notes" not in plain
    assert "timestamp" not in plain["steps"][0]
    assert "tool_calls" not in plain["steps"][0]


def test_the_plain_form_reads_back_as_the_same_document() -> None:
    document = read()
    assert Document.model_validate(json.loads(json.dumps(document.model_dump(mode="json")))) == document


def test_a_null_inside_recorded_data_survives() -> None:
    document = read()
    assert document.steps[2].tool_calls is not None
    document.steps[2].tool_calls[0].arguments = {"path": None}
    assert document.model_dump(mode="json")["steps"][2]["tool_calls"][0]["arguments"] == {"path": None}


def test_the_hash_is_of_what_the_trajectory_is_and_not_of_where_it_was_read() -> None:
    document = read()
    moved = read(source={"format": "chat", "record_index": 7, "file_sha256": "a" * 64})
    assert hash_document(document) == hash_document(moved)


@pytest.mark.parametrize(
    "changes",
    [
        {"agent": {"name": "another"}},
        {"trial": {"index": 1}},
        {"outcome": {"reward": 0.5}},
        {"task": {"id": "other", "fingerprint": "e" * 64, "instruction": "Do it."}},
    ],
)
def test_the_hash_changes_with_each_thing_that_counts(changes: dict[str, Any]) -> None:
    assert hash_document(read()) != hash_document(read(**changes))


def test_the_hash_survives_a_database_that_writes_numbers_its_own_way() -> None:
    recorded = read(outcome={"reward": 1.0, "rewards": {"a": 1e30, "b": 0.25}})
    stored = recorded.model_dump(mode="json")
    stored["outcome"] |= {"reward": 1, "rewards": {"a": 10**30, "b": 0.25}}
    assert hash_document(Document.model_validate(stored)) == hash_document(recorded)


def test_fingerprints_ignore_white_space_and_unicode_form_but_not_words() -> None:
    assert fingerprint_instruction("Fix  caf\u00e9\n") == fingerprint_instruction(" Fix cafe\u0301")
    assert fingerprint_instruction("Fix it") != fingerprint_instruction("fix it")


def test_text_of_reads_models_and_plain_parts_and_names_what_is_not_text() -> None:
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "a"},
        {"type": "image", "source": {}},
        {"type": "text", "text": "b"},
    ]
    assert text_of(parts) == "a[image]b"
    assert text_of(text_parts("x")) == "x"
    assert text_of(None) == text_of(text_parts("")) == ""


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [
        (("steps", 0, "step_id"), 3, "step_id 3; expected 1"),
        (("steps", 0, "trainable"), True, "only an agent's step"),
        (("steps", 2, "observation", "results", 0, "source_call_id"), "9.9", "no call of it"),
        (("task", "id"), "", "at least 1 character"),
        (("task", "id"), "x" * 201, "at most 200 characters"),
        (("outcome", "reward"), float("nan"), "finite number"),
        (("surprise",), 1, "Extra inputs"),
    ],
)
def test_a_document_that_contradicts_itself_is_refused(place: tuple[Any, ...], value: Any, complaint: str) -> None:
    plain = read().model_dump(mode="json")
    inner: Any = plain
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(ValidationError, match=complaint):
        Document.model_validate(plain)
