"""What is counted in documents: by small examples, by their definition on random ones, and in real files."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.formats.base import ImportContext
from curation.formats.document import Document
from curation.formats.messages import document_to_messages
from curation.formats.sources import Source
from curation.measures import Measures, find_loop, measure_document, reports_error
from curation.revisions import count_agent_characters
from tests.factories import make_document
from tests.formats.test_real_files import documents_of

TURNS = st.lists(st.integers(0, 2), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TEXTS = st.text(max_size=60) | st.sampled_from(
    [
        "Error: no",
        "Thought: a\nAction: b[c]",
        "Action: b",
        "Observation: Traceback (most recent call last)",
        "exit code 3",
    ]
)


def measure(*actions: str, **changes: Any) -> Measures:
    return measure_document(Document.model_validate(make_document(*actions) | changes))


def speak(*turns: tuple[str, str]) -> Measures:
    """An agent that acts by its text: (what it says, what it observes)."""
    document = make_document()
    document["agent"]["tool_definitions"] = None
    document["steps"] = document["steps"][:2]
    for number, (text, observed) in enumerate(turns, start=3):
        document["steps"].append(
            {
                "step_id": number,
                "source": "agent",
                "actor": "assistant",
                "trainable": True,
                "message": [{"type": "text", "text": text}],
                "observation": {"results": [{"content": [{"type": "text", "text": observed}]}]},
            }
        )
    return measure_document(Document.model_validate(document))


def call(name: str, raw: str, *, tools: list[dict[str, Any]]) -> Measures:
    document = make_document("look")
    document["agent"]["tool_definitions"] = tools
    try:
        arguments = json.loads(raw)
    except ValueError:
        arguments = None
    made = document["steps"][2]["tool_calls"][0]
    made |= {
        "function_name": name,
        "arguments": arguments if isinstance(arguments, dict) else None,
        "arguments_raw": raw,
    }
    return measure_document(Document.model_validate(document))


def tool(name: str, parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def longest_by_definition(turns: list[int]) -> int:
    longest = 0
    for cycle in range(1, 5):
        for start in range(len(turns)):
            end = start + cycle
            while end < len(turns) and turns[end] == turns[end - cycle]:
                end += 1
            if end - start >= 3 * cycle:
                longest = max(longest, end - start)
    return longest


@given(TURNS)
def test_the_longest_loop_is_that_of_the_definition(turns: list[int]) -> None:
    assert find_loop(turns) == longest_by_definition(turns)


@pytest.mark.parametrize(
    ("turns", "length"), [("", 0), ("aa", 0), ("aaa", 3), ("ababa", 0), ("abababa", 7), ("xabcdabcdabcdx", 12)]
)
def test_a_loop_is_a_cycle_of_up_to_four_turns_that_occurs_three_times(turns: str, length: int) -> None:
    assert find_loop(turns) == length


def test_a_loop_needs_the_same_action_and_the_same_result_whatever_was_thought() -> None:
    same = [(f"Thought: attempt {number}\nAction: go[north]", "A wall.") for number in range(4)]
    assert speak(*same).loop_length == 4
    moving = [("Thought: on\nAction: go[north]", f"Room {number}.") for number in range(4)]
    assert speak(*moving).loop_length == 0
    assert measure("look", "look", "look").loop_length == 3
    assert measure("look", "take", "look").loop_length == 0


@pytest.mark.parametrize(
    ("text", "is_error"),
    [
        ("Error: not enough seats on flight HAT001", True),
        ("ERROR:\nNo replacement was performed", True),
        ("Error executing tool search: timed out", True),
        ("Traceback (most recent call last):\n  File", True),
        ("ValueError: invalid literal", True),
        ("bash: ponyc: command not found", True),
        ("Exit code 1\nmake: nothing", True),
        ("output\n\n[The command completed with exit code 2.]", True),
        ("output\n\n[The command completed with exit code 0.]", False),
        ("<returncode>1</returncode>", True),
        ("<returncode>0</returncode>", False),
        ("<tool_use_error>String not found</tool_use_error>", True),
        ('{"error": "no such user"}', True),
        ('{"error": null, "user": 1}', False),
        ('{"output":"x","metadata":{"exit_code":1,"duration_seconds":0.1}}', True),
        ("[Your proposed edit has introduced new syntax error(s).", True),
        ("Observation 3: Error: no such tool", True),
        ("Errors are a part of life, said the author", False),
        ("Script completed successfully, no errors.", False),
        ("", False),
    ],
)
def test_an_observation_reports_an_error_by_its_beginning_or_its_end(text: str, is_error: bool) -> None:
    assert reports_error(text) == is_error


@pytest.mark.parametrize(
    ("extra", "is_error"),
    [
        ({"is_error": True}, True),
        ({"is_error": False}, False),
        ({"error": {"type": "timeout"}}, True),
        ({"exit_code": 0}, False),
        ({"metadata": {"exit_code": 127}}, True),
        ({"exit_code": "?", "metadata": 3}, False),
    ],
)
def test_a_recorder_may_mark_an_observation_as_an_error(extra: dict[str, Any], is_error: bool) -> None:
    assert reports_error("fine", extra) == is_error


def test_calls_of_tools_that_were_not_given_are_counted_where_tools_are_given() -> None:
    known = tool("act", {"type": "object"})
    assert call("fly", "{}", tools=[known]).unknown_tool_count == 1
    assert call("act", "{}", tools=[known]).unknown_tool_count == 0
    assert call("fly", "{}", tools=[]).unknown_tool_count == 0


@pytest.mark.parametrize(
    ("raw", "parameters", "bad"),
    [
        ('{"id": 1}', {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}, 0),
        ("{}", {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}, 1),
        ('{"id": "1"}', {"type": "object", "properties": {"id": {"type": "integer"}}}, 1),
        ("[1]", {"type": "object"}, 1),
        ("{'id': 1}", {"type": "object"}, 1),
        ("{}", {"type": "no type"}, 0),
        ("{}", {"$ref": "https://example.org/schema"}, 0),
        ("{}", {"$ref": "#"}, 0),
        ("{}", None, 0),
    ],
)
def test_arguments_are_bad_where_they_do_not_fit_a_schema_that_can_be_used(raw: str, parameters: Any, bad: int) -> None:
    assert call("act", raw, tools=[tool("act", parameters)]).bad_argument_count == bad


@pytest.mark.parametrize(
    ("turn", "unreadable"),
    [
        ("Thought: I know.\nAction: search[a [nested] thing]", 0),
        ("Thought: a\nThought: b\nAction: finish[yes].", 0),
        ("Thought: a\nAction: search\nAction Input: cats", 0),
        ("Thought: I know.\nFinal Answer: 42", 0),
        ("Thought: a\nAction: search[what is it?", 1),
        ("Thought: a\nAction: finish[b]\nThought: or not", 1),
        ("Thought: a\nAction: search[b]\nObservation: c\nAction: finish[c]", 1),
        ("It is 42.", 1),
    ],
)
def test_a_turn_is_readable_where_it_ends_in_one_action(turn: str, unreadable: int) -> None:
    first = ("Thought: first\nAction: look[around]", "A room.")
    assert speak(first, (turn, "b")).unreadable_count == unreadable


def test_only_agents_that_speak_react_have_unreadable_turns() -> None:
    assert speak(("Hello.", ""), ("Goodbye.", "")).unreadable_count == 0
    assert measure("look").unreadable_count == 0


@pytest.mark.parametrize(
    "error",
    [
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        "prompt is too long: 208310 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        "litellm.ContextWindowExceededError: OpenAIException",
        "LLMContextWindowExceedError: Conversation history longer than LLM context window limit.",
        "Error code: 400 - {'error': {'code': 'context_length_exceeded'}}",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "the request exceeds the available context size",
        "exit_context",
    ],
)
def test_an_attempt_exceeded_its_context_where_its_end_says_so(error: str) -> None:
    outcome = make_document()["outcome"]
    assert measure(outcome=outcome | {"error": error}).context_overflow
    assert speak(("Thought: on\nAction: go[on]", error)).context_overflow
    assert not speak(
        ("Thought: on\nAction: read[logs]", error), ("Thought: so\nAction: go[on]", "Fine.")
    ).context_overflow
    assert measure(extra={"info": {"exit_status": error}}).context_overflow


def test_a_limit_of_inspect_is_an_exceeded_context_where_it_is_the_context() -> None:
    assert measure(extra={"limit": {"type": "context", "limit": 8192}}).context_overflow
    assert not measure(extra={"limit": {"type": "message", "limit": 10}}).context_overflow


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Valid documents with hostile content."""
    document = make_document()
    tools = st.none() | st.lists(st.dictionaries(st.sampled_from(["name", "parameters", "function"]), JSON), max_size=2)
    document["agent"]["tool_definitions"] = draw(tools)
    document["outcome"]["error"] = draw(st.none() | TEXTS)
    document["extra"] = draw(st.none() | st.dictionaries(st.sampled_from(["info", "limit"]), JSON))
    steps: list[dict[str, Any]] = []
    for number in range(1, draw(st.integers(1, 6)) + 1):
        source = draw(st.sampled_from(["system", "user", "agent"]))
        step: dict[str, Any] = {"step_id": number, "source": source, "message": [{"type": "text", "text": draw(TEXTS)}]}
        step["actor"] = "assistant" if source == "agent" else draw(st.sampled_from(["user", "environment"]))
        step["reasoning_content"] = draw(st.none() | TEXTS)
        result: dict[str, Any] = {
            "content": [{"type": "text", "text": draw(TEXTS)}, {"type": "image"}],
            "extra": draw(st.none() | st.just({})),
        }
        if source == "agent":
            step["trainable"] = draw(st.booleans())
            raw = draw(st.dictionaries(st.text(max_size=5), JSON, max_size=2))
            known = draw(st.booleans())
            step["tool_calls"] = [
                {
                    "tool_call_id": f"{number}.1",
                    "function_name": draw(st.sampled_from(["act", "", "fly"])),
                    "arguments": raw if known else None,
                    "arguments_raw": json.dumps(raw) if known else "{",
                }
            ][: draw(st.integers(0, 1))]
        result["extra"] = draw(st.none() | st.dictionaries(st.sampled_from(["exit_code", "error", "metadata"]), JSON))
        step["observation"] = {"results": [result]}
        steps.append(step)
    return Document.model_validate(document | {"steps": steps})


