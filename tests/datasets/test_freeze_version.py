from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, InternalError, transaction
from django.utils import timezone

from curation.models import (
    Dataset,
    DatasetVersion,
    PreferencePair,
    Review,
    Revision,
    Role,
    StepLabel,
    Task,
    Trajectory,
)
from curation.services.dataset_files import locate_file
from curation.services.datasets import create_dataset, create_version, freeze_version
from curation.services.jobs import claim_job, sweep_jobs
from curation.services.pair_proposals import propose_pairs
from curation.services.pairs import PairAnswer, judge_pair
from tests.datasets.cast import freeze, make_pool, make_task_with_text, read_rows
from tests.factories import make_document, make_member, make_project, make_trajectory, make_user, owner_access

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Any) -> None:
    settings.HOME = tmp_path


def test_rows_are_accepted_trajectories_with_messages_and_exact_arguments() -> None:
    project = make_project()
    kept = make_pool(project, tasks=1, status="accepted")[0]
    make_pool(project, tasks=2, status="rejected")
    version = freeze(project, held_out=0)
    (row,) = read_rows(version, "train")
    assert (version.state, version.left_out) == ("done", {"review status: rejected": 2})
    assert (row["trajectory"], row["weight"], row["band"]) == (kept.pk, 1.0, None)
    assert [message["role"] for message in row["messages"]] == ["system", "user", *["assistant", "tool"] * 2]
    assert row["messages"][2]["tool_calls"][0]["function"]["arguments"] == '{"action": "look"}'
    assert json.loads(row["tools"])[0]["function"]["name"] == "act"
    assert all("trainable" not in message for message in row["messages"] if message["role"] == "assistant")
    stored = version.rows.get()
    assert stored.characters == len("I will look.I will take.") + len('act{"action": "look"}act{"action": "take"}')


def test_no_task_is_on_both_sides() -> None:
    project = make_project()
    make_pool(project, tasks=30, attempts=3, status="accepted")
    version = freeze(project, held_out=0.4, seed=7)
    train, held_out = ({row["task"] for row in read_rows(version, side)} for side in ("train", "eval"))
    assert train
    assert held_out
    assert not train & held_out


def test_tasks_with_the_same_text_are_on_the_same_side() -> None:
    project = make_project()
    for number in range(12):
        task = make_task_with_text(project, "the same words", key=f"copy-{number}")
        make_trajectory(project, task=task, status="accepted")
    make_pool(project, tasks=12, status="accepted")
    version = freeze(project, held_out=0.5)
    sides = {
        side: any(row["task"].startswith("copy-") for row in read_rows(version, side)) for side in ("train", "eval")
    }
    assert sorted(sides.values()) == [False, True]


def test_the_same_recipe_on_the_same_data_has_the_same_hash() -> None:
    project = make_project()
    make_pool(project, tasks=6, status="accepted")
    one, other = freeze(project), freeze(project)
    assert (one.number, other.number) == (1, 2)
    assert one.content_hash == other.content_hash != ""
    assert freeze(project, "other", seed=5).content_hash != one.content_hash


def test_a_freeze_that_was_killed_starts_over_and_comes_to_the_same() -> None:
    project = make_project()
    make_pool(project, tasks=4, status="accepted")
    expected = freeze(project).content_hash
    version = create_version(owner_access(project), Dataset.objects.get())
    claim_job(DatasetVersion, version.pk)  # the worker that dies: its heartbeat stops, its files stay behind
    (locate_file("0" * 64).parent / f".version-{version.pk}-torn").write_text("half a li")
    DatasetVersion.objects.filter(pk=version.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=5))
    assert sweep_jobs(DatasetVersion) == [version.pk]
    freeze_version(version.pk)
    freeze_version(version.pk)  # a second message for the same job does nothing
    version.refresh_from_db()
    assert (version.state, version.claims, version.content_hash) == ("done", 2, expected)
    assert version.rows.count() == 4
    assert not list(locate_file("0" * 64).parent.glob(".*"))


def test_a_recipe_that_takes_nothing_fails_and_says_why() -> None:
    project = make_project()
    make_pool(project, tasks=2)
    version = freeze(project)
    assert (version.state, version.content_hash) == ("failed", "")
    assert "2 review status: unreviewed" in version.error
    assert version.advice


