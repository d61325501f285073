"""Tasks that differ by their text, and the rows of frozen versions."""

from __future__ import annotations

import json
from typing import Any

from curation.formats.document import fingerprint_instruction
from curation.models import DatasetVersion, Project, Task, Trajectory
from curation.services.dataset_files import locate_file
from tests.factories import make_trajectory


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


def read_rows(version: DatasetVersion, split: str) -> list[dict[str, Any]]:
    sha256 = version.train_sha256 if split == "train" else version.eval_sha256
    return [json.loads(line) for line in locate_file(sha256).read_bytes().splitlines()]
