"""The rows of each kind: what is the prompt, what is learnt from, and what never is."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from curation.models import PreferencePair, Project, Review, Revision, StepLabel, Task, Trajectory
from tests.datasets.cast import freeze, judge_all_pairs, make_pool, make_task_with_text, read_rows
from tests.factories import make_document, make_project, make_trajectory, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Any) -> None:
    settings.HOME = tmp_path


def label_wrong(trajectory: Trajectory, step: int) -> None:
    review = Review.objects.create(
        trajectory=trajectory,
        revision=trajectory.revisions.get(),
        reviewer=make_user(),
        verdict="accept",
        submitted_at=timezone.now(),
    )
    StepLabel.objects.create(review=review, step_id=step, label="wrong")


def roles(messages: list[dict[str, Any]]) -> list[str]:
    return [message["role"] for message in messages]


def test_each_turn_is_a_completion_of_all_that_came_before() -> None:
    project = make_project()
    make_pool(project, tasks=1, status="accepted")
    version = freeze(project, kind="prompt-completion", held_out=0)
    first, second = read_rows(version, "train")
    assert (first["turn"], second["turn"]) == (1, 2)
    assert roles(first["prompt"]) == ["system", "user"]
    assert roles(second["prompt"]) == ["system", "user", "assistant", "tool"]
    assert second["prompt"][:3] == [*first["prompt"], *first["completion"]]
    assert [roles(row["completion"]) for row in (first, second)] == [["assistant"], ["assistant"]]
    assert second["completion"][0]["tool_calls"][0]["function"]["arguments"] == '{"action": "take"}'
    assert version.rows.count() == 2
    assert version.statistics["preview"]["train"]["rows"] == 2
    assert version.statistics["preview"]["train"]["tasks"] == 1


def test_a_turn_labelled_wrong_is_no_completion_and_is_unmarked_in_later_prompts() -> None:
    project = make_project()
    (trajectory,) = make_pool(project, tasks=1, status="accepted")
    label_wrong(trajectory, 3)
    (row,) = read_rows(freeze(project, kind="prompt-completion", held_out=0), "train")
    assert row["completion"][0]["content"] == "I will take."
    assert row["turn"] == 1
    assert all("trainable" not in message for message in row["prompt"])


def test_weights_have_mean_one_over_turns_not_over_trajectories() -> None:
    project = make_project()
    make_trajectory(project, *["look"] * 9, task=make_task_with_text(project, "long", band=5), status="accepted")
    make_trajectory(project, "look", task=make_task_with_text(project, "short", band=1), status="accepted")
    rows = read_rows(freeze(project, kind="prompt-completion", held_out=0, band_weights={"5": 3}), "train")
    assert len(rows) == 10
    assert sum(row["weight"] for row in rows) / len(rows) == pytest.approx(1, abs=1e-5)
    assert len({row["weight"] for row in rows}) == 2


def test_kto_rows_say_whether_the_completion_is_desirable() -> None:
    project = make_project()
    make_pool(project, tasks=1, status="accepted")
    make_pool(project, tasks=1, status="rejected", success=False)
    version = freeze(project, kind="kto", held_out=0)
    rows = read_rows(version, "train")
    assert sorted((row["label"], len(row["completion"])) for row in rows) == [(False, 4), (True, 4)]
    assert all(roles(row["prompt"]) == ["system", "user"] for row in rows)
    counted = {one["action"]: (one["taught"], one["rejected"]) for one in version.statistics["actions"]}
    assert counted == {"act: look": (1, 1), "act: take": (1, 1)}
    assert version.statistics["preview"]["desirable"] == 1


def test_an_agent_that_speaks_first_has_no_prompt_and_the_row_is_left_out_with_the_reason() -> None:
    project = make_project()
    (kept, first) = make_pool(project, tasks=2, status="accepted")
    document = make_document("look", key=first.task.key)
    document["steps"] = [document["steps"][2] | {"step_id": 1}]
    Revision.objects.create(trajectory=first, number=1, document=document)
    Trajectory.objects.filter(pk=first.pk).update(head_number=1)
    for kind in ("kto", "prompt-completion"):
        version = freeze(project, kind, kind=kind, held_out=0)
        assert set(version.rows.values_list("revision__trajectory", flat=True)) == {kept.pk}
        (left,) = version.left_out_rows.all()
        assert (left.trajectory, left.stage, left.reason) == (
            first,
            "dataset",
            "nothing comes before the agent's turns",
        )


@pytest.fixture
def pairs() -> Project:
    project = make_project()
    for number in range(2):
        task = make_task_with_text(project, f"pair {number}")
        make_trajectory(project, "look", "take", task=task)
        make_trajectory(project, "look", "drop", task=task, success=False)
    judge_all_pairs(project)
    return project


def test_reward_rows_are_a_prompt_with_two_ways_to_go_on(pairs: Project) -> None:
    rows = read_rows(freeze(pairs, kind="reward", held_out=0), "train")
    for row in rows:
        assert roles(row["prompt"]) == ["system", "user", "assistant", "tool"]
        assert "take" in row["chosen"][0]["content"]
        assert "drop" in row["rejected"][0]["content"]
    assert len(rows) == 2


def test_pairs_of_a_single_turn_teach_that_turn_alone(pairs: Project) -> None:
    pair = PreferencePair.objects.filter(project=pairs).earliest("pk")
    PreferencePair.objects.filter(pk=pair.pk).update(step_only=True)
    whole = read_rows(freeze(pairs, "whole", kind="dpo", turns="whole", held_out=0), "train")
    (single,) = read_rows(freeze(pairs, "single", kind="dpo", turns="single", held_out=0), "train")
    assert [row["pair"] for row in whole] != [pair.pk]
    assert single["pair"] == pair.pk
    assert (roles(single["chosen"]), roles(single["rejected"])) == (["assistant"], ["assistant"])
    assert (whole[0]["step_only"], single["step_only"]) == (False, True)


def test_actions_are_counted_on_both_sides_of_pairs(pairs: Project) -> None:
    version = freeze(pairs, kind="dpo", held_out=0)
    counted = {one["action"]: (one["taught"], one["rejected"]) for one in version.statistics["actions"]}
    assert counted == {"act: take": (2, 0), "act: drop": (0, 2)}


def test_general_instruction_rows_are_mixed_in_with_weight_one_and_no_difficulty() -> None:
    project = make_project()
    make_pool(project, tasks=4, status="accepted")
    Task.objects.update(band=3)
    general = make_pool(project, tasks=20, status="unreviewed")
    Trajectory.objects.filter(pk__in=[one.pk for one in general]).update(source="instruction")
    version = freeze(project, held_out=0, instruction_share=0.5, band_weights={"3": 2})
    rows = read_rows(version, "train")
    mixed = [row for row in rows if row["trajectory"] in {one.pk for one in general}]
    assert len(mixed) == 4
    assert {(row["band"], row["weight"]) for row in mixed} == {(None, 1.0)}
    assert version.statistics["preview"]["instruction"]["rows"] == 4
    assert version.left_out_rows.filter(reason="general instruction data over its share").count() == 16
