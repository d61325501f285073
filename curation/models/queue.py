"""Queues of trajectories for reviewers, and the leases that keep two people from tripping over each other."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from curation.models.access import Project
from curation.models.trajectory import Trajectory


class Queue(models.Model):
    class Order(models.TextChoices):
        DEFICIT = "deficit", "The band that accepted trajectories lack most"
        OLDEST = "oldest", "Oldest first"
        RANDOM = "random", "Random"

    project = models.ForeignKey(Project, models.CASCADE, related_name="queues")
    name = models.CharField(max_length=120)
    order = models.CharField(max_length=8, choices=Order.choices, default=Order.DEFICIT)
    reviews_wanted = models.SmallIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(9)])
    blind = models.BooleanField(default=False, help_text="Hide model, outcome and others' reviews until submitted.")
    lease_minutes = models.SmallIntegerField(default=30, validators=[MinValueValidator(1), MaxValueValidator(480)])
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="queue_name_once_per_project")]

    def __str__(self) -> str:
        return self.name


OPEN = ~models.Q(free_slots=[])


class QueueItem(models.Model):
    """A trajectory waiting in a queue; among equals by the queue's order, the smallest `rank` is served first.

    `free_slots` and `band` are kept by triggers (migration 0004): the slots that no reservation holds, the band of the
    trajectory's task, 0 where it is unknown. An item is open as long as a slot is free.
    """

    queue = models.ForeignKey(Queue, models.CASCADE, related_name="items")
    trajectory = models.ForeignKey(Trajectory, models.CASCADE, related_name="queue_items")
    rank = models.FloatField(default=0)
    band = models.SmallIntegerField(default=0, editable=False)
    free_slots = ArrayField(models.SmallIntegerField(), default=list, editable=False)
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["queue", "trajectory"], name="trajectory_once_per_queue"),
        ]
        indexes = [
            models.Index(fields=["queue", "rank", "id"], name="queue_item_by_rank"),
            models.Index(fields=["queue", "rank", "id"], condition=OPEN, name="open_item_by_rank"),
            models.Index(fields=["queue", "band", "rank", "id"], condition=OPEN, name="open_item_by_band"),
        ]

    def __str__(self) -> str:
        return f"item {self.pk} of queue {self.queue_id}"


class Reservation(models.Model):
    """A reviewer's hold on an item.

    Each item has as many slots as its queue wants reviews. A held or done reservation occupies one slot, and one
    reviewer at most one of them: both are unique in the database, so no page can hand out an item twice.
    """

    class State(models.TextChoices):
        HELD = "held", "Held"
        DONE = "done", "Done"
        RELEASED = "released", "Released"
        SKIPPED = "skipped", "Skipped"
        DEFERRED = "deferred", "Put off"

    item = models.ForeignKey(QueueItem, models.CASCADE, related_name="reservations")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="reservations")
    slot = models.SmallIntegerField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.HELD)
    taken_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "slot"], condition=models.Q(state__in=["held", "done"]), name="one_reviewer_per_slot"
            ),
            models.UniqueConstraint(
                fields=["item", "reviewer"],
                condition=models.Q(state__in=["held", "done", "skipped"]),
                name="not_twice_the_same_reviewer",
            ),
        ]
        indexes = [
            models.Index(fields=["reviewer", "state"], name="reservation_by_reviewer"),
            models.Index(fields=["expires_at"], condition=models.Q(state="held"), name="held_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.reviewer} on {self.item}: {self.state}"
