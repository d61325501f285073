"""Attempts at many tasks, written as rows: no document is needed to count them."""

from __future__ import annotations

import itertools
from typing import Any

from curation.models import Project, Review, Revision, Task, Trajectory
from tests.factories import make_user

_numbers = itertools.count(1)


def add_attempts(task: Task, number: int, *, won: int = 0, model: str = "", **fields: Any) -> list[Trajectory]:
    """`number` attempts of a policy, of which `won` succeeded."""
    rows = [
        Trajectory(
            project_id=task.project_id,
            task=task,
            model=model,
            success=place < won,
            content_hash=f"attempt-{next(_numbers)}",
            **{
                "source": Trajectory.Source.SELF_EXPLORATION,
                "completion": Trajectory.Completion.COMPLETED,
                "step_count": 4,
                "tool_call_count": 2,
                "character_count": 400,
                **fields,
            },
        )
        for place in range(number)
    ]
    return Trajectory.objects.bulk_create(rows)


def add_tasks(project: Project, number: int, **fields: Any) -> list[Task]:
    return Task.objects.bulk_create(
        Task(project=project, key=f"task-{next(_numbers)}", fingerprint="f" * 64, instruction="Do it.", **fields)
        for _ in range(number)
    )


def add_grade(trajectory: Trajectory, grade: int) -> Review:
    """A submitted review, as a row: what follows from it is not recomputed."""
    revision, _ = Revision.objects.get_or_create(trajectory=trajectory, number=0, defaults={"document": {}})
    return Review.objects.create(
        trajectory=trajectory,
        revision=revision,
        reviewer=make_user(),
        verdict="accept",
        grade=grade,
        submitted_at=trajectory.created_at,
    )
