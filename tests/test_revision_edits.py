from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from curation.formats.document import Document, hash_document, text_of
from curation.formats.messages import document_to_messages
from curation.revisions import (
    DeleteStep,
    Edit,
    EditError,
    EditStep,
    InsertStep,
    NewToolCall,
    ObservationEdit,
    SplitHalf,
    SplitStep,
    ToolCallEdit,
    TruncateAfter,
    apply_edit,
    apply_edits,
    diff_steps,
    diff_words,
)
from tests.formats.reading_aids import plain_document

ANY_EDIT: TypeAdapter[Any] = TypeAdapter(Edit)
NUMBERS = st.integers(-1, 7)
HALVES = st.builds(SplitHalf, message=st.text(max_size=4))
EDITS = (
    st.builds(DeleteStep, step_id=NUMBERS)
    | st.builds(TruncateAfter, step_id=NUMBERS)
    | st.builds(
        InsertStep,
        after_step_id=NUMBERS,
        source=st.sampled_from(["agent", "user", "system"]),
        message=st.text(max_size=4),
    )
    | st.builds(
        InsertStep,
        after_step_id=NUMBERS,
        tool_calls=st.just((NewToolCall(function_name="act", arguments_raw="{}", observation="x"),)),
    )
    | st.builds(EditStep, step_id=NUMBERS, message=st.none() | st.text(max_size=4))
    | st.builds(SplitStep, step_id=NUMBERS, first=HALVES, second=HALVES, calls_in_first=st.integers(0, 2))
)


def document(*actions: str) -> Document:
    return Document.model_validate(plain_document(*(actions or ("look", "take", "drop"))))


def texts(made: Document) -> list[str]:
    return [text_of(step.message) for step in made.steps]


def test_a_thought_is_edited_and_the_original_left_alone() -> None:
    original = document()
    before = hash_document(original)
    edited = apply_edit(original, EditStep(step_id=4, message="I take the key."))
    assert texts(edited) == ["You act.", "Go.", "I look.", "I take the key.", "I drop."]
    assert hash_document(original) == before != hash_document(edited)


def test_an_edit_that_changes_nothing_gives_an_equal_document() -> None:
    same = EditStep(step_id=4, message="I take.", tool_calls=(ToolCallEdit(tool_call_id="4.1", function_name="act"),))
    assert apply_edit(document(), same) == document()


def test_name_and_arguments_of_a_call_are_edited_and_kept_as_typed() -> None:
    change = ToolCallEdit(tool_call_id="3.1", function_name="look_at", arguments_raw='{"what":  "door", "n": 1}')
    (call,) = apply_edit(document(), EditStep(step_id=3, tool_calls=(change,))).steps[2].tool_calls or []
    assert (call.function_name, call.arguments_raw) == ("look_at", '{"what":  "door", "n": 1}')
    assert call.arguments == {"what": "door", "n": 1}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("", "not JSON: Expecting value at line 1, character 1"),
        ('{"a": 1,\n "b" 2}', "not JSON: Expecting ':' delimiter at line 2, character 6"),
        ("[1]", "not a JSON object"),
        ("null", "not a JSON object"),
        ('{"a": NaN}', "not JSON: NaN is no JSON value"),
        ('{"a": 1e999}', "not usable JSON: it holds a number that is NaN, infinite or too large"),
        ('{"a": ' + "9" * 10_000 + "}", "not usable JSON: they hold a number that is too long"),
        ('{"a":' + "[" * 100_000, "not usable JSON: nested more than 100 levels"),
        ('{"a":' + "[" * 150 + "]" * 150 + "}", "not usable JSON: it is nested more than 100 levels"),
    ],
)
def test_arguments_that_are_no_object_are_refused_with_the_place(arguments: str, complaint: str) -> None:
    change = ToolCallEdit(tool_call_id="3.1", arguments_raw=arguments)
    with pytest.raises(EditError) as error:
        apply_edit(document(), EditStep(step_id=3, tool_calls=(change,)))
    assert str(error.value).startswith(f"Step 3, tool call 3.1: the arguments are {complaint}")


def test_arguments_that_were_recorded_broken_may_stay_so() -> None:
    recorded = document()
    assert recorded.steps[2].tool_calls is not None
    recorded.steps[2].tool_calls[0].arguments = None
    recorded.steps[2].tool_calls[0].arguments_raw = "broken"
    change = ToolCallEdit(tool_call_id="3.1", arguments_raw="broken", function_name="see")
    edited = apply_edit(recorded, EditStep(step_id=3, tool_calls=(change,)))
    assert edited.steps[2].tool_calls is not None
    assert edited.steps[2].tool_calls[0].arguments_raw == "broken"


def test_an_edited_observation_is_marked() -> None:
    edited = apply_edit(document(), EditStep(step_id=3, observations=(ObservationEdit(result=0, text="A wall."),)))
    assert edited.steps[2].observation is not None
    (result,) = edited.steps[2].observation.results
    assert (text_of(result.content), result.extra) == ("A wall.", {"edited_by_hand": True})


