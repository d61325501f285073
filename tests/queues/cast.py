"""Answers in queues, made quickly: what a page or a statistic is tested on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from curation.models import (
    Judgement,
    PreferencePair,
    Project,
    Queue,
    QueueItem,
    Reservation,
    Review,
    Rubric,
    StepLabel,
    Trajectory,
)
from curation.permissions import Access
from curation.services.decisions import settle_trajectories
from curation.services.queues import create_queue
from tests.factories import make_project, make_task, make_trajectories, make_trajectory, owner_access

LEVELS = [{"value": value, "label": label} for value, label in ((1, "none"), (2, "some"), (3, "most"), (4, "all"))]


def make_queue(number: int = 3, *, wanted: int = 2, name: str = "Queue", **fields: Any) -> Queue:
    """A queue of new trajectories in a new project; `fields` are set on its row."""
    project = make_project()
    make_trajectories(project, number)
    chosen = Trajectory.objects.filter(project=project)
    queue = create_queue(owner_access(project), name=name, trajectories=chosen, reviews_wanted=wanted)
    if fields:
        Queue.objects.filter(pk=queue.pk).update(**fields)
        queue.refresh_from_db()
    return queue


def make_rubric(queue: Queue, *keys: str, levels: list[dict[str, Any]] | None = None) -> Rubric:
    """The next version of a queue's rubric, with these criteria."""
    criteria = [{"key": key, "name": key.capitalize(), "description": "", "levels": levels or LEVELS} for key in keys]
    return Rubric.objects.create(queue=queue, number=queue.rubrics.count() + 1, criteria=criteria)


def give_review(
    item: QueueItem, person: Access, verdict: str = "accept", grade: int | None = None, **fields: Any
) -> Review:
    """A submitted review of an item and the reservation that belongs to it. `days_ago` and `first_error` are extra."""
    days_ago, first_error = fields.pop("days_ago", 0), fields.pop("first_error", None)
    item.refresh_from_db()
    slot = item.free_slots[0] if item.free_slots else None
    now = timezone.now()
    Reservation.objects.create(item=item, reviewer=person.user, slot=slot, state="done", expires_at=now)
    trajectory = item.get_trajectory()
    review = Review.objects.create(
        trajectory=trajectory,
        revision=fields.pop("revision", None) or trajectory.revisions.latest("number"),
        item=item,
        reviewer=person.user,
        verdict=verdict,
        grade=grade,
        submitted_at=now - timedelta(days=days_ago),
        **fields,
    )
    if first_error:
        StepLabel.objects.create(review=review, step_id=first_error, label="wrong", first_error=True)
    settle_trajectories(person.project, [trajectory.pk])
    return review


def make_pair(project: Project) -> PreferencePair:
    task = make_task(project, band=3)
    won, lost = (make_trajectory(project, task=task, success=success) for success in (True, False))
    return PreferencePair.objects.create(
        project=project,
        task=task,
        chosen=won.revisions.get(),
        rejected=lost.revisions.get(),
        shared_steps=2,
        origin="outcome",
    )


def make_pair_queue(number: int = 3) -> Queue:
    project = make_project()
    queue = Queue.objects.create(project=project, name="Pairs", kind="pairwise", reviews_wanted=2)
    for _ in range(number):
        QueueItem.objects.create(queue=queue, pair=make_pair(project))
    return queue


def give_judgement(item: QueueItem, person: Access, answer: str, *, swapped: bool = False, **fields: Any) -> Judgement:
    """A judgement of a pair with its older revision on the left, unless it is swapped."""
    pair = item.pair
    assert pair is not None
    left, right = sorted([pair.chosen_id, pair.rejected_id], reverse=swapped)
    return Judgement.objects.create(
        pair=pair, item=item, reviewer=person.user, left_id=left, right_id=right, answer=answer, **fields
    )


def sign_in(access: Access) -> Client:
    client = Client()
    client.force_login(access.user)
    return client


def address(name: str, queue: Queue, *args: int, rest: bool = False) -> str:
    return reverse(name if rest else f"curation:{name}", args=[queue.project.slug, queue.pk, *args])
