"""Reading trajectories: lists never touch a document; a page of steps is cut out of it inside the database."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from curation.models import Decision, Review, Revision, Trajectory
from curation.permissions import Access, leave_out_blind

ORDERS = {"-id": "Newest first", "id": "Oldest first", "-step_count": "Most steps", "step_count": "Fewest steps"}
STEPS_AT_ONCE = 40


def list_trajectories(access: Access) -> QuerySet[Trajectory]:
    """The project's trajectories with their tasks, without any document, and without what the caller may still be
    given to review blind."""
    return leave_out_blind(access, Trajectory.objects.filter(project=access.project).select_related("task"))


def list_models(access: Access) -> list[str]:
    """The names of the models that made the project's trajectories."""
    models = Trajectory.objects.filter(project=access.project).exclude(model="")
    return list(models.order_by("model").values_list("model", flat=True).distinct()[:200])


def read_steps(revision: Revision, *, first: int = 1, number: int = STEPS_AT_ONCE) -> list[dict[str, Any]]:
    """Steps `first` to `first + number - 1` of a revision, in their plain form."""
    path = f"$.steps[{max(first, 1) - 1} to {max(first, 1) + number - 2}]"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT jsonb_path_query_array(document, %s) FROM curation_revision WHERE id = %s", [path, revision.pk]
        )
        steps: list[dict[str, Any]] = _as_json(cursor.fetchone())
    return steps


def list_revisions(trajectory: Trajectory) -> QuerySet[Revision]:
    """A trajectory's revisions, newest first, without their documents."""
    return trajectory.revisions.defer("document").select_related("author").order_by("-number")


def list_reviews(access: Access, trajectory: Trajectory) -> QuerySet[Review]:
    """Submitted reviews, newest first, with their labels.

    Those given in a blind queue are left out for reviewers who have not answered the same item themselves; those given
    to a gold item, for all but curators and who wrote them: more than an item wants would give it away.
    """
    submitted = trajectory.reviews.exclude(submitted_at=None).select_related(
        "reviewer", "item__queue", "revision", "rubric"
    )
    if not access.is_curator:
        answered = Review.objects.filter(reviewer=access.user, item=OuterRef("item")).exclude(submitted_at=None)
        submitted = submitted.filter(~Q(item__queue__blind=True) | Exists(answered))
        submitted = submitted.exclude(~Q(reviewer=access.user), item__gold=True)
    return submitted.defer("revision__document").prefetch_related("step_labels").order_by("-submitted_at")


def find_decision(trajectory: Trajectory) -> Decision | None:
    """What a curator decided of it, where that stands."""
    return trajectory.decisions.filter(withdrawn_at=None).select_related("decided_by").order_by("-pk").first()


def list_attempts(access: Access, trajectory: Trajectory) -> QuerySet[Trajectory]:
    """All attempts at the same task that the caller may know of."""
    return list_trajectories(access).filter(task_id=trajectory.task_id).order_by("id")


def _as_json(row: Any) -> Any:
    """Django leaves JSON of raw SQL as text."""
    return json.loads(row[0]) if isinstance(row[0], str) else row[0]
