from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.formats.atif import document_to_atif
from curation.formats.base import ImportContext, Parsed
from curation.formats.document import text_of
from curation.formats.messages import document_to_messages
from curation.formats.registry import detect_format
from tests.formats.reading_aids import as_lines, only_document, only_reason, parse_bytes, parse_value

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
EXTRA = st.none() | st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | TEXT, max_size=3)
PARTS = st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, TEXT)
    | st.just({"type": "image", "source": {"media_type": "image/png", "path": "a.png"}}),
    max_size=3,
)
CONTENT: st.SearchStrategy[Any] = TEXT | PARTS


@st.composite
def agent_steps(draw: st.DrawFn) -> dict[str, Any]:
    """An agent's step: calls whose ids may repeat, and results for any of them, in any order."""
    ids = draw(st.lists(st.sampled_from(["x", "y", "z"]), max_size=4))
    calls = [
        {
            "tool_call_id": native,
            "function_name": draw(TEXT),
            "arguments": draw(st.dictionaries(TEXT, st.none() | TEXT)),
        }
        for native in ids
    ]
    sources: st.SearchStrategy[str | None] = st.none() | st.sampled_from(ids) if ids else st.none()
    results = draw(
        st.lists(st.fixed_dictionaries({"source_call_id": sources, "content": st.none() | CONTENT}), max_size=4)
    )
    empty = draw(st.booleans())
    return {
        "source": "agent",
        "message": draw(CONTENT),
        "tool_calls": None if empty and not calls else calls,
        "observation": {"results": results} if draw(st.booleans()) else None,
        "reasoning_content": draw(st.none() | TEXT),
        "metrics": draw(st.none() | st.just({"prompt_tokens": 3, "cost_usd": 0.5, "logprobs": [-0.25]})),
        "is_copied_context": draw(st.none() | st.booleans()),
        "extra": draw(EXTRA),
    }


OTHER_STEPS = st.fixed_dictionaries({"source": st.sampled_from(["system", "user"]), "message": CONTENT, "extra": EXTRA})
TRAJECTORIES = st.fixed_dictionaries(
    {
        "schema_version": st.sampled_from(["ATIF-v1.0", "ATIF-v1.8", "1.4"]),
        "session_id": st.none() | TEXT,
        "agent": st.fixed_dictionaries({"name": TEXT, "version": TEXT, "model_name": st.none() | TEXT, "extra": EXTRA}),
        "steps": st.lists(OTHER_STEPS | agent_steps(), min_size=1, max_size=4),
        "final_metrics": st.none() | st.just({"total_steps": 2}),
        "extra": EXTRA,
    }
)