def test_reasoning_is_set_and_removed() -> None:
    reasoned = apply_edit(document(), EditStep(step_id=3, reasoning_content="because"))
    assert reasoned.steps[2].reasoning_content == "because"
    assert apply_edit(reasoned, EditStep(step_id=3, reasoning_content="")) == document()


def test_measurements_of_a_text_go_with_the_text() -> None:
    recorded = document()
    recorded.steps[2].metrics = {"completion_tokens": 4}
    unchanged = apply_edit(recorded, EditStep(step_id=3, observations=(ObservationEdit(result=0, text="x"),)))
    assert unchanged.steps[2].metrics == {"completion_tokens": 4}
    assert apply_edit(recorded, EditStep(step_id=3, message="new")).steps[2].metrics is None


def test_other_parts_than_text_stay_when_a_text_is_edited() -> None:
    plain = plain_document("look")
    plain["steps"][1]["message"].append({"type": "image", "source": {"path": "a.png"}})
    edited = apply_edit(Document.model_validate(plain), EditStep(step_id=2, message="See this"))
    assert text_of(edited.steps[1].message) == "See this[image]"
    again = apply_edit(edited, EditStep(step_id=2, message="See that[image]"))
    assert text_of(again.steps[1].message) == "See that[image]"


def test_saving_what_a_form_showed_of_an_image_changes_nothing() -> None:
    plain = plain_document("look")
    plain["steps"][1]["message"].append({"type": "image", "source": {"path": "a.png"}})
    made = Document.model_validate(plain)
    assert apply_edit(made, EditStep(step_id=2, message=text_of(made.steps[1].message))) == made


def test_a_step_is_inserted_with_its_calls_and_what_they_returned() -> None:
    new = InsertStep(
        after_step_id=3,
        message="I wait.",
        tool_calls=(
            NewToolCall(function_name="wait", arguments_raw='{"n": 1}', observation="Time passes."),
            NewToolCall(function_name="wait", arguments_raw='{"n": 2}'),
        ),
    )
    made = apply_edit(document(), new)
    assert texts(made) == ["You act.", "Go.", "I look.", "I wait.", "I take.", "I drop."]
    assert [step.step_id for step in made.steps] == [1, 2, 3, 4, 5, 6]
    assert made.steps[3].extra == {"inserted_by_hand": True}
    assert made.steps[3].trainable
    calls = [call.tool_call_id for step in made.steps for call in step.tool_calls or []]
    assert calls == ["3.1", "4.1", "4.2", "5.1", "6.1"]
    tools = [message for message in document_to_messages(made) if message["role"] == "tool"]
    assert [(tool["tool_call_id"], tool["content"]) for tool in tools][1:3] == [
        ("4.1", "Time passes."),
        ("5.1", "You take."),
    ]


def test_a_step_is_inserted_at_the_very_beginning() -> None:
    made = apply_edit(document("look"), InsertStep(after_step_id=0, source="system", message="New rules."))
    assert texts(made) == ["New rules.", "You act.", "Go.", "I look."]
    assert not made.steps[0].trainable


def test_steps_are_deleted_and_cut_off() -> None:
    assert texts(apply_edit(document(), DeleteStep(step_id=4))) == ["You act.", "Go.", "I look.", "I drop."]
    assert texts(apply_edit(document(), TruncateAfter(step_id=3))) == ["You act.", "Go.", "I look."]


def test_edits_follow_one_another_by_the_numbers_after_each() -> None:
    made = apply_edits(
        document(), [DeleteStep(step_id=3), EditStep(step_id=3, message="I grab."), TruncateAfter(step_id=3)]
    )
    assert texts(made) == ["You act.", "Go.", "I grab."]


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (DeleteStep(step_id=9), "There is no step 9: the trajectory has 5 steps."),
        (EditStep(step_id=0, message="x"), "There is no step 0"),
        (InsertStep(after_step_id=6, message="x"), "There is no step 6"),
        (InsertStep(after_step_id=-1, message="x"), "There is no step -1"),
        (TruncateAfter(step_id=5), "Step 5 is the last one"),
        (InsertStep(after_step_id=2), "neither a text nor a tool call"),
        (InsertStep(after_step_id=2, source="user", message="x", reasoning_content="y"), "only an agent's step"),
        (
            InsertStep(after_step_id=2, tool_calls=(NewToolCall(function_name="f", arguments_raw="x"),)),
            "The new step after step 2, tool call 1: the arguments are not JSON",
        ),
        (EditStep(step_id=2, reasoning_content="x"), "Step 2: only an agent's step has reasoning."),
        (
            EditStep(step_id=3, tool_calls=(ToolCallEdit(tool_call_id="9.9"),)),
            "tool call 9.9: the step has no such call",
        ),
        (
            EditStep(step_id=3, tool_calls=(ToolCallEdit(tool_call_id="3.1", function_name=" "),)),
            "the call has no name",
        ),
        (EditStep(step_id=3, observations=(ObservationEdit(result=1, text="x"),)), "there is no result 2; it has 1"),
        (EditStep(step_id=2, observations=(ObservationEdit(result=0, text="x"),)), "there is no result 1; it has 0"),
    ],
)
def test_an_edit_that_cannot_be_made_says_what_and_where(edit: Any, complaint: str) -> None:
    with pytest.raises(EditError, match=complaint.replace("(", r"\(")):
        apply_edit(document(), edit)


