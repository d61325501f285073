"""Training runs, the models they make, and the measurements of those."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models

from curation.models import DatasetVersion, Job, Project


class Checkpoint(models.Model):
    """A model: given as a directory below an allowed root, or made by a run."""

    class Kind(models.TextChoices):
        BASE = "base", "Base"
        SFT = "sft", "SFT"
        DPO = "dpo", "DPO"

    project = models.ForeignKey(Project, models.CASCADE, related_name="checkpoints")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=4, choices=Kind.choices)
    run = models.ForeignKey("Run", models.CASCADE, null=True, related_name="checkpoints")
    parent = models.ForeignKey("self", models.PROTECT, null=True, related_name="children")
    path = models.CharField(max_length=500, help_text="Directory of the model, or of the adapter.")
    is_adapter = models.BooleanField(default=False, help_text="A LoRA adapter on top of the nearest full ancestor.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="checkpoint_name_once_per_project"),
            models.UniqueConstraint(fields=["run", "kind"], name="one_checkpoint_of_a_kind_per_run"),
        ]

    def __str__(self) -> str:
        return self.name


class Run(Job):
    """One training run; `progress` counts optimiser steps. Its directory is settings.RUNS_ROOT / run-<id>.

    `pid` is the engine's process of this attempt; None as long as none has been started.
    """

    class Method(models.TextChoices):
        SFT = "sft", "SFT"
        DPO = "dpo", "DPO"

    project = models.ForeignKey(Project, models.CASCADE, related_name="runs")
    name = models.CharField(max_length=120)
    method = models.CharField(max_length=3, choices=Method.choices)
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, related_name="runs")
    base = models.ForeignKey(
        Checkpoint, models.PROTECT, null=True, related_name="runs_from", help_text="Empty: the tiny model, made here."
    )
    recipe = models.JSONField(help_text="A training.recipes recipe.")
    idempotency_key = models.CharField(
        max_length=100, blank=True, help_text="The launch request's; empty: it had none."
    )
    pid = models.IntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="run_name_once_per_project"),
            models.UniqueConstraint(
                fields=["project", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="one_run_per_idempotency_key",
            ),
        ]
        indexes = [models.Index(fields=["project", "-id"], name="run_by_project")]

    def __str__(self) -> str:
        return self.name

    @property
    def directory(self) -> Path:
        return Path(settings.RUNS_ROOT) / f"run-{self.pk}"


class Evaluation(Job):
    """One checkpoint measured on the held-out rows of a dataset version. `result` is a training.results.Evaluation.

    `progress` counts held-out rows and the steps at which the model writes its own action.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="evaluations")
    checkpoint = models.ForeignKey(Checkpoint, models.CASCADE, related_name="evaluations")
    dataset_version = models.ForeignKey(DatasetVersion, models.CASCADE, related_name="evaluations")
    result = models.JSONField(null=True, blank=True)
    pid = models.IntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["checkpoint", "dataset_version"], name="one_evaluation_per_checkpoint_and_data"
            )
        ]
        indexes = [models.Index(fields=["project", "-id"], name="evaluation_by_project")]

    def __str__(self) -> str:
        return f"{self.checkpoint} on {self.dataset_version}"

    @property
    def directory(self) -> Path:
        return Path(settings.RUNS_ROOT) / f"evaluation-{self.pk}"