@given(documents())
def test_measuring_never_fails_and_its_counts_hold_together(document: Document) -> None:
    found = measure_document(document)
    calls = [call for step in document.steps for call in step.tool_calls or []]
    assert (found.step_count, found.tool_call_count) == (len(document.steps), len(calls))
    assert found.agent_character_count == count_agent_characters(document_to_messages(document))
    assert found.agent_character_count <= found.character_count
    assert max(found.unknown_tool_count, found.bad_argument_count) <= len(calls)
    assert found.loop_length <= len(document.steps)


REAL = {
    "tau-bench/gpt-4o-airline.json": {"error_count": 73},
    "openhands/multi_swe_bench_output.jsonl": {"error_count": 45},
    "letta-fixtures/claude-code/tool-call/input.jsonl": {"error_count": 1},
    "fireact/hotpotqa_llama-2-7b.json": {"error_count": 26, "unreadable_count": 1, "loop_length": 139},
    "fireact/hotpotqa_llama-2-13b.json": {"unreadable_count": 1, "loop_length": 4},
    "fireact/gpt_format_hotpotqa.jsonl": {},
    "llama-factory/glaive_toolcall_en_demo.json": {"bad_argument_count": 1},
}


@pytest.mark.parametrize(("name", "expected"), REAL.items())
def test_real_files_have_the_errors_that_stand_in_them(shared_data: Path, name: str, expected: dict[str, int]) -> None:
    path = shared_data / name
    total: Counter[str] = Counter()
    with path.open("rb") as stream:
        for document in documents_of(list(Source(stream, ImportContext(filename=path.name)).read())):
            total.update(asdict(measure_document(document)))
    sums = ("error_count", "unknown_tool_count", "bad_argument_count", "unreadable_count", "loop_length")
    assert {key: total[key] for key in (*sums, "context_overflow") if total[key]} == expected
