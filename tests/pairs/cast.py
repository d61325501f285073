"""What the tests of pairs are played by."""

from __future__ import annotations

from typing import Any

from django.test import Client

from curation.models import PreferencePair, Project, Queue, Reservation, Revision, Task, Trajectory
from curation.permissions import Access
from curation.services.pair_proposals import propose_pairs
from curation.services.pairs import PairAnswer, choose_sides
from curation.services.queues import create_queue, take_next
from tests.factories import make_document, make_task, make_trajectory, owner_access


def sign_in(access: Access) -> Client:
    client = Client()
    client.force_login(access.user)
    return client


def make_pairs(project: Project, number: int = 1) -> list[PreferencePair]:
    """Proposed pairs, each of a task of its own; the success does "take", the failure "drop"."""
    for order in range(number):
        task = make_task(project)
        make_trajectory(project, "look", f"take {order}", task=task)
        make_trajectory(project, "look", f"drop {order}", task=task, success=False)
    propose_pairs(owner_access(project))
    return list(PreferencePair.objects.filter(project=project).order_by("pk"))


def make_attempt(task: Task, *actions: str, document: dict[str, Any] | None = None, **fields: Any) -> Trajectory:
    """An attempt with these fields of Trajectory; `document` goes over what its recorded document holds."""
    success = fields.pop("success", None)
    attempt = make_trajectory(task.project, *actions, task=task, success=success)
    if document:
        recorded = attempt.revisions.get()
        Revision.objects.filter(pk=recorded.pk).delete()
        Revision.objects.create(trajectory=attempt, number=0, document=recorded.document | document)
    Trajectory.objects.filter(pk=attempt.pk).update(**fields)
    attempt.refresh_from_db()
    return attempt


def correct(trajectory: Trajectory, *actions: str) -> Revision:
    """A correction: the next revision."""
    number = trajectory.head_number + 1
    document = make_document(*actions, key=trajectory.task.key)
    revision = Revision.objects.create(trajectory=trajectory, number=number, document=document)
    Trajectory.objects.filter(pk=trajectory.pk).update(head_number=number)
    trajectory.refresh_from_db()
    return revision


def answer_for(
    access: Access, pair: PreferencePair, *, winner: int | None, strength: str = "better", **fields: Any
) -> PairAnswer:
    """The answer of somebody who prefers a revision, with the sides as they see them; None: about equal."""
    sides = choose_sides(access, pair)
    side = {sides.left_id: "left", sides.right_id: "right"}.get(winner or 0)
    answer = f"{side}-{strength}" if side else "tie"
    return PairAnswer(answer, sides.left_id, sides.right_id, **fields)


def make_queue(project: Project, **settings: Any) -> Queue:
    """A queue of all pairs of the project."""
    pairs = PreferencePair.objects.filter(project=project)
    return create_queue(owner_access(project), name="Pairs", pairs=pairs, **settings)


def take(access: Access, queue: Queue) -> Reservation:
    reservation = take_next(access, queue)
    assert reservation is not None
    return reservation