def trajectory(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    numbered = [step | {"step_id": number} for number, step in enumerate(steps, start=1)]
    return {"schema_version": "ATIF-v1.8", "agent": {"name": "a", "version": "1"}, "steps": numbered} | fields


def without_null_keys(value: dict[str, Any]) -> dict[str, Any]:
    """A trajectory without the keys of ATIF's own objects that hold null; null inside arguments and extra stays."""

    def strip(item: dict[str, Any]) -> dict[str, Any]:
        return {key: inner for key, inner in item.items() if inner is not None}

    steps = []
    for step in value["steps"]:
        bare = strip(step)
        if "observation" in bare:
            bare["observation"] = {"results": [strip(result) for result in bare["observation"]["results"]]}
        steps.append(bare)
    return strip(value) | {"agent": strip(value["agent"]), "steps": steps}


@given(TRAJECTORIES)
def test_what_goes_in_comes_out(value: dict[str, Any]) -> None:
    for number, step in enumerate(value["steps"], start=1):
        step["step_id"] = number
    document = only_document(parse_value("atif", value))
    assert document_to_atif(document) == without_null_keys(value)


def test_the_real_fixture_parses_and_comes_out_the_same(shared_data: Path) -> None:
    path = shared_data / "letta-fixtures" / "atif" / "tool-calls" / "input.json"
    found = detect_format(path, path.name)
    with path.open("rb") as stream:
        (parsed,) = found.parse(stream, ImportContext())
    assert isinstance(parsed, Parsed)
    assert document_to_atif(parsed.document) == json.loads(path.read_text())
    step = parsed.document.steps[1]
    assert step.tool_calls is not None
    assert step.observation is not None
    assert [result.source_call_id for result in step.observation.results] == ["2.1", "2.2"]
    assert step.tool_calls[0].arguments_raw == '{"command": "find . -maxdepth 1 -type f"}'
    assert text_of(parsed.document.steps[0].message) == "Inspect the workspace.[image]"


def test_the_real_fixture_that_is_invalid_is_refused_with_the_place(shared_data: Path) -> None:
    path = shared_data / "letta-fixtures" / "atif" / "cleanup" / "input.json"
    assert detect_format(path, path.name).name == "atif"
    reason = only_reason(parse_bytes("atif", path.read_bytes()))
    assert reason == "it is not valid ATIF: steps.2.tool_calls.0.arguments: Input should be a valid dictionary"


def test_lines_of_trajectories_are_read_one_by_one() -> None:
    say = {"source": "user", "message": "go"}
    results = parse_bytes("atif", as_lines(trajectory(say), {"schema_version": "ATIF-v1.8"}, trajectory(say)))
    assert [type(result).__name__ for result in results] == ["Parsed", "Rejected", "Parsed"]


@pytest.mark.parametrize("version", ["ATIF-v1.0", "ATIF-v1.8", "1.4", "v1.6", "ATIF-v1.7.1"])
def test_versions_1_0_to_1_8_are_read(version: str) -> None:
    value = trajectory({"source": "user", "message": "go"}, schema_version=version)
    document = only_document(parse_value("atif", value))
    assert (document.schema_version, document.source.version) == ("ATIF-v1.8", version)


@pytest.mark.parametrize("version", ["ATIF-v1.9", "ATIF-v2.0", "2", "", None, 1.4])
def test_other_versions_are_refused(version: Any) -> None:
    value = trajectory({"source": "user", "message": "go"}, schema_version=version)
    assert "ATIF-v1.0 to ATIF-v1.8 can be read" in only_reason(parse_value("atif", value))


def test_copied_context_and_dispatch_without_a_model_are_not_trained_on() -> None:
    said: dict[str, Any] = {"source": "agent", "message": "x"}
    steps = [said, said | {"is_copied_context": True}, said | {"llm_call_count": 0}, said | {"llm_call_count": 1}]
    document = only_document(parse_value("atif", trajectory(*steps)))
    assert [step.trainable for step in document.steps] == [True, False, False, True]
    assert [message.get("trainable", True) for message in document_to_messages(document)] == [True, False, False, True]


def test_the_task_is_known_by_the_text_of_its_first_request() -> None:
    steps = [{"source": "system", "message": "rules"}, {"source": "user", "message": "Fix it."}]
    one, other = (only_document(parse_value("atif", trajectory(*steps, session_id=name))) for name in "ab")
    assert one.task == other.task
    assert one.task.instruction == "Fix it."


def test_a_document_from_elsewhere_becomes_valid_atif() -> None:
    calls = [
        {"id": "x", "function": {"name": "f", "arguments": "not json"}},
        {"function": {"name": "g", "arguments": "{}"}},
    ]
    messages = [{"role": "user", "content": "go"}, {"role": "assistant", "content": None, "tool_calls": calls}]
    written = document_to_atif(only_document(parse_value("chat", {"messages": messages})))
    assert written["steps"][1]["tool_calls"] == [
        {"tool_call_id": "x", "function_name": "f", "arguments": {}, "extra": {"arguments_raw": "not json"}},
        {"tool_call_id": "2.2", "function_name": "g", "arguments": {}},
    ]
    assert only_document(parse_value("atif", written)).steps[1].tool_calls
