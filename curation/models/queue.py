"""Queues of trajectories for reviewers, and the leases that keep two people from tripping over each other."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from curation.models.access import Project
from curation.models.pair import PreferencePair
from curation.models.trajectory import Revision, Trajectory


class Queue(models.Model):
    class Kind(models.TextChoices):
        SINGLE = "single", "Trajectories, one at a time"
        PAIRWISE = "pairwise", "Pairs, side by side"

    class Order(models.TextChoices):
        DEFICIT = "deficit", "The band that accepted trajectories lack most"
        OLDEST = "oldest", "Oldest first"
        RANDOM = "random", "Random"
        DISAGREEMENT = "disagreement", "Where reviewers disagree"
        UNCERTAINTY = "uncertainty", "Where a model judge, or else the score, is least sure"

    project = models.ForeignKey(Project, models.CASCADE, related_name="queues")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.SINGLE)
    conditions = models.JSONField(default=dict, help_text="The filter it was filled from, as name and value.")
    order = models.CharField(max_length=12, choices=Order.choices, default=Order.DEFICIT)
    seed = models.IntegerField(default=0, help_text="Of the random order: the same seed gives the same order.")
    reviews_wanted = models.SmallIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(9)])
    reviewers = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="+",
        help_text="Who may take from it; with none named, every reviewer of the project.",
    )
    blind = models.BooleanField(default=False, help_text="Hide model, outcome and others' reviews until submitted.")
    lease_minutes = models.SmallIntegerField(default=30, validators=[MinValueValidator(1), MaxValueValidator(480)])
    gold_percent = models.SmallIntegerField(
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(50)],
        help_text="Share of items whose answer is known, in per cent; they are served as if they were others.",
    )
    rubric = models.ForeignKey("Rubric", models.SET_NULL, null=True, related_name="+", help_text="The one in force.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="queue_name_once_per_project")]

    def __str__(self) -> str:
        return self.name


class Rubric(models.Model):
    """Guidelines and criteria of a queue. A version never changes: an answer says which one it was given under.

    `criteria` is a list of {"key", "name", "description", "levels": [{"value", "label"}, ...]}, lowest level first.
    """

    queue = models.ForeignKey(Queue, models.CASCADE, related_name="rubrics")
    number = models.IntegerField()
    guidelines = models.TextField(blank=True)
    criteria = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["queue", "number"], name="rubric_number_once_per_queue")]

    def __str__(self) -> str:
        return f"rubric {self.number} of queue {self.queue_id}"


IS_A_PAIR = "This item is a pair: it is judged, not reviewed."
OPEN = ~models.Q(free_slots=[])
ASSIGNED = OPEN & models.Q(assignee__isnull=False)
UNASSIGNED = OPEN & models.Q(assignee=None)


class QueueItem(models.Model):
    """A trajectory, or in a pairwise queue a pair, waiting to be reviewed; among equals by the queue's order, the
    smallest `rank` is served first.

    `free_slots` and `band` are kept by triggers (migration 0006): the slots that no reservation holds, the band of the
    task, 0 where it is unknown. An item is open as long as a slot is free. A gold item has no slots: its answer is
    known, and everybody gets it once.
    """

    queue = models.ForeignKey(Queue, models.CASCADE, related_name="items")
    trajectory = models.ForeignKey(Trajectory, models.CASCADE, null=True, related_name="queue_items")
    pair = models.ForeignKey(PreferencePair, models.CASCADE, null=True, related_name="queue_items")
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", help_text="Whose alone it is."
    )
    gold = models.BooleanField(default=False)
    gold_verdict = models.CharField(max_length=6, blank=True, help_text="Of a gold trajectory: accept or reject.")
    gold_grade = models.SmallIntegerField(null=True, help_text="Of a gold trajectory, where it counts too.")
    gold_winner = models.ForeignKey(Revision, models.CASCADE, null=True, related_name="+", help_text="Of a gold pair.")
    rank = models.FloatField(default=0)
    band = models.SmallIntegerField(default=0, editable=False)
    free_slots = ArrayField(models.SmallIntegerField(), default=list, editable=False)
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["queue", "trajectory"], name="trajectory_once_per_queue"),
            models.UniqueConstraint(fields=["queue", "pair"], name="pair_once_per_queue"),
            models.CheckConstraint(
                condition=models.Q(trajectory=None, pair__isnull=False) | models.Q(trajectory__isnull=False, pair=None),
                name="item_is_a_trajectory_or_a_pair",
            ),
        ]
        indexes = [
            models.Index(fields=["queue", "assignee", "rank", "id"], condition=ASSIGNED, name="open_item_by_assignee"),
            models.Index(fields=["queue", "id"], condition=models.Q(gold=True), name="gold_item"),
            models.Index(fields=["queue", "rank", "id"], name="queue_item_by_rank"),
            models.Index(fields=["queue", "rank", "id"], condition=UNASSIGNED, name="open_item_by_rank"),
            models.Index(fields=["queue", "band", "rank", "id"], condition=UNASSIGNED, name="open_item_by_band"),
        ]

    def __str__(self) -> str:
        return f"item {self.pk} of queue {self.queue_id}"

    def get_trajectory(self) -> Trajectory:
        """Raises ValueError where the item is a pair."""
        if self.trajectory is None:
            raise ValueError(IS_A_PAIR)
        return self.trajectory


class Reservation(models.Model):
    """A reviewer's hold on an item.

    Each item has as many slots as its queue wants reviews. A held or done reservation occupies one slot, and one
    reviewer at most one of them: both are unique in the database, so no page can hand out an item twice. On a gold
    item it has no slot.
    """

    class State(models.TextChoices):
        HELD = "held", "Held"
        DONE = "done", "Done"
        RELEASED = "released", "Released"
        SKIPPED = "skipped", "Skipped"
        DEFERRED = "deferred", "Put off"

    item = models.ForeignKey(QueueItem, models.CASCADE, related_name="reservations")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="reservations")
    slot = models.SmallIntegerField(null=True)
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