def test_the_only_step_stays() -> None:
    plain = plain_document() | {"steps": plain_document()["steps"][:1]}
    with pytest.raises(EditError, match="The only step cannot be deleted"):
        apply_edit(Document.model_validate(plain), DeleteStep(step_id=1))


def test_what_a_database_cannot_hold_is_replaced() -> None:
    edited = apply_edit(document(), EditStep(step_id=3, message="a\x00b\ud800"))
    assert text_of(edited.steps[2].message) == "a\ufffdb\ufffd"


def test_edits_are_read_from_plain_data_by_their_kind() -> None:
    assert ANY_EDIT.validate_python({"kind": "delete", "step_id": 3}) == DeleteStep(step_id=3)
    for bad in (
        {"kind": "drop table", "step_id": 3},
        {"kind": "delete", "step_id": 3, "surprise": 1},
        {"kind": "delete"},
    ):
        with pytest.raises(ValidationError):
            ANY_EDIT.validate_python(bad)


@given(st.lists(EDITS, max_size=5))
def test_any_edits_give_a_valid_document_or_an_edit_error(edits: list[Any]) -> None:
    made = document()
    for edit in edits:
        try:
            made = apply_edit(made, edit)
        except EditError:
            continue
    plain = made.model_dump(mode="json")
    json.dumps(plain, allow_nan=False).encode("ascii")
    assert Document.model_validate(plain) == made
    calls = [call.tool_call_id for step in made.steps for call in step.tool_calls or []]
    assert len(set(calls)) == len(calls)


def test_a_diff_shows_the_changed_words_of_the_changed_step_only() -> None:
    changed = apply_edit(document(), EditStep(step_id=4, message="I take nothing."))
    diffs = diff_steps(document(), changed)
    assert [(diff.kind, diff.old, diff.new) for diff in diffs] == [
        ("same", 1, 1),
        ("same", 2, 2),
        ("same", 3, 3),
        ("changed", 4, 4),
        ("same", 5, 5),
    ]
    fields = {field.name: field.segments for field in diffs[3].fields}
    assert fields["message"] == (("same", "I take"), ("ins", " nothing"), ("same", "."))
    assert fields["tool call 1"] == (("same", 'act {"action": "take"}'),)
    assert diffs[0].fields == ()


def test_a_diff_aligns_steps_that_only_moved() -> None:
    made = apply_edits(
        document("look", "take", "drop", "open"),
        [
            DeleteStep(step_id=3),
            InsertStep(after_step_id=4, message="I wait a while."),
            EditStep(step_id=3, message="I take it."),
        ],
    )
    kinds = [(diff.kind, diff.old, diff.new) for diff in diff_steps(document("look", "take", "drop", "open"), made)]
    assert kinds == [
        ("same", 1, 1),
        ("same", 2, 2),
        ("deleted", 3, None),
        ("changed", 4, 3),
        ("same", 5, 4),
        ("inserted", None, 5),
        ("same", 6, 6),
    ]


def test_a_rewritten_step_is_a_change_and_not_a_deletion() -> None:
    rewritten = apply_edit(document(), EditStep(step_id=2, message="Entirely different words"))
    assert [diff.kind for diff in diff_steps(document(), rewritten)] == ["same", "changed", "same", "same", "same"]


@given(st.text("ab \n.", max_size=30), st.text("ab \n.", max_size=30))
def test_segments_make_both_texts(old: str, new: str) -> None:
    segments = diff_words(old, new)
    assert "".join(text for operation, text in segments if operation != "ins") == old
    assert "".join(text for operation, text in segments if operation != "del") == new


def test_very_long_texts_are_compared_in_reasonable_time() -> None:
    old = "\n".join(f"line {number} of the log" for number in range(1_500))
    new = old.replace("line 3 ", "row 3 ").replace("line 1400 ", "row 1400 ")
    segments = diff_words(old, new)
    assert ("del", "line 3 of the log\n") in segments
    everything = diff_words("x\n" * 5_000 + "a " * 5_000, "y\n" * 5_000 + "b " * 5_000)
    assert [operation for operation, _ in everything] == ["del", "ins"]


@given(st.lists(EDITS, max_size=4))
def test_a_diff_names_every_step_of_both_sides_once_and_in_order(edits: list[Any]) -> None:
    made = document()
    for edit in edits:
        try:
            made = apply_edit(made, edit)
        except EditError:
            continue
    diffs = diff_steps(document(), made)
    assert [diff.old for diff in diffs if diff.old is not None] == [1, 2, 3, 4, 5]
    assert [diff.new for diff in diffs if diff.new is not None] == list(range(1, len(made.steps) + 1))
