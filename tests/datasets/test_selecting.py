from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.utils import timezone

from curation.models import PreferencePair, Project, Review, Revision, Task, Trajectory
from curation.recipe import read_recipe
from curation.selection import Selection
from curation.selectors.candidates import select_candidates
from curation.selectors.previews import Preview, preview_recipe
from curation.services.datasets import create_dataset, create_version, freeze_version
from curation.services.decisions import decide_trajectory
from tests.datasets.cast import make_pool, make_task_with_text
from tests.factories import make_document, make_project, make_trajectory, make_user, owner_access

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Any) -> None:
    settings.HOME = tmp_path


def select(project: Project, kind: str = "sft", **recipe: Any) -> Selection:
    return select_candidates(project, read_recipe({"kind": kind, "held_out": 0, **recipe}))


def preview(project: Project, kind: str = "sft", **recipe: Any) -> Preview:
    return preview_recipe(owner_access(project), read_recipe({"kind": kind, "held_out": 0, **recipe}))


def correct(trajectory: Trajectory, number: int = 1) -> Revision:
    Trajectory.objects.filter(pk=trajectory.pk).update(head_number=number)
    return Revision.objects.create(trajectory=trajectory, number=number, document=make_document("look", "give"))


def test_the_waterfall_follows_the_filter_part_by_part() -> None:
    project = make_project()
    for band, status, success, model in (
        (1, "accepted", True, "a"),
        (1, "accepted", True, "b"),
        (5, "accepted", False, "a"),
        (5, "rejected", True, "a"),
        (5, "accepted", True, "a"),
    ):
        task = make_task_with_text(project, f"{band} {status} {success} {model}", band=band)
        made = make_trajectory(project, task=task, status=status, success=success)
        Trajectory.objects.filter(pk=made.pk).update(model=model, agent_character_count=400)
    rules = [
        {"rule": "status", "values": ["accepted"]},
        {"rule": "outcome", "values": ["success"]},
        {"rule": "model", "values": ["a"]},
    ]
    selection = select(project, where={"all": rules}, band_weights={"5": 3})
    assert [(stage.stage, stage.bands[1], stage.bands[5]) for stage in selection.stages] == [
        ("collected", 200, 300),
        ("rule", 100, 300),
        ("success", 100, 200),
        ("human", 100, 100),
        ("dataset", 50, 150),
    ]
    assert [(row.stage, row.reason) for row in selection.left_out_rows] == [
        ("rule", "another model"),
        ("success", "no recorded success"),
        ("human", "review status: rejected"),
    ]
    assert selection.stages[1].lost[1] == 100


def test_rules_that_are_joined_by_or_are_one_part() -> None:
    project = make_project()
    make_pool(project, tasks=1, status="accepted", success=False)
    make_pool(project, tasks=1, status="rejected", success=False)
    either = [{"rule": "status", "values": ["accepted"]}, {"rule": "outcome", "values": ["success"]}]
    selection = select(project, where={"any": either})
    assert len(selection.candidates) == 1
    assert selection.left_out == {"fails the rule on status and outcome": 1}


def test_a_crashed_attempt_is_no_part_of_the_pool_unless_it_was_accepted() -> None:
    project = make_project()
    for status in ("accepted", "unreviewed"):
        (made,) = make_pool(project, tasks=1, status=status)
        Trajectory.objects.filter(pk=made.pk).update(completion="crashed", agent_character_count=400)
    selection = select(project)
    assert sum(mass.mass for mass in selection.pool) == 100
    assert selection.stages[0].total == 100
    assert len(selection.left_out_rows) == 1


def test_only_corrected_trajectories_can_be_asked_for() -> None:
    project = make_project()
    left, corrected = make_pool(project, tasks=2, status="accepted")
    revision = correct(corrected)
    selection = select(project, revisions="corrected")
    assert [row.revision_id for row in selection.candidates] == [revision.pk]
    assert selection.left_out_rows[0][:1] == (left.pk,)
    assert selection.left_out == {"never corrected": 1}


