"""Tasks, the attempts at them, and the revisions of each attempt's content."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models

from curation.models.access import Project
from curation.models.imports import Import


class Task(models.Model):
    """The problem an agent attempted.

    `attempts`, `successes`, `human_grade` and `band` are written by curation.services.difficulty alone, always
    recomputed whole for the tasks concerned, so that lists can filter by band without reading every attempt.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="tasks")
    key = models.CharField(max_length=200)
    dataset = models.CharField(max_length=120, blank=True)
    fingerprint = models.CharField(max_length=64)
    instruction = models.TextField(blank=True)
    attempts = models.IntegerField(default=0, help_text="Attempts that were not cut short by a crash.")
    successes = models.IntegerField(default=0)
    human_grade = models.FloatField(null=True, blank=True)
    band = models.SmallIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "key", "fingerprint"], name="task_by_key_and_text"),
            models.CheckConstraint(condition=models.Q(band__range=(1, 5)) | models.Q(band=None), name="band_1_to_5"),
        ]
        indexes = [models.Index(fields=["project", "band"], name="task_by_band")]

    def __str__(self) -> str:
        return self.key


class Trajectory(models.Model):
    """One attempt at a task: narrow, indexed, what lists and filters need. Its content is in its revisions."""

    class Source(models.TextChoices):
        EXPERT = "expert", "Expert"
        STRONG_MODEL = "strong-model", "Strong model"
        SELF_EXPLORATION = "self-exploration", "Self-exploration"
        MULTI_AGENT = "multi-agent", "Multi-agent"
        HUMAN = "human", "Human"
        INSTRUCTION = "instruction", "General instruction data"

    class Completion(models.TextChoices):
        COMPLETED = "completed", "Completed"
        TRUNCATED = "truncated", "Out of steps"
        CRASHED = "crashed", "Crashed"
        UNKNOWN = "unknown", "Unknown"

    class Status(models.TextChoices):
        UNREVIEWED = "unreviewed", "Unreviewed"
        ACCEPTED = "accepted", "Accepted"
        REJECTED = "rejected", "Rejected"
        UNSURE = "unsure", "Unsure"
        DISPUTED = "disputed", "Disputed"

    project = models.ForeignKey(Project, models.CASCADE, related_name="trajectories")
    task = models.ForeignKey(Task, models.CASCADE, related_name="trajectories")
    origin = models.ForeignKey(Import, models.SET_NULL, null=True, related_name="trajectories")
    source = models.CharField(max_length=20, choices=Source.choices)
    model = models.CharField(max_length=120, blank=True)
    trial = models.IntegerField(null=True, blank=True)
    reward = models.FloatField(null=True, blank=True)
    success = models.BooleanField(null=True, blank=True)
    completion = models.CharField(max_length=10, choices=Completion.choices)
    content_hash = models.CharField(max_length=64)
    step_count = models.IntegerField()
    tool_call_count = models.IntegerField()
    character_count = models.BigIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.UNREVIEWED)
    head_number = models.IntegerField(default=0, help_text="Number of the newest revision.")
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "content_hash"], name="trajectory_once_per_project")]
        indexes = [
            models.Index(fields=["project", "-id"], name="trajectory_by_project"),
            models.Index(fields=["project", "status", "-id"], name="trajectory_by_status"),
            models.Index(fields=["project", "model", "-id"], name="trajectory_by_model"),
            models.Index(fields=["task", "id"], name="trajectory_by_task"),
            GinIndex(fields=["tags"], name="trajectory_by_tag"),
        ]

    def __str__(self) -> str:
        return f"trajectory {self.pk}"


class Revision(models.Model):
    """The content of a trajectory: number 0 as imported, each correction the next. The database refuses changes."""

    trajectory = models.ForeignKey(Trajectory, models.CASCADE, related_name="revisions")
    number = models.IntegerField()
    document = models.JSONField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="revisions")
    reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["trajectory", "number"], name="revision_number_once")]

    def __str__(self) -> str:
        return f"revision {self.number} of trajectory {self.trajectory_id}"
