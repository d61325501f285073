"""What two attempts share, and where a preference pair is cut (curation.revisions.pairs)."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.formats.base import ImportContext, Parsed
from curation.formats.document import Document
from curation.formats.messages import document_to_messages
from curation.formats.tau_bench import TauBench
from curation.revisions import (
    DeleteStep,
    EditStep,
    PairError,
    TruncateAfter,
    apply_edit,
    shared_prefix,
    split_pair_messages,
)
from tests.formats.reading_aids import only_document, parse_value, plain_document

USER, AGENT = {"role": "user", "content": "go"}, {"role": "assistant", "content": "done"}
ACTIONS = st.lists(st.sampled_from(["look", "take"]), max_size=4)


def acting(*actions: str) -> Document:
    return Document.model_validate(plain_document(*actions))


def talking(*messages: dict[str, Any]) -> Document:
    return only_document(parse_value("chat", {"messages": list(messages)}))


def roles(messages: list[dict[str, Any]]) -> list[str]:
    return [message["role"] for message in messages]


def test_the_shared_prefix_counts_leading_steps_alike() -> None:
    assert shared_prefix(acting("look", "take", "drop"), acting("look", "take", "open")) == 4
    assert shared_prefix(acting("look"), acting("look", "take")) == 3
    assert shared_prefix(acting("look"), acting("look")) == 3
    assert shared_prefix(talking(USER), talking(AGENT)) == 0


@pytest.mark.parametrize(
    ("place", "value", "alike"),
    [
        (("arguments_raw",), '{ "action":"take"}', 5),
        (("arguments_raw",), '{"action": "drop"}', 3),
        (("arguments_raw",), '{"action": true}', 3),
        (("function_name",), "other", 3),
        (("native_id",), "call_1", 5),
    ],
)
def test_calls_are_alike_by_what_they_say(place: tuple[str], value: str, alike: int) -> None:
    plain = plain_document("look", "take", "drop")
    plain["steps"][3]["tool_calls"][0][place[0]] = value
    assert shared_prefix(acting("look", "take", "drop"), Document.model_validate(plain)) == alike


def test_one_and_true_are_different_arguments() -> None:
    sides = []
    for raw in ('{"n": 1}', '{"n": true}'):
        plain = plain_document("look")
        plain["steps"][2]["tool_calls"][0]["arguments_raw"] = raw
        sides.append(Document.model_validate(plain))
    assert shared_prefix(*sides) == 2


def test_a_pair_is_cut_before_the_first_assistant_message_that_differs() -> None:
    chosen, rejected = acting("look", "take", "drop"), acting("look", "open")
    prompt, left, right = split_pair_messages(chosen, rejected)
    assert roles(prompt) == ["system", "user", "assistant", "tool"]
    assert roles(left) == ["assistant", "tool", "assistant", "tool"]
    assert roles(right) == ["assistant", "tool"]
    assert prompt + left == document_to_messages(chosen)
    assert prompt + right == document_to_messages(rejected)


def test_a_turn_is_never_divided_where_only_its_observation_differs() -> None:
    plain = plain_document("look", "take")
    plain["steps"][3]["observation"]["results"][0]["content"][0]["text"] = "It is stuck."
    prompt, left, right = split_pair_messages(acting("look", "take"), Document.model_validate(plain))
    assert roles(prompt) == ["system", "user", "assistant", "tool"]
    assert left[0] == right[0]
    assert left[1]["content"] != right[1]["content"]


def test_a_side_that_stops_earlier_still_has_a_turn() -> None:
    prompt, left, right = split_pair_messages(acting("look", "take"), acting("look"))
    assert roles(prompt) == ["system", "user"]
    assert (len(left), len(right)) == (4, 2)


def test_users_who_word_the_same_request_differently_leave_what_comes_before() -> None:
    system = {"role": "system", "content": "rules"}
    one, other = talking(system, USER, AGENT), talking(system, {"role": "user", "content": "please go"}, AGENT)
    prompt, left, right = split_pair_messages(one, other)
    assert (roles(prompt), roles(left), roles(right)) == (["system"], ["user", "assistant"], ["user", "assistant"])


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        (acting("look"), acting("look"), "Both sides are the same"),
        (acting("look"), acting(), "The rejected side has no assistant turn"),
        (acting(), acting("look"), "The chosen side has no assistant turn"),
        (talking(USER, AGENT), talking({"role": "user", "content": "other"}, AGENT), "share no message"),
        (talking(AGENT), talking({"role": "assistant", "content": "other"}), "share no message"),
        (talking(USER, AGENT), talking(USER, AGENT | {"content": "no", "trainable": False}), "The rejected side"),
    ],
)
def test_what_makes_no_pair_is_refused_with_the_reason(chosen: Document, rejected: Document, reason: str) -> None:
    with pytest.raises(PairError, match=reason):
        split_pair_messages(chosen, rejected)


def test_a_correction_makes_a_pair_with_what_it_corrects() -> None:
    recorded = acting("look", "take", "drop")
    corrected = apply_edit(apply_edit(recorded, EditStep(step_id=4, message="Better.")), TruncateAfter(step_id=4))
    prompt, left, right = split_pair_messages(corrected, recorded)
    assert (len(prompt), len(left), len(right)) == (4, 2, 4)
    assert len(split_pair_messages(apply_edit(recorded, DeleteStep(step_id=4)), recorded)[0]) == 4


@given(ACTIONS, ACTIONS)
def test_a_cut_loses_and_shares_nothing_it_should_not(one: list[str], other: list[str]) -> None:
    chosen, rejected = acting(*one), acting(*other)
    try:
        prompt, left, right = split_pair_messages(chosen, rejected)
    except PairError:
        assert one == other or not one or not other
        return
    assert prompt + left == document_to_messages(chosen)
    assert prompt + right == document_to_messages(rejected)
    assert left[0]["role"] == right[0]["role"] == "assistant"
    assert left != right


def test_every_success_and_failure_of_one_task_in_the_real_file_makes_a_pair(shared_data: Path) -> None:
    name = "gpt-4o-airline.json"
    outcomes: dict[str, dict[float | None, list[Document]]] = defaultdict(lambda: defaultdict(list))
    with (shared_data / "tau-bench" / name).open("rb") as stream:
        for parsed in TauBench().parse(stream, ImportContext(filename=name)):
            assert isinstance(parsed, Parsed)
            outcomes[parsed.document.task.id][parsed.document.outcome.reward].append(parsed.document)
    pairs = [(won, lost) for task in outcomes.values() for won in task[1.0] for lost in task[0.0]]
    split = [split_pair_messages(won, lost) for won, lost in pairs]
    assert len(split) == 88
    # The simulated user words its first request anew in nearly every trial.
    assert sum(roles(prompt) == ["system"] for prompt, _, _ in split) == 86
