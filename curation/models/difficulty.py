"""How hard tasks are, found out from attempts: a job, and what it found of the policies."""

from __future__ import annotations

from django.db import models

from curation.models.access import Project
from curation.models.job import Job


class DifficultyFit(Job):
    """Recomputes pass rates and bands of a project's tasks after attempts arrived; one at a time in a project."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="difficulty_fits")
    policies = models.JSONField(
        default=list, help_text='Of each policy: "name", "attempts", "successes", "ability" (logits; null: no model).'
    )
    changed = models.IntegerField(default=0, help_text="Tasks whose difficulty it changed.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project"],
                condition=models.Q(state="queued"),
                name="one_waiting_fit_per_project",
            )
        ]

    def __str__(self) -> str:
        return f"difficulty fit {self.pk}"
