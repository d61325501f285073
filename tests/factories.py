"""A small cast for tests: a project, its people, and attempts at tasks, made through the product's own services."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from curation.filters import join_conditions
from curation.models import Project, Revision, Role, SavedFilter, Task, Trajectory, User
from curation.permissions import Access
from curation.services.projects import create_project, save_member
from curation.services.saved_filters import save_filter

_numbers = itertools.count(1)


def make_user(name: str = "") -> User:
    return User.objects.create_user(username=name or f"person-{next(_numbers)}", password="a long enough password")


def make_project(owner: User | None = None) -> Project:
    return create_project(owner or make_user(), name=f"Project {next(_numbers)}")


def owner_access(project: Project) -> Access:
    """The access of the project's maker, who holds every role."""
    user = User.objects.filter(memberships__project=project).earliest("pk")
    return Access(user=user, project=project, roles=frozenset(Role.values), address=None)


def make_member(project: Project, *roles: str) -> Access:
    """A new person with these roles in the project."""
    user = make_user()
    save_member(owner_access(project), username=user.username, roles=roles or [Role.REVIEWER])
    return Access(user=user, project=project, roles=frozenset(roles or [Role.REVIEWER]), address=None)


def make_document(
    *actions: str, key: str = "task-1", reward: float | None = 1.0, instruction: str = "Do the thing."
) -> dict[str, Any]:
    """A canonical document: a system and a user step, then one agent step with a tool call for each action."""
    steps: list[dict[str, Any]] = [
        {"step_id": 1, "source": "system", "message": [{"type": "text", "text": "You act."}], "actor": "environment"},
        {"step_id": 2, "source": "user", "message": [{"type": "text", "text": instruction}], "actor": "user"},
    ]
    for number, action in enumerate(actions or ("look", "take"), start=3):
        call = {"tool_call_id": f"{number}.1", "native_id": None, "function_name": "act"}
        steps.append(
            {
                "step_id": number,
                "source": "agent",
                "actor": "assistant",
                "trainable": True,
                "message": [{"type": "text", "text": f"I will {action}."}],
                "tool_calls": [call | {"arguments": {"action": action}, "arguments_raw": f'{{"action": "{action}"}}'}],
                "observation": {
                    "results": [
                        {"source_call_id": f"{number}.1", "content": [{"type": "text", "text": f"You {action}."}]}
                    ]
                },
            }
        )
    for step in steps:
        step.setdefault("trainable", False)
    tool = {"name": "act", "parameters": {"type": "object", "properties": {"action": {"type": "string"}}}}
    return {
        "schema_version": "ATIF-v1.8",
        "agent": {"name": "test", "version": "1", "tool_definitions": [{"type": "function", "function": tool}]},
        "steps": steps,
        "source": {"format": "whetstone", "version": None, "file_sha256": None, "record_index": 0},
        "task": {"id": key, "dataset": None, "fingerprint": "f" * 64, "instruction": instruction},
        "trial": {"index": next(_numbers), "seed": None, "group": None},
        "outcome": {
            "reward": reward,
            "success": None,
            "rewards": {},
            "status": "completed",
            "error": None,
            "scorer": None,
        },
    }


def make_task(project: Project, key: str = "", *, band: int | None = None) -> Task:
    key = key or f"task-{next(_numbers)}"
    return Task.objects.create(project=project, key=key, fingerprint="f" * 64, instruction="Do the thing.", band=band)


def make_trajectory(
    project: Project, *actions: str, task: Task | None = None, success: bool | None = True, status: str = "unreviewed"
) -> Trajectory:
    """A trajectory with its revision 0."""
    task = task or make_task(project)
    reward = None if success is None else float(success)
    document = make_document(*actions, key=task.key, reward=reward)
    trajectory = Trajectory.objects.create(
        project=project,
        task=task,
        source=Trajectory.Source.STRONG_MODEL,
        model="test",
        reward=reward,
        success=success,
        completion=Trajectory.Completion.COMPLETED,
        content_hash=f"{next(_numbers):064d}",
        step_count=len(document["steps"]),
        tool_call_count=len(document["steps"]) - 2,
        character_count=1000,
        status=status,
    )
    Revision.objects.create(trajectory=trajectory, number=0, document=document)
    return trajectory


def make_trajectories(project: Project, number: int, **fields: Any) -> Iterable[Trajectory]:
    return [make_trajectory(project, **fields) for _ in range(number)]


def keep_filter(access: Access, name: str, conditions: dict[str, str]) -> SavedFilter:
    return save_filter(access, name=name, conditions=conditions, rules=join_conditions(conditions))
