"""Tasks that differ by their text, and the rows of frozen versions."""

from __future__ import annotations

import json
from typing import Any

from curation.formats.document import fingerprint_instruction
from curation.models import Dataset, DatasetVersion, PreferencePair, Project, Task, Trajectory
from curation.services.dataset_files import locate_file
from curation.services.datasets import create_dataset, create_version, freeze_version
from curation.services.pair_proposals import propose_pairs
from curation.services.pairs import PairAnswer, judge_pair
from tests.factories import make_trajectory, owner_access


def make_task_with_text(project: Project, text: str, *, key: str = "", band: int | None = None) -> Task:
    existing = Task.objects.filter(project=project).count()
    return Task.objects.create(
        project=project,
        key=key or f"task {existing}",
        fingerprint=fingerprint_instruction(text),
        instruction=text,
        band=band,
    )


def make_pool(
    project: Project, *, tasks: int, attempts: int = 1, status: str = "unreviewed", success: bool = True
) -> list[Trajectory]:
    """Attempts at tasks of their own."""
    made = []
    for number in range(tasks):
        task = make_task_with_text(project, f"{status} task number {number}")
        made += [make_trajectory(project, task=task, status=status, success=success) for _ in range(attempts)]
    return made


def freeze(project: Project, name: str = "data", **recipe: Any) -> DatasetVersion:
    """The next version of the dataset of this name, made with the recipe (SFT unless it says) where there is none."""
    access = owner_access(project)
    dataset = Dataset.objects.filter(project=project, name=name).first()
    dataset = dataset or create_dataset(access, name=name, recipe={"kind": "sft"} | recipe)
    version = create_version(access, dataset)
    freeze_version(version.pk)
    return DatasetVersion.objects.select_related("dataset__project").get(pk=version.pk)


def judge_all_pairs(project: Project) -> None:
    """Propose pairs from outcomes, and find the chosen side the better one."""
    access = owner_access(project)
    propose_pairs(access)
    for pair in PreferencePair.objects.filter(project=project):
        judge_pair(access, pair, PairAnswer("left-better", pair.chosen_id, pair.rejected_id))


def read_rows(version: DatasetVersion, split: str) -> list[dict[str, Any]]:
    sha256 = version.train_sha256 if split == "train" else version.eval_sha256
    return [json.loads(line) for line in locate_file(sha256).read_bytes().splitlines()]
