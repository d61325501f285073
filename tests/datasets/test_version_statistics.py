"""What a frozen version says of itself: its hash, what was counted, and what was left out."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, InternalError, transaction
from django.utils import timezone

from curation.models import DatasetVersion, Project, Review, StepLabel, Task, Trajectory
from curation.selectors.difficulty import measure_difficulty
from curation.selectors.version_statistics import read_statistics
from tests.datasets.cast import freeze, make_pool, make_task_with_text
from tests.factories import make_project, make_trajectory, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Any) -> None:
    settings.HOME = tmp_path


def fill(project: Project, numbers: list[int]) -> None:
    for number in numbers:
        task = make_task_with_text(project, f"number {number}", key=f"task {number}", band=1 + number % 5)
        make_trajectory(project, "look", f"take {number}", task=task, status="accepted")


@pytest.mark.parametrize("kind", ["sft", "prompt-completion"])
def test_the_hash_is_the_same_whatever_the_order_in_which_the_data_came(kind: str) -> None:
    hashes, files = set(), set()
    for numbers in ([1, 2, 3, 4, 5, 6], [6, 3, 1, 5, 2, 4]):
        project = make_project()
        fill(project, numbers)
        version = freeze(project, kind=kind, band_weights={"5": 3}, held_out=0.3)
        hashes.add(version.content_hash)
        files.add(version.train_sha256)
    assert len(hashes) == 1
    assert len(files) == 2, "the files name the rows of each database"


def test_the_hash_changes_with_a_difficulty_a_text_or_the_recipe() -> None:
    project = make_project()
    fill(project, [1, 2, 3])
    first = freeze(project, held_out=0).content_hash
    Task.objects.filter(key="task 1").update(band=5)
    second = freeze(project).content_hash
    fill(project, [4])
    third = freeze(project).content_hash
    other = freeze(project, "other", held_out=0, seed=1).content_hash
    assert len({first, second, third, other}) == 4


def test_statistics_count_what_is_in_the_rows() -> None:
    project = make_project()
    fill(project, list(range(10)))
    version = freeze(project, held_out=0, band_weights={"5": 2})
    statistics = read_statistics(version)
    assert statistics is not None
    preview = statistics.preview
    assert (preview.train.rows, preview.train.tasks, preview.held_out.rows) == (10, 10, 0)
    characters = sum(version.rows.values_list("characters", flat=True))
    assert preview.train.tokens == characters / 4
    assert {line.band: line.rows for line in preview.bands} == dict.fromkeys(range(1, 6), 2)
    assert preview.after.bias is not None
    assert [stage.stage for stage in preview.stages] == ["collected", "human", "dataset"]
    assert preview.stages[-1].bands[5] == sum(row.characters * row.weight / 4 for row in version.rows.filter(band=5))
    assert {one.action for one in statistics.actions} == {"act: look", *(f"act: take {number}" for number in range(10))}
    assert (statistics.same, statistics.same_across) == (0, 0)
    assert version.software.startswith("Whetstone ")


def test_the_waterfall_is_stored_as_stages_with_bands_and_losses() -> None:
    project = make_project()
    fill(project, [1, 2])
    make_pool(project, tasks=1, status="rejected")
    stages = freeze(project, held_out=0).statistics["preview"]["stages"]
    assert [set(stage) >= {"stage", "label", "bands", "lost"} for stage in stages] == [True] * len(stages)
    assert stages[1]["lost"]["unknown"] > 0


def test_the_difficulty_of_the_project_shows_the_stages_of_a_version_that_was_frozen() -> None:
    project = make_project()
    fill(project, [1, 2])
    version = freeze(project, held_out=0)
    statistics = read_statistics(version)
    assert statistics is not None
    stages = measure_difficulty(project).find(f"dataset-{version.dataset_id}").stages
    assert [stage.stage for stage in stages] == ["collected", "human", "dataset"]
    assert stages == tuple(statistics.preview.stages)


def test_rows_with_the_same_content_are_told_of() -> None:
    project = make_project()
    task = make_task_with_text(project, "the one")
    for _ in range(3):
        make_trajectory(project, task=task, status="accepted")
    version = freeze(project, held_out=0)
    assert version.statistics["same"] == 2
    assert len(set(version.rows.values_list("content_sha256", flat=True))) == 1


def test_what_fitted_the_filter_is_kept_with_the_reason_and_the_rest_is_counted() -> None:
    project = make_project()
    task = make_task_with_text(project, "capped", band=2)
    made = [make_trajectory(project, task=task, status="accepted") for _ in range(3)]
    make_pool(project, tasks=2, status="rejected")
    (spoiled,) = make_pool(project, tasks=1, status="accepted")
    review = Review.objects.create(
        trajectory=spoiled,
        revision=spoiled.revisions.get(),
        reviewer=make_user(),
        verdict="accept",
        submitted_at=timezone.now(),
    )
    for step in (3, 4):
        StepLabel.objects.create(review=review, step_id=step, label="wrong")
    version = freeze(project, held_out=0, most_per_task=1)
    kept = version.rows.get().revision
    assert kept is not None
    left = set(version.left_out_rows.values_list("trajectory", "band", "reason"))
    expected = {(one.pk, 2, "more than 1 of one task") for one in made if one.pk != kept.trajectory_id}
    assert left == expected | {(spoiled.pk, None, "no turn of the agent left to train on")}
    assert version.left_out == {
        "more than 1 of one task": 2,
        "no turn of the agent left to train on": 1,
        "review status: rejected": 2,
    }


def test_what_was_counted_of_a_version_frozen_earlier_is_nothing() -> None:
    assert read_statistics(DatasetVersion()) is None


def test_every_kind_of_a_row_is_frozen_for_good() -> None:
    project = make_project()
    fill(project, [1])
    version = freeze(project, held_out=0)
    for change in ({"weight": 2}, {"content_sha256": ""}, {"band": 3}):
        with pytest.raises((IntegrityError, InternalError), match="never changes"), transaction.atomic():
            version.rows.update(**change)
    assert Trajectory.objects.filter(project=project).count() == 1