def test_the_newest_accepted_revision_is_taken_and_not_a_newer_one_that_nobody_accepted() -> None:
    project = make_project()
    reviewed, decided, neither = make_pool(project, tasks=3, status="accepted")
    original = reviewed.revisions.get()
    Review.objects.create(
        trajectory=reviewed, revision=original, reviewer=make_user(), verdict="accept", submitted_at=timezone.now()
    )
    correct(reviewed)
    second = correct(decided)
    decide_trajectory(owner_access(project), Trajectory.objects.get(pk=decided.pk), verdict="accept")
    correct(decided, 2)
    Review.objects.create(trajectory=neither, revision=neither.revisions.get(), reviewer=make_user(), verdict="accept")
    selection = select(project, revisions="accepted")
    assert {row.trajectory_id: row.revision_id for row in selection.candidates} == {
        reviewed.pk: original.pk,
        decided.pk: second.pk,
    }
    assert selection.left_out == {"no revision that anybody accepted": 1}


def test_kto_takes_the_accepted_as_desirable_and_the_rejected_as_not() -> None:
    project = make_project()
    make_pool(project, tasks=3, status="accepted")
    make_pool(project, tasks=2, status="rejected")
    make_pool(project, tasks=1, status="unsure")
    selection = select(project, "kto", where={"all": []})
    assert Counter(row.desirable for row in selection.candidates) == {True: 3, False: 2}
    assert selection.left_out == {"neither accepted nor rejected": 1}
    told = preview(project, "kto", where={"all": []})
    assert (told.desirable, told.undesirable) == (3, 2)


def test_general_instruction_data_is_mixed_in_and_never_a_row_of_its_own() -> None:
    project = make_project()
    make_pool(project, tasks=4, status="accepted")
    mixed = make_pool(project, tasks=8)
    Trajectory.objects.filter(pk__in=[row.pk for row in mixed]).update(source="instruction", agent_character_count=250)
    Trajectory.objects.filter(pk=mixed[0].pk).update(status="rejected")
    assert not any(row.instruction for row in select(project).candidates)
    told = preview(project, instruction_share=0.2)
    assert (told.train.rows, told.instruction.rows) == (8, 4)
    assert told.instruction.tokens / told.train.tokens == pytest.approx(0.2)
    assert {line.reason: line.rows for line in told.left_out} == {
        "general instruction data over its share": 3,
        "general instruction data that was rejected": 1,
    }


def test_tasks_are_kept_out_by_key_tag_benchmark_and_another_datasets_held_out_side() -> None:
    project = make_project()
    access = owner_access(project)
    pool = make_pool(project, tasks=12, status="accepted")
    other = create_dataset(access, name="measure", recipe={"kind": "sft", "held_out": 0.3, "seed": 5})
    version = create_version(access, other)
    freeze_version(version.pk)
    measured = set(version.rows.filter(split="eval").values_list("task_id", flat=True))
    rest = [row for row in pool if row.task_id not in measured]
    Trajectory.objects.filter(pk=rest[0].pk).update(tags=["gate"])
    Task.objects.filter(pk=rest[1].task_id).update(dataset="bench")
    kept_out = {
        "tasks": [rest[2].task.key],
        "tags": ["gate"],
        "benchmarks": ["bench"],
        "datasets": [other.pk],
        "similarity": None,
    }
    selection = select(project, evaluation=kept_out)
    assert {row.task_id for row in selection.candidates} == {row.task_id for row in rest[3:]}
    assert selection.left_out == {"has the text of an evaluation task": 3 + len(measured)}
    told = preview(project)
    assert [(one.dataset, one.version, len(one.tasks)) for one in told.elsewhere] == [("measure", 1, len(measured))]
    assert preview(project, evaluation=kept_out).elsewhere == []


def test_a_task_with_nearly_the_text_of_an_evaluation_task_is_kept_out_and_named() -> None:
    project = make_project()
    text = "open the red door at the far end of the long corridor and then come back with the key"
    for key, words in (("gate", text), ("copy", f"{text} please"), ("other", "close the green box")):
        make_trajectory(project, task=make_task_with_text(project, words, key=key), status="accepted")
    selection = select(project, evaluation={"tasks": ["gate"], "similarity": 0.8})
    assert [row.task for row in selection.candidates] == ["other"]
    assert [(one.task, one.evaluation) for one in selection.overlaps] == [("gate", "gate"), ("copy", "gate")]
    assert selection.overlaps[1].similarity == pytest.approx(17 / 18)


