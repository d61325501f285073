"""What holds for every format: it is found by content, it keeps what was said, and nothing in a file makes it fail."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.formats.base import FormatError, Found, ImportContext, Parsed, ParsedPair, Rejected
from curation.formats.document import Document, text_of
from curation.formats.registry import FORMATS, detect_stream, get_format
from tests.formats.reading_aids import as_lines
from tests.formats.samples import SAMPLES, write_sample

WITH_CALLS = [
    "atif", "claude-code", "codex", "inspect", "langfuse", "langsmith", "mini-swe-agent", "openai-requests",
    "openinference", "otel-genai", "sharegpt", "swe-agent", "tau-bench", "tau2",
]  # fmt: skip
NAMES = [known.name for known in FORMATS]
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1.5, "", "x", "{", [], [1], [None], {}, {"a": 1}, [[]], "\ud800", 10**30, [{}]]
)


def parse(name: str, data: bytes) -> list[Found]:
    return list(get_format(name).parse(io.BytesIO(data), ImportContext(filename="file")))


def documents_of(found: list[Found]) -> list[Document]:
    documents = []
    for item in found:
        if isinstance(item, ParsedPair):
            documents += [item.chosen, item.rejected]
        elif isinstance(item, Parsed):
            documents.append(item.document)
    return documents


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The value with another at that place."""
    if not path:
        return new
    changed = copy.deepcopy(value)
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = new
    return changed


def test_there_is_a_sample_of_every_format() -> None:
    assert {*SAMPLES, "react"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_format_is_found_by_its_content(name: str) -> None:
    assert detect_stream(io.BytesIO(write_sample(name)), "file").name == name


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_becomes_a_document_without_a_warning(name: str) -> None:
    found = parse(name, write_sample(name))
    assert [item.warnings for item in found if not isinstance(item, Rejected)] == [()]
    document = documents_of(found)[0]
    assert document.source.format == name
    assert document.task.instruction
    assert [step.actor for step in document.steps].count("assistant") >= 1
    for step in document.steps:
        for result in step.observation.results if step.observation else []:
            assert text_of(result.content)
            assert bool(result.source_call_id) == bool(step.tool_calls)


@pytest.mark.parametrize("name", WITH_CALLS)
def test_arguments_are_kept_as_an_object_and_as_text(name: str) -> None:
    calls = [call for step in documents_of(parse(name, write_sample(name)))[0].steps for call in step.tool_calls or []]
    assert [(call.function_name, call.arguments) for call in calls] == [("look", {"at": "door"})]
    assert json.loads(calls[0].arguments_raw) == {"at": "door"}


@pytest.mark.parametrize("name", sorted(SAMPLES))
@given(data=st.data())
def test_no_value_in_any_place_makes_a_parser_fail(name: str, data: st.DataObject) -> None:
    records = SAMPLES[name]
    path = data.draw(st.sampled_from(places(records)))
    new = data.draw(ODD)
    changed = put(records, path, new)
    content = as_lines(*changed) if isinstance(changed, list) else as_lines(changed)
    for document in documents_of(parse(name, content)):
        assert Document.model_validate(json.loads(document.model_dump_json())) == document


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_no_damage_to_a_file_makes_a_parser_or_the_detector_fail(name: str, data: st.DataObject) -> None:
    content = write_sample(name)
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(len(content), start + 40)))
    damaged = content[:start] + data.draw(st.binary(max_size=8)) + content[stop:]
    parse(name, damaged)
    with contextlib.suppress(FormatError):
        detect_stream(io.BytesIO(damaged), "file")


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_the_detector_finds_a_format_in_any_bytes_or_refuses_them(content: bytes) -> None:
    with contextlib.suppress(FormatError):
        parse(detect_stream(io.BytesIO(content), "file").name, content)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "content", [b"", b"\n", b"[]", b"{}", b"null", b"[1]", b'{"a": 1}', b"\x00\xff", b"PK\x03\x04"]
)
def test_a_format_named_wrongly_is_said_so_and_never_fails(name: str, content: bytes) -> None:
    found = parse(name, content)
    assert documents_of(found) == []
    assert all(item.reason for item in found if isinstance(item, Rejected))
