"""Reading projects, members, tokens, and finding a thing by its id or name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet

from curation.models import ApiToken, Dataset, Membership, Queue, Task
from curation.permissions import Access
from curation.selectors.trajectories import list_trajectories


@dataclass(frozen=True)
class Hit:
    label: str
    detail: str
    url_name: str
    args: tuple[int, ...]


def list_projects(user: Any) -> QuerySet[Membership]:
    """A person's projects with `trajectory_count`, newest first."""
    mine = Membership.objects.filter(user=user).select_related("project")
    return mine.annotate(trajectory_count=Count("project__trajectories")).order_by("-project_id")


def list_members(access: Access) -> QuerySet[Membership]:
    return access.project.memberships.select_related("user").order_by("user__username")


def list_tokens(access: Access) -> QuerySet[ApiToken]:
    """The caller's own tokens; all of the project's for an owner."""
    tokens = access.project.tokens.filter(revoked_at=None).select_related("user").order_by("-id")
    return tokens if access.is_owner else tokens.filter(user=access.user)


def find_anything(access: Access, query: str, *, most: int = 12) -> list[Hit]:
    """Trajectories by id or task, tasks by the beginning of their key, queues and datasets by name."""
    if not query:
        return []
    hits: list[Hit] = []
    trajectories = list_trajectories(access)
    if query.isdecimal() and len(query) < 16:
        for trajectory in trajectories.filter(pk=int(query)):
            hits.append(
                Hit(f"Trajectory {trajectory.pk}", trajectory.task.key, "curation:trajectory-detail", (trajectory.pk,))
            )
    tasks = Task.objects.filter(project=access.project, key__istartswith=query).order_by("key")[:5]
    for trajectory in trajectories.filter(task__in=list(tasks)).order_by("task__key", "id")[:most]:
        detail = f"Trajectory {trajectory.pk} · {trajectory.model}"
        hits.append(Hit(trajectory.task.key, detail, "curation:trajectory-detail", (trajectory.pk,)))
    for queue in Queue.objects.filter(project=access.project, name__icontains=query)[:3]:
        hits.append(Hit(queue.name, "Queue", "curation:queue-detail", (queue.pk,)))
    for dataset in Dataset.objects.filter(project=access.project, name__icontains=query)[:3]:
        hits.append(Hit(dataset.name, "Dataset", "curation:dataset-detail", (dataset.pk,)))
    return hits[:most]
