"""Bulk actions for tests: started as a page would, run as a worker would."""

from __future__ import annotations

from typing import Any

from curation.filters import choose_trajectories
from curation.models import BulkAction, Queue, Review, Role, Trajectory, User
from curation.permissions import Access
from curation.selectors.bulk import BulkOrder, Preview, preview_bulk_action
from curation.services.bulk import create_bulk_action, undo_bulk_action
from curation.services.bulk_runs import run_bulk_action
from curation.services.projects import save_member
from curation.services.queues import create_queue
from tests.factories import make_member, owner_access


def start(access: Access, action: str, conditions: dict[str, str] | None = None, **fields: Any) -> BulkAction:
    key = fields.pop("idempotency_key", "")
    chosen = choose_trajectories(access.project, conditions or {})
    order = BulkOrder(action=action, **fields)
    return create_bulk_action(access, order, conditions=conditions or {}, chosen=chosen, idempotency_key=key)


def work(job: BulkAction) -> BulkAction:
    """What a worker does with it."""
    run_bulk_action(job.pk, choose_trajectories)
    job.refresh_from_db()
    return job


def do(access: Access, action: str, conditions: dict[str, str] | None = None, **fields: Any) -> BulkAction:
    return work(start(access, action, conditions, **fields))


def undo(access: Access, job: BulkAction) -> BulkAction:
    undo_bulk_action(access, job)
    return work(job)


def look(access: Access, action: str, conditions: dict[str, str] | None = None, **fields: Any) -> Preview:
    return preview_bulk_action(
        choose_trajectories(access.project, conditions or {}), BulkOrder(action=action, **fields)
    )


def say(trajectory: Trajectory, verdict: str, *, grade: int | None = None) -> Review:
    """A review outside of any queue."""
    return Review.objects.create(
        trajectory=trajectory,
        revision=trajectory.revisions.get(number=0),
        reviewer=make_member(trajectory.project).user,
        verdict=verdict,
        grade=grade,
        submitted_at="2026-01-01T00:00:00Z",
    )


def make_queue(access: Access, *trajectories: Trajectory, **fields: Any) -> Queue:
    """A queue that holds these alone."""
    chosen = Trajectory.objects.filter(pk__in=[trajectory.pk for trajectory in trajectories])
    return create_queue(access, name=f"queue of {access.project.queues.count()}", trajectories=chosen, **fields)


def access_as_reviewer(access: Access, user: User) -> Access:
    """The access of somebody who is made a reviewer of the project."""
    save_member(owner_access(access.project), username=user.username, roles=[Role.REVIEWER])
    return Access(user=user, project=access.project, roles=frozenset([Role.REVIEWER]), address=None)


def statuses(access: Access) -> list[str]:
    """By id."""
    return list(access.project.trajectories.order_by("pk").values_list("status", flat=True))


def tags(access: Access) -> list[list[str]]:
    """By id."""
    return list(access.project.trajectories.order_by("pk").values_list("tags", flat=True))
