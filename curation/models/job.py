"""Background work: its database row is the truth, and a message to a worker only a hint to look at it."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class JobState(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    STOPPED = "stopped", "Stopped"


ACTIVE_STATES = (JobState.QUEUED, JobState.RUNNING)


class Job(models.Model):
    """What every kind of background work keeps: state, progress, heartbeat, and what went wrong in words.

    `claim` names the worker's current hold on the job: whoever claims a job whose heartbeat stopped writes a new one,
    so that a worker that was only slow finds out that it lost the job.
    """

    state = models.CharField(max_length=8, choices=JobState.choices, default=JobState.QUEUED)
    progress = models.BigIntegerField(default=0)
    progress_total = models.BigIntegerField(null=True, blank=True)
    stage = models.CharField(max_length=80, blank=True)
    error = models.TextField(blank=True)
    advice = models.TextField(blank=True)
    stop_requested = models.BooleanField(default=False)
    claim = models.UUIDField(null=True, blank=True, editable=False)
    claims = models.PositiveSmallIntegerField(default=0, editable=False)
    sends = models.PositiveSmallIntegerField(default=0, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        abstract = True

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_STATES

    @property
    def percent(self) -> int | None:
        """Progress in whole per cent, or None while the total is unknown."""
        return min(100, 100 * self.progress // self.progress_total) if self.progress_total else None