def test_duplicates_and_what_leaks_across_the_split_are_counted() -> None:
    project = make_project()
    pool = make_pool(project, tasks=30, status="accepted")
    selection = select(project, held_out=0.4)
    train = [row.trajectory_id or 0 for row in selection.candidates if not row.held_out]
    held_out = [row.trajectory_id or 0 for row in selection.candidates if row.held_out]
    Trajectory.objects.filter(pk=train[1]).update(duplicate_of=train[0])
    Trajectory.objects.filter(pk=train[2]).update(duplicate_of=held_out[0])
    Trajectory.objects.filter(pk=held_out[1]).update(duplicate_of=train[3])
    told = preview(project, held_out=0.4)
    assert (told.repeated, told.across, told.shared) == (1, 2, 0)
    assert len(pool) == told.train.rows + told.held_out.rows


def make_pairs(project: Project, number: int) -> list[PreferencePair]:
    pairs = []
    for place in range(number):
        task = make_task_with_text(project, f"pair {place}")
        better = make_trajectory(project, task=task, status="accepted")
        worse = make_trajectory(project, task=task, success=False)
        pairs.append(
            PreferencePair.objects.create(
                project=project, task=task, chosen=better.revisions.get(), rejected=worse.revisions.get(),
                shared_steps=2, origin="outcome", status="confirmed", strength=2, chosen_characters=400,
                rejected_characters=800,
            )
        )  # fmt: skip
    return pairs


@pytest.mark.parametrize("kind", ["dpo", "reward"])
def test_pairs_are_chosen_by_turns_and_warnings_and_by_a_filter_on_the_preferred_side(kind: str) -> None:
    project = make_project()
    plain, single, long, foreign = make_pairs(project, 4)
    PreferencePair.objects.filter(pk=single.pk).update(step_only=True)
    PreferencePair.objects.filter(pk=long.pk).update(warnings=["tools", "length"])
    Trajectory.objects.filter(pk=foreign.chosen.trajectory_id).update(model="another")
    where = {"rule": "model", "values": ["test"]}
    selection = select(project, kind, where=where, turns="whole", without_warnings=["length"])
    assert [row.pair_id for row in selection.candidates] == [plain.pk]
    assert selection.left_out == {
        "of a single turn": 1,
        "warning: One side is much longer than the other": 1,
        "another model": 1,
    }
    assert [row.pair_id for row in select(project, kind, turns="single").candidates] == [single.pk]


def test_the_length_of_pairs_is_told() -> None:
    project = make_project()
    pairs = make_pairs(project, 4)
    PreferencePair.objects.filter(pk=pairs[0].pk).update(chosen_characters=1600)
    told = preview(project, "dpo").pair_lengths
    assert told is not None
    assert (told.pairs, told.longer, told.ratio) == (4, 0.25, 0.5)


def test_a_difficulty_that_cannot_be_measured_is_named() -> None:
    project = make_project()
    for number in range(40):
        task = make_task_with_text(project, f"easy {number}", band=1)
        make_trajectory(project, task=task, status="accepted")
    make_trajectory(project, task=make_task_with_text(project, "hard", band=5), status="accepted")
    for seed in range(10):
        told = preview(project, held_out=0.2, seed=seed)
        hard = told.bands[4]
        assert hard.rows + hard.held_out_rows == 1
        assert any("No task of difficulty 5 is held out" in words for words in told.warnings) == bool(hard.rows)


def test_bias_is_told_before_and_after_the_target_was_reached() -> None:
    project = make_project()
    for band, number in ((1, 40), (3, 20), (5, 10)):
        for place in range(number):
            task = make_task_with_text(project, f"{band} {place}", band=band)
            make_trajectory(project, task=task, status="accepted")
    shares = {"1": 0.4, "3": 0.3, "5": 0.3}
    told = preview(project, target="by-hand", target_shares=shares, reach=["weights"])
    assert told.before.bias == pytest.approx(40 / 70 - 0.4)
    assert told.after.bias == pytest.approx(0, abs=1e-9)
    assert told.problems == told.warnings == []


def test_a_recipe_that_cannot_reach_its_target_is_not_frozen() -> None:
    project = make_project()
    access = owner_access(project)
    for band in (1, 2, 3, 4):
        make_trajectory(project, task=make_task_with_text(project, str(band), band=band), status="accepted")
    recipe = {"kind": "sft", "held_out": 0, "target": "uniform", "reach": ["quotas"]}
    version = create_version(access, create_dataset(access, name="d", recipe=recipe))
    freeze_version(version.pk)
    version.refresh_from_db()
    assert version.state == "failed"
    assert version.error == "Difficulty 5 needs 1 row for a uniform set of 5, and none is there."
