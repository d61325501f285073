"""Filters: named and versioned rules, their runs, and what each run said of each trajectory."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from curation.models.access import Project
from curation.models.job import Job
from curation.models.trajectory import Trajectory


class SavedFilter(models.Model):
    """Rules under a name. Its rules are those of its newest version."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="saved_filters")
    name = models.CharField(max_length=120)
    conditions = models.JSONField(help_text="As in the address of the list: name and value.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="filter_name_once_per_project")]

    def __str__(self) -> str:
        return self.name


class FilterVersion(models.Model):
    """The rules of a filter as they were from one change to the next. The database refuses changes."""

    filter = models.ForeignKey(SavedFilter, models.CASCADE, related_name="versions")
    number = models.IntegerField()
    rules = models.JSONField(help_text="A curation.rules.Rule: rules joined by all, any and not.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["filter", "number"], name="filter_version_once")]

    def __str__(self) -> str:
        return f"{self.filter} v{self.number}"


class FilterRun(Job):
    """A version of a filter, put to the trajectories that there were when it was started; `progress` counts them."""

    version = models.ForeignKey(FilterVersion, models.CASCADE, related_name="runs")
    newest = models.BigIntegerField(help_text="The newest trajectory when it was started: later ones stay out.")
    position = models.BigIntegerField(default=0, help_text="The last trajectory that has a verdict.")
    passed = models.IntegerField(default=0)
    bands = models.JSONField(default=dict, help_text="Band, or unknown, to [passed, failed].")

    class Meta:
        indexes = [models.Index(fields=["version", "-id"], name="filter_run_by_version")]

    def __str__(self) -> str:
        return f"run {self.pk} of {self.version}"


class Verdict(models.Model):
    """What a run of a filter said of one trajectory; `reasons` name the rules that it failed, or passed by."""

    run = models.ForeignKey(FilterRun, models.CASCADE, related_name="verdicts")
    trajectory = models.ForeignKey(Trajectory, models.CASCADE, related_name="verdicts")
    passed = models.BooleanField()
    reasons = ArrayField(models.CharField(max_length=300), default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "trajectory"], name="one_verdict_per_run")]

    def __str__(self) -> str:
        return f"{'passed' if self.passed else 'failed'} {self.run}"


class Indexing(Job):
    """Reads the trajectories that are not in the full-text and near-duplicate index yet; one at a time in a project."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="indexings")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project"],
                condition=models.Q(state__in=["queued", "running"]),
                name="one_active_indexing_per_project",
            )
        ]

    def __str__(self) -> str:
        return f"indexing {self.pk}"
