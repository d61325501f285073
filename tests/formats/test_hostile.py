"""Whatever a file holds: no parser raises, every record is Parsed or Rejected, and what is parsed can be stored."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.formats.base import FormatError, Parsed, Rejected
from curation.formats.document import Document, hash_document
from curation.formats.messages import document_to_messages
from curation.formats.registry import FORMATS, detect_stream
from tests.formats.reading_aids import pack, parse_bytes, plain_document

NAMES = [known.name for known in FORMATS]
# fmt: off
FIELDS = [
    "messages", "traj", "reward", "task_id", "info", "task", "trial", "role", "content", "tool_calls", "function",
    "name", "arguments", "id", "tool_call_id", "schema_version", "agent", "version", "steps", "step_id", "source",
    "message", "observation", "results", "source_call_id", "tools", "success", "instruction", "error", "outcome",
    "type", "text",
]
# fmt: on
KEYS = st.sampled_from(FIELDS) | st.text(max_size=3)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["user", "assistant", "tool", "agent", "ATIF-v1.8", "{}", "\x00", "\ud800", "<script>alert(1)</script>"]
    )
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool", "x"]), "content": VALUES},
        optional={
            "tool_calls": st.none()
            | st.lists(
                st.fixed_dictionaries(
                    {
                        "id": SCALARS,
                        "function": st.fixed_dictionaries({"name": st.text(max_size=4), "arguments": VALUES}),
                    }
                ),
                max_size=3,
            ),
            "tool_call_id": SCALARS,
            "weight": SCALARS,
        },
    ),
    max_size=6,
)
RECORDS = (
    VALUES
    | st.fixed_dictionaries({"messages": MESSAGES}, optional={"tools": VALUES, "reward": SCALARS, "trial": SCALARS})
    | st.fixed_dictionaries({"traj": MESSAGES, "reward": SCALARS, "task_id": SCALARS}, optional={"info": VALUES})
)


def check(name: str, data: bytes) -> None:
    results = parse_bytes(name, data, filename="\x00<b>.json")
    numbers = [result.record_index for result in results]
    assert numbers == sorted(set(numbers))
    for result in results:
        if isinstance(result, Parsed):
            check_storable(result.document)
        else:
            assert isinstance(result, Rejected)
            assert result.reason
            json.dumps(result.reason + result.raw).encode("ascii")
            assert "\x00" not in result.raw


def check_storable(document: Document) -> None:
    plain = document.model_dump(mode="json")
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
    text.encode("utf-8")
    assert not any("\0" in text for text in strings_of(plain))
    assert hash_document(Document.model_validate(json.loads(text))) == hash_document(document)
    document_to_messages(document)


def strings_of(value: Any) -> Iterator[str]:
    """Every key and text of a plain value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        yield from (text for item in value for text in strings_of(item))
        if isinstance(value, dict):
            yield from strings_of(list(value.values()))


@pytest.mark.parametrize("name", NAMES)
@given(st.binary(max_size=300))
def test_arbitrary_bytes(name: str, data: bytes) -> None:
    check(name, data)
    check(name, pack(data))
    check(name, b"\x1f\x8b" + data)


@pytest.mark.parametrize("name", NAMES)
@given(st.text(st.sampled_from('{}[]",:\\ \n01a-'), max_size=60))
def test_arbitrary_structure(name: str, text: str) -> None:
    check(name, text.encode())
    check(name, b"[" + text.encode())
    check(name, b'{"messages": ' + text.encode())


@pytest.mark.parametrize("name", NAMES)
@given(st.lists(RECORDS, max_size=3))
def test_arbitrary_json(name: str, values: list[Any]) -> None:
    check(name, json.dumps(values).encode())
    check(name, b"".join(json.dumps(value).encode() + b"\n" for value in values))
    if values:
        check(name, json.dumps(values[0], indent=1).encode())


@given(st.data())
def test_own_documents_with_one_value_replaced(data: st.DataObject) -> None:
    plain = plain_document("look", "take") | {"schema_version": "ATIF-v1.8"}
    inner: Any = plain
    while True:
        key = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        if not (isinstance(inner[key], dict | list) and inner[key]) or data.draw(st.booleans()):
            break
        inner = inner[key]
    inner[key] = data.draw(VALUES)
    for name in NAMES:
        check(name, json.dumps(plain).encode())


@given(st.lists(VALUES, max_size=3) | st.binary(max_size=80))
def test_detection_names_a_format_or_says_why_not(content: Any) -> None:
    stream = io.BytesIO(content if isinstance(content, bytes) else json.dumps(content).encode())
    try:
        answer = detect_stream(stream, "\x1b[31m<b>.json").name
    except FormatError as error:
        answer = str(error)
    assert answer in NAMES or "\x1b" not in answer