def test_a_split_without_training_rows_fails_and_says_why() -> None:
    project = make_project()
    task = make_task_with_text(project, "held out with seed 1")
    make_trajectory(project, task=task, status="accepted")
    version = next(v for v in (freeze(project, str(n), held_out=0.9, seed=n) for n in range(20)) if v.state != "done")
    assert "held-out side" in version.error


def test_a_frozen_version_and_its_rows_refuse_changes() -> None:
    project = make_project()
    make_pool(project, tasks=3, status="accepted")
    version = freeze(project, held_out=0)
    changes: list[dict[str, Any]] = [
        {"recipe": {}},
        {"content_hash": "0" * 64},
        {"train_sha256": ""},
        {"number": 9},
        {"state": "queued"},
    ]
    for change in changes:
        with pytest.raises((IntegrityError, InternalError), match="never changes"), transaction.atomic():
            DatasetVersion.objects.filter(pk=version.pk).update(**change)
    with pytest.raises((IntegrityError, InternalError), match="never changes"), transaction.atomic():
        version.rows.update(weight=2)
    assert locate_file(version.train_sha256).stat().st_mode & 0o222 == 0


def test_later_reviews_do_not_reach_a_frozen_version() -> None:
    project = make_project()
    make_pool(project, tasks=3, status="accepted")
    version = freeze(project, held_out=0)
    before = locate_file(version.train_sha256).read_bytes()
    Trajectory.objects.update(status="rejected")
    Task.objects.update(band=5)
    assert locate_file(version.train_sha256).read_bytes() == before
    assert set(version.rows.values_list("band", flat=True)) == {None}


def test_successes_go_first_where_a_task_has_a_cap() -> None:
    project = make_project()
    task = make_task_with_text(project, "capped")
    for success in (False, False, True):
        make_trajectory(project, task=task, success=success, status="accepted")
    version = freeze(project, held_out=0, most_per_task=1)
    assert version.left_out == {"more than 1 of one task": 2}
    assert list(version.rows.values_list("revision__trajectory__success", flat=True)) == [True]


def test_weights_by_band_have_mean_one() -> None:
    project = make_project()
    for band in (1, 1, 1, 5):
        make_trajectory(project, task=make_task_with_text(project, f"{band}", band=band), status="accepted")
    version = freeze(project, held_out=0, band_weights={"5": 5})
    weights = sorted((row["band"], row["weight"]) for row in read_rows(version, "train"))
    assert weights == [(1, 0.5), (1, 0.5), (1, 0.5), (5, 2.5)]
    assert sorted(version.rows.values_list("band", "weight")) == weights


def label_wrong(trajectory: Trajectory, revision: Revision, step: int) -> None:
    review = Review.objects.create(
        trajectory=trajectory, revision=revision, reviewer=make_user(), verdict="accept", submitted_at=timezone.now()
    )
    StepLabel.objects.create(review=review, step_id=step, label="wrong")


def test_a_step_labelled_wrong_is_not_trained_on() -> None:
    project = make_project()
    (trajectory,) = make_pool(project, tasks=1, status="accepted")
    label_wrong(trajectory, trajectory.revisions.get(), 3)
    (row,) = read_rows(freeze(project, held_out=0), "train")
    spoken = [message.get("trainable", True) for message in row["messages"] if message["role"] == "assistant"]
    assert spoken == [False, True]
    (row,) = read_rows(freeze(project, "all", held_out=0, skip_wrong_steps=False), "train")
    assert all(message.get("trainable", True) for message in row["messages"])


def test_what_a_reviewer_wrote_in_place_of_a_wrong_step_is_trained_on() -> None:
    project = make_project()
    (trajectory,) = make_pool(project, tasks=1, status="accepted")
    corrected = Revision.objects.create(
        trajectory=trajectory, number=1, document=make_document("look", "give", key=trajectory.task.key)
    )
    Trajectory.objects.filter(pk=trajectory.pk).update(head_number=1)
    label_wrong(trajectory, corrected, 3)
    label_wrong(trajectory, corrected, 4)
    (row,) = read_rows(freeze(project, held_out=0), "train")
    assert row["revision"] == corrected.pk
    spoken = [message.get("trainable", True) for message in row["messages"] if message["role"] == "assistant"]
    assert spoken == [False, True], "step 3 is as recorded, step 4 was written anew"


