"""Splitting a step hands out what it holds: nothing is lost, doubled or reordered."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.formats.document import Document, Step, text_of
from curation.revisions import (
    DeleteStep,
    Edit,
    EditError,
    InsertStep,
    SplitHalf,
    SplitStep,
    TruncateAfter,
    apply_edit,
    diff_split,
    divide_text,
    move_step,
)
from curation.revisions.condense import StepRun, condense_diffs, show_white_space
from curation.revisions.diff import diff_steps
from tests.formats.reading_aids import plain_document

WORDS = st.text("ab .\n", max_size=20)


def document(*calls: str, unasked: list[int] | None = None) -> Document:
    """Step 3 has these calls with a result each; at the places `unasked`, results that no call asked for."""
    plain = plain_document("look", "take")
    step = plain["steps"][2]
    step["tool_calls"] = [
        {"tool_call_id": f"3.{order}", "function_name": name, "arguments": {}, "arguments_raw": "{}"}
        for order, name in enumerate(calls, start=1)
    ]
    results: list[dict[str, Any]] = [
        {"source_call_id": f"3.{order}", "content": [{"type": "text", "text": f"result of {name}"}]}
        for order, name in enumerate(calls, start=1)
    ]
    for place in unasked or []:
        results.insert(place, {"source_call_id": None, "content": [{"type": "text", "text": f"unasked {place}"}]})
    step["observation"] = {"results": results}
    return Document.model_validate(plain)


def split(made: Document, first: str, second: str, calls: int, step_id: int = 3) -> Document:
    halves = SplitHalf(message=first), SplitHalf(message=second)
    return apply_edit(made, SplitStep(step_id=step_id, first=halves[0], second=halves[1], calls_in_first=calls))


def results_of(step: Step) -> list[str]:
    return [text_of(result.content) for result in step.observation.results] if step.observation else []


def test_calls_go_with_their_results_and_everything_is_numbered_anew() -> None:
    made = split(document("f", "g", "h"), "One.", "Two.", 1)
    first, second, after = made.steps[2:]
    assert [text_of(step.message) for step in (first, second, after)] == ["One.", "Two.", "I take."]
    assert [call.tool_call_id for step in made.steps for call in step.tool_calls or []] == ["3.1", "4.1", "4.2", "5.1"]
    assert (results_of(first), results_of(second)) == (["result of f"], ["result of g", "result of h"])
    assert first.extra == second.extra == {"split_by_hand": True}
    assert first.trainable
    assert second.trainable


def test_a_users_step_is_divided_by_its_text() -> None:
    made = split(document("f"), "Go", "on.", 0, step_id=2)
    assert [(step.source, text_of(step.message)) for step in made.steps[1:3]] == [("user", "Go"), ("user", "on.")]


def test_reasoning_is_divided_and_measurements_of_the_whole_are_left_out() -> None:
    original = document("f")
    original.steps[2].metrics = {"completion_tokens": 9}
    original.steps[2].llm_call_count = 1
    halves = SplitHalf(message="a", reasoning_content="why"), SplitHalf(reasoning_content="and why")
    made = apply_edit(original, SplitStep(step_id=3, first=halves[0], second=halves[1]))
    assert [step.reasoning_content for step in made.steps[2:4]] == ["why", "and why"]
    assert [step.metrics for step in made.steps[2:4]] == [None, None]
    assert [step.llm_call_count for step in made.steps[2:4]] == [1, None]


def test_an_image_goes_where_its_mark_stands() -> None:
    plain = plain_document("look")
    plain["steps"][1]["message"] += [{"type": "image", "source": {"path": name}} for name in ("a.png", "b.png")]
    made = split(Document.model_validate(plain), "Go. [image]", "And [image]", 0, step_id=2)
    assert [text_of(step.message) for step in made.steps[1:3]] == ["Go. [image]", "And [image]"]
    assert [step.message[-1].model_dump()["source"]["path"] for step in made.steps[1:3]] == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("first", "second", "calls", "step_id", "complaint"),
    [
        ("", "x", 0, 3, "the first half needs a text or a tool call"),
        ("x", " \n", 1, 3, "the second half needs a text or a tool call"),
        ("x", "", 0, 2, "the second half needs a text."),
        ("x", "y", 2, 3, "Step 3 has 1 tool calls: 2 cannot stay"),
        ("x", "y", 0, 9, "There is no step 9"),
        ("x", "y", 0, -3, "There is no step -3"),
    ],
)
def test_halves_that_are_no_steps_are_refused(
    first: str, second: str, calls: int, step_id: int, complaint: str
) -> None:
    with pytest.raises(EditError, match=complaint):
        split(document("f"), first, second, calls, step_id)


@given(
    st.lists(st.sampled_from("fgh"), max_size=4),
    st.lists(st.integers(0, 4), max_size=2),
    st.integers(0, 4),
    WORDS,
    WORDS,
)
def test_calls_and_results_are_neither_lost_nor_doubled_nor_reordered(
    names: list[str], unasked: list[int], calls: int, first: str, second: str
) -> None:
    original = document(*names, unasked=unasked)
    try:
        made = split(original, first, second, calls)
    except EditError:
        return
    halves, whole = made.steps[2:4], original.steps[2]
    assert [call.function_name for step in halves for call in step.tool_calls or []] == names
    assert len(halves[0].tool_calls or []) == calls
    assert [text for step in halves for text in results_of(step)] == results_of(whole)
    assert [text_of(step.message) for step in halves] == [first, second]
    assert len(made.steps) == len(original.steps) + 1
    Document.model_validate(made.model_dump(mode="json"))


@given(WORDS)
def test_dividing_a_text_loses_only_the_white_space_at_the_cut(text: str) -> None:
    first, second = divide_text(text)
    assert text.startswith(first)
    assert text.endswith(second)
    assert not text[len(first) : len(text) - len(second)].strip()


def test_a_text_is_cut_between_paragraphs_near_its_middle() -> None:
    assert divide_text("One. Two.\n\nThree.\n\nFour.") == ("One. Two.", "Three.\n\nFour.")
    assert divide_text("One. Two.") == ("One.", "Two.")
    assert divide_text("One") == ("One", "")


def test_the_difference_of_a_split_shows_moved_words_as_the_same() -> None:
    original = document("f")
    first, second = diff_split(original, split(original, "I", "look around.", 0), 3)
    assert {field.name: field.segments for field in first.fields} == {"message": (("same", "I"), ("del", " "))}
    fields = {field.name: field.segments for field in second.fields}
    assert fields["message"] == (("same", "look"), ("ins", " around"), ("same", "."))
    assert fields["observation 1"] == (("same", "result of f"),)


EDITS = st.one_of(
    st.builds(InsertStep, after_step_id=st.integers(0, 6), message=st.just("new")),
    st.builds(DeleteStep, step_id=st.integers(1, 6)),
    st.builds(TruncateAfter, step_id=st.integers(1, 6)),
    st.builds(
        SplitStep,
        step_id=st.integers(1, 6),
        first=st.just(SplitHalf(message="new")),
        second=st.just(SplitHalf(message="new too")),
    ),
)


@given(EDITS)
def test_a_step_is_found_under_its_new_number(edit: Edit) -> None:
    original = Document.model_validate(plain_document("look", "take", "drop", "open"))
    made = apply_edit_or_none(original, edit)
    if made is None:
        return
    touched = edit.step_id if isinstance(edit, SplitStep) else None
    kept = [(step, move_step(edit, step.step_id)) for step in original.steps]
    numbers = [number for _, number in kept if number is not None]
    assert len(set(numbers)) == len(numbers)
    for step, number in kept:
        if number is not None and step.step_id != touched:
            assert text_of(made.steps[number - 1].message) == text_of(step.message)
    assert len(made.steps) == len(numbers) + isinstance(edit, InsertStep | SplitStep)


def apply_edit_or_none(original: Document, edit: Edit) -> Document | None:
    try:
        return apply_edit(original, edit)
    except EditError:
        return None


def test_deleted_steps_in_a_row_are_told_by_their_number() -> None:
    original = Document.model_validate(plain_document("look", "take", "drop", "open"))
    cut = apply_edit(original, TruncateAfter(step_id=3))
    assert condense_diffs(diff_steps(original, cut)) == [StepRun(4, 6)]


def test_what_nobody_could_see_is_made_visible() -> None:
    assert show_white_space("  ") == "␣␣"
    assert show_white_space("a\u200bb\u00a0") == "a⟨zero width space⟩b⟨no-break space⟩"
    assert show_white_space("\x1b[1m") == "⟨u+001b⟩[1m"
    assert show_white_space("two words") == "two words"
