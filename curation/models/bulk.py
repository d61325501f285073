"""One action on many trajectories, as a job that can be undone."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from curation.models.access import Project
from curation.models.job import Job
from curation.models.trajectory import Trajectory


class BulkAction(Job):
    """An action on all trajectories that fitted a filter when it was started; `progress` counts trajectories."""

    class Action(models.TextChoices):
        ACCEPT = "accept", "Accept"
        REJECT = "reject", "Reject"
        TAG = "tag", "Add a tag"
        UNTAG = "untag", "Take a tag away"
        QUEUE = "queue", "Send to a queue"
        ASSIGN = "assign", "Assign to a reviewer, in a queue"

    project = models.ForeignKey(Project, models.CASCADE, related_name="bulk_actions")
    action = models.CharField(max_length=6, choices=Action.choices)
    conditions = models.JSONField(help_text="The filter, as name and value.")
    parameters = models.JSONField(
        default=dict, help_text='What the action needs: "tag", "queue", "assignee", "reason".'
    )
    newest = models.BigIntegerField(help_text="The newest trajectory when it was started: later ones stay out.")
    position = models.BigIntegerField(default=0, help_text="The last trajectory that was dealt with, or taken back.")
    changed = models.IntegerField(default=0)
    left_out = models.JSONField(default=dict, help_text="Why trajectories were left as they are: reason to number.")
    undone_at = models.DateTimeField(null=True, blank=True, help_text="Since when it is being, or is, taken back.")
    idempotency_key = models.CharField(max_length=200, blank=True, help_text="Of the request that asked for it.")

    class Meta:
        indexes = [models.Index(fields=["project", "-id"], name="bulk_action_by_project")]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="one_bulk_action_per_idempotency_key",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} {self.pk}"


class BulkChange(models.Model):
    """A trajectory that a bulk action really changed: what undoing it goes by, and takes away."""

    bulk = models.ForeignKey(BulkAction, models.CASCADE, related_name="changes")
    trajectory = models.ForeignKey(Trajectory, models.CASCADE, related_name="+")
    added_item = models.BooleanField(default=False, help_text="Whether it put the trajectory into the queue.")
    assignee_before = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", help_text="Whose the item was before."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["bulk", "trajectory"], name="one_change_per_trajectory")]

    def __str__(self) -> str:
        return f"{self.trajectory} by {self.bulk}"
