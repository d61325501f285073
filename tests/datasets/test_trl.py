"""What is exported loads with `datasets`, and TRL's own trainers take it as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from curation.models import DatasetVersion, Project, Review, StepLabel, Trajectory
from curation.services.dataset_files import locate_file
from curation.services.datasets import create_dataset, create_version, freeze_version
from tests.datasets.cast import judge_all_pairs, make_task_with_text
from tests.factories import make_project, make_trajectory, make_user, owner_access

pytestmark = pytest.mark.django_db
SCRIPT = Path(__file__).with_name("trl_program.py")


@pytest.fixture
def project(settings: Any, tmp_path: Path) -> Project:
    settings.HOME = tmp_path
    project = make_project()
    for number in range(4):
        task = make_task_with_text(project, f"number {number}")
        make_trajectory(project, "look", f"take {number}", task=task, status="accepted")
        make_trajectory(project, "look", "drop", task=task, success=False)
    return project


def freeze(project: Project, **recipe: Any) -> DatasetVersion:
    access = owner_access(project)
    version = create_version(access, create_dataset(access, name=recipe["kind"], recipe=recipe | {"held_out": 0}))
    freeze_version(version.pk)
    version.refresh_from_db()
    assert version.state == "done", version.error
    return version


def label_wrong(trajectory: Trajectory, step: int) -> None:
    review = Review.objects.create(
        trajectory=trajectory,
        revision=trajectory.revisions.get(),
        reviewer=make_user(),
        verdict="accept",
        submitted_at=trajectory.created_at,
    )
    StepLabel.objects.create(review=review, step_id=step, label="wrong")


def train(method: str, version: DatasetVersion, folder: Path) -> str:
    """Run the program in a process of its own: torch stays out of this one."""
    finished = subprocess.run(
        [sys.executable, str(SCRIPT), method, str(locate_file(version.train_sha256)), str(folder)],
        env=os.environ
        | {
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(folder / "hub"),
            "CUDA_VISIBLE_DEVICES": "",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout


def test_the_sft_trainer_takes_the_export(project: Project, tmp_path: Path) -> None:
    label_wrong(project.trajectories.filter(status="accepted").latest("pk"), 3)  # one row alone has `trainable`
    told = train("sft", freeze(project, kind="sft"), tmp_path)
    assert "rows 4" in told
    assert 'arguments {"action": "look"}' in told
    assert "steps 2" in told


def test_kinds_of_messages_that_come_late_do_not_break_loading(project: Project, tmp_path: Path) -> None:
    for number in range(40):
        task = make_task_with_text(project, f"filler {number}")
        make_trajectory(project, "look", "take " * 80, task=task, status="accepted")
    last = make_trajectory(
        project, "look", "take", task=make_task_with_text(project, "last", band=5), status="accepted"
    )
    label_wrong(last, 3)
    told = train("load", freeze(project, kind="sft"), tmp_path)
    assert "rows 45 bands [0, 5]" in told


@pytest.mark.parametrize("kind", ["dpo", "reward"])
def test_trainers_of_preferences_take_the_export(project: Project, tmp_path: Path, kind: str) -> None:
    judge_all_pairs(project)
    told = train(kind, freeze(project, kind=kind), tmp_path)
    assert "rows 4" in told
    assert "steps 2" in told


def test_the_sft_trainer_takes_turns_as_prompt_and_completion(project: Project, tmp_path: Path) -> None:
    told = train("prompt-completion", freeze(project, kind="prompt-completion"), tmp_path)
    assert "rows 8" in told
    assert "steps 2" in told


def test_the_kto_trainer_takes_the_export(project: Project, tmp_path: Path) -> None:
    project.trajectories.filter(success=False).update(status="rejected")
    told = train("kto", freeze(project, kind="kto"), tmp_path)
    assert "rows 8" in told
    assert "steps 2" in told