def test_confirmed_pairs_become_prompt_chosen_and_rejected() -> None:
    project = make_project()
    access = owner_access(project)
    for number in range(3):
        task = make_task_with_text(project, f"pair {number}")
        make_trajectory(project, "look", "take", task=task)
        make_trajectory(project, "look", "drop", task=task, success=False)
    propose_pairs(access)
    strong, weak, _ = PreferencePair.objects.order_by("pk")
    for pair, answer in ((strong, "left-much-better"), (weak, "left-slightly-better")):
        judge_pair(access, pair, PairAnswer(answer, pair.chosen_id, pair.rejected_id))
    version = freeze(project, kind="dpo", minimum_strength=2, held_out=0)
    (row,) = read_rows(version, "train")
    assert version.left_out == {"not judged yet": 1, "weaker than asked for": 1}
    assert (row["pair"], row["chosen_revision"], row["rejected_revision"]) == (
        strong.pk,
        strong.chosen_id,
        strong.rejected_id,
    )
    assert [message["role"] for message in row["prompt"]] == ["system", "user", "assistant", "tool"]
    assert "take" in row["chosen"][0]["content"]
    assert "drop" in row["rejected"][0]["content"]
    assert version.rows.get().pair == strong


def test_no_attempt_is_in_more_pairs_than_the_recipe_allows() -> None:
    project = make_project()
    access = owner_access(project)
    task = make_task_with_text(project, "many")
    make_trajectory(project, "look", "take", task=task)
    for number in range(3):
        make_trajectory(project, "look", f"drop {number}", task=task, success=False)
    propose_pairs(access)
    for pair in PreferencePair.objects.all():
        judge_pair(access, pair, PairAnswer("left-better", pair.chosen_id, pair.rejected_id))
    version = freeze(project, kind="dpo", most_per_episode=2, held_out=0)
    assert (version.rows.count(), version.left_out) == (2, {"more than 2 of one attempt": 1})


def test_only_a_curator_makes_and_freezes_datasets() -> None:
    project = make_project()
    access = make_member(project, Role.REVIEWER, Role.ENGINEER)
    with pytest.raises(PermissionDenied):
        create_dataset(access, name="data", recipe={"kind": "sft"})
    dataset = create_dataset(owner_access(project), name="data", recipe={"kind": "sft"})
    with pytest.raises(PermissionDenied):
        create_version(access, dataset)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 121])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="needs a name"):
        create_dataset(owner_access(make_project()), name=name, recipe={"kind": "sft"})


def test_a_name_that_is_taken_is_refused_and_so_is_a_second_freeze_at_the_same_time() -> None:
    access = owner_access(make_project())
    dataset = create_dataset(access, name="data", recipe={"kind": "sft"})
    with pytest.raises(ValueError, match="already"):
        create_dataset(access, name="data", recipe={"kind": "dpo"})
    create_version(access, dataset)
    with pytest.raises(ValueError, match="being frozen already"):
        create_version(access, dataset)


def test_documents_are_read_a_few_at_a_time(django_assert_max_num_queries: Any) -> None:
    project = make_project()
    make_pool(project, tasks=40, status="accepted")
    access = owner_access(project)
    version = create_version(access, create_dataset(access, name="d", recipe={"kind": "sft"}))
    with django_assert_max_num_queries(40):
        freeze_version(version.pk)


def test_a_row_of_every_kind_stands_at_the_front_for_readers_that_infer_types() -> None:
    project = make_project()
    pool = make_pool(project, tasks=6, status="accepted")
    label_wrong(pool[4], pool[4].revisions.get(), 3)
    Task.objects.filter(pk=pool[5].task_id).update(band=2)
    version = freeze(project, held_out=0)
    rows = read_rows(version, "train")
    expected = [pool[number].pk for number in (0, 4, 5, 1, 2, 3)]
    assert [row["trajectory"] for row in rows] == expected
    stored = version.rows.order_by("position").values_list("revision__trajectory_id", flat=True)
    assert list(stored) == expected
