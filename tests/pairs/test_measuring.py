"""Warnings and lengths of a pair, pairs of single turns, and the length bias of the whole set."""

from __future__ import annotations

import json
from typing import Any

import pytest

from curation.formats.document import Document
from curation.models import PreferencePair, Project
from curation.revisions import PairError, measure_pair, split_pair_messages
from curation.selectors.pairs import measure_length_bias
from curation.services.datasets import create_dataset, create_version, freeze_version
from curation.services.pair_proposals import propose_pairs
from curation.services.pairs import PairAnswer, choose_sides, decide_pair, judge_pair
from tests.datasets.cast import read_rows
from tests.factories import make_document, make_member, make_project, make_task, make_trajectory, owner_access
from tests.imports.files import as_lines, import_content
from tests.pairs.cast import answer_for, correct, make_pairs


def document(*actions: str, **changes: Any) -> Document:
    return Document.model_validate(make_document(*actions) | changes)


@pytest.mark.parametrize(
    ("chosen", "rejected", "warnings"),
    [
        (document("a", "b"), document("a", "c"), []),
        (document("a", "b" * 200), document("a", "c"), ["length"]),
        (document("a", "c"), document("a", "b" * 200), ["length"]),
        (document("a", "b  c"), document("a", "b c"), ["equal"]),
        (document("a", agent={"name": "x"}), document("b"), ["tools"]),
    ],
)
def test_what_is_doubtful_of_a_pair_is_said(chosen: Document, rejected: Document, warnings: list[str]) -> None:
    assert measure_pair(chosen, rejected).warnings == warnings


def test_another_instruction_is_warned_of() -> None:
    other = make_document("b")
    other["task"]["fingerprint"] = "0" * 64
    assert measure_pair(document("a"), Document.model_validate(other)).warnings == ["fingerprint"]


def test_only_the_agents_part_after_the_shared_steps_is_measured() -> None:
    measure = measure_pair(document("a", "bb"), document("a", "c"))
    assert (measure.shared_steps, measure.chosen_characters - measure.rejected_characters) == (3, 2)
    assert measure.rejected_characters == len("I will c.") + len('act{"action": "c"}')


def test_of_a_step_pair_the_turns_are_all_that_is_learnt_from() -> None:
    prompt, chosen, rejected = split_pair_messages(document("a", "b", "c"), document("a", "x", "y"), step_only=True)
    assert [message["role"] for message in prompt] == ["system", "user", "assistant", "tool"]
    assert ([m["content"] for m in chosen], [m["content"] for m in rejected]) == (["I will b."], ["I will x."])


def test_a_pair_that_parts_elsewhere_is_no_step_pair() -> None:
    told = make_document("a", "b")
    told["steps"][2]["observation"]["results"][0]["content"][0]["text"] = "Something else."
    with pytest.raises(PairError, match="do not part at a turn"):
        split_pair_messages(document("a", "c"), Document.model_validate(told), step_only=True)
    with pytest.raises(PairError, match="same, message for message"):
        split_pair_messages(document("a"), document("a"), step_only=True)
    untrained = make_document("a", "b")
    untrained["steps"][3]["trainable"] = False
    with pytest.raises(PairError, match="not to be learnt"):
        split_pair_messages(document("a", "c"), Document.model_validate(untrained), step_only=True)


def decide(project: Project, pair: PreferencePair, winner: int | None) -> None:
    access = owner_access(project)
    decide_pair(access, pair, answer_for(access, pair, winner=winner))


@pytest.mark.django_db
def test_a_step_pair_becomes_a_row_of_one_turn_a_side(settings: Any, tmp_path: Any) -> None:
    settings.HOME = tmp_path
    project = make_project()
    lost = make_trajectory(project, "a", "b", "c", success=False)
    correct(lost, "a", "x", "c")
    access = owner_access(project)
    propose_pairs(access, origins=["correction", "step"])
    for pair in PreferencePair.objects.all():
        decide(project, pair, pair.chosen_id)
    dataset = create_dataset(access, name="pairs", recipe={"kind": "dpo", "held_out": 0})
    version = create_version(access, dataset)
    freeze_version(version.pk)
    version.refresh_from_db()
    whole, turn = sorted(read_rows(version, "train"), key=lambda row: bool(row["step_only"]))
    assert (whole["step_only"], turn["step_only"]) == (False, True)
    assert [len(whole["chosen"]), len(turn["chosen"]), len(turn["rejected"])] == [4, 1, 1]
    assert turn["prompt"] == whole["prompt"]
    assert turn["chosen"][0] == whole["chosen"][0]
    assert json.loads(turn["tools"]) == json.loads(whole["tools"])


@pytest.mark.django_db
def test_pairs_of_a_file_are_measured_as_proposed_ones_are() -> None:
    user = {"role": "user", "content": "Say it."}
    record = {
        "prompt": [user],
        "chosen": [{"role": "assistant", "content": "short"}],
        "rejected": [{"role": "assistant", "content": "much longer words"}],
    }
    import_content(owner_access(make_project()), as_lines([record]))
    pair = PreferencePair.objects.get()
    assert (pair.chosen_characters, pair.rejected_characters, pair.warnings) == (5, 17, ["length"])


@pytest.mark.django_db
def test_lengths_follow_the_sides_when_a_judgement_swaps_them() -> None:
    project = make_project()
    task = make_task(project)
    make_trajectory(project, "a", "long " * 20, task=task)
    make_trajectory(project, "a", "b", task=task, success=False)
    propose_pairs(owner_access(project))
    pair = PreferencePair.objects.get()
    before = (pair.chosen_characters, pair.rejected_characters)
    decide(project, pair, pair.rejected_id)
    pair.refresh_from_db()
    assert (pair.rejected_characters, pair.chosen_characters) == before


@pytest.mark.django_db
def test_the_length_bias_counts_confirmed_pairs_of_known_and_different_length(
    django_assert_num_queries: Any,
) -> None:
    project = make_project()
    pairs = make_pairs(project, 6)
    make_pairs(make_project(), 2)
    lengths = [(20, 10), (20, 10), (20, 10), (10, 20), (10, 10), (0, 0)]
    for pair, (chosen, rejected) in zip(pairs, lengths, strict=True):
        PreferencePair.objects.filter(pk=pair.pk).update(
            status="confirmed", chosen_characters=chosen, rejected_characters=rejected
        )
    PreferencePair.objects.filter(pk=pairs[0].pk).update(status="tie")
    pairs[1].task.band = 5
    pairs[1].task.save(update_fields=["band"])
    access = owner_access(project)
    with django_assert_num_queries(1):
        bias = measure_length_bias(access)
    whole = bias["all"]
    assert (whole.pairs, whole.longer) == (3, 2)
    assert whole.share == pytest.approx(2 / 3)
    assert whole.interval[0] < 2 / 3 < whole.interval[1]
    assert whole.median_ratio == pytest.approx(2**0.5), "of 2, 2, 1/2 and 1"
    assert not whole.is_biased
    assert (bias[5].pairs, bias[None].pairs) == (1, 2)
    assert measure_length_bias(owner_access(make_project())) == {}


@pytest.mark.django_db
def test_a_judgement_given_twice_swaps_nothing_twice() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    access, winner = make_member(project), pair.rejected_id
    sides = choose_sides(access, pair)
    answer = "left-better" if sides.left_id == winner else "right-better"
    for _ in range(2):
        judge_pair(access, pair, PairAnswer(answer, sides.left_id, sides.right_id))
        pair.refresh_from_db()
        assert (pair.chosen_id, pair.swapped) == (winner, True)
