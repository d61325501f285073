"""Datasets: a recipe, and its frozen, hashed results."""

from __future__ import annotations

from django.db import models

from curation.models.access import Project
from curation.models.job import Job
from curation.models.pair import PreferencePair
from curation.models.trajectory import Revision, Task, Trajectory


class Split(models.TextChoices):
    TRAIN = "train", "Train"
    EVAL = "eval", "Held out"


class Dataset(models.Model):
    """A recipe under a name. `recipe` is a curation.recipe.DatasetRecipe."""

    class Kind(models.TextChoices):
        SFT = "sft", "SFT: accepted trajectories"
        PROMPT_COMPLETION = "prompt-completion", "Prompt and completion: each turn of accepted trajectories"
        DPO = "dpo", "DPO: judged pairs"
        KTO = "kto", "KTO: accepted and rejected trajectories"
        REWARD = "reward", "Reward model: judged pairs"

    project = models.ForeignKey(Project, models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    recipe = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="dataset_name_once_per_project")]

    def __str__(self) -> str:
        return self.name


class DatasetVersion(Job):
    """A frozen result of a recipe. Once done it never changes: its rows are files named by their hash."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="versions")
    number = models.IntegerField()
    recipe = models.JSONField()
    content_hash = models.CharField(max_length=64, blank=True, help_text="SHA-256 over the recipe and both files.")
    train_sha256 = models.CharField(max_length=64, blank=True)
    eval_sha256 = models.CharField(max_length=64, blank=True)
    software = models.CharField(max_length=40, blank=True, help_text="The version of Whetstone that froze it.")
    statistics = models.JSONField(default=dict, help_text="What was counted while it was frozen: see ARCHITECTURE.md.")
    left_out = models.JSONField(default=dict, help_text="Why rows were left out: reason to number.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "number"], name="version_number_once")]

    def __str__(self) -> str:
        return f"{self.dataset} v{self.number}"


class DatasetRow(models.Model):
    """What one row of a version was made from."""

    version = models.ForeignKey(DatasetVersion, models.CASCADE, related_name="rows")
    split = models.CharField(max_length=5, choices=Split.choices)
    position = models.IntegerField()
    task = models.ForeignKey(Task, models.CASCADE, related_name="+")
    revision = models.ForeignKey(Revision, models.CASCADE, null=True, related_name="+")
    pair = models.ForeignKey(PreferencePair, models.CASCADE, null=True, related_name="+")
    band = models.SmallIntegerField(null=True, blank=True)
    weight = models.FloatField(default=1.0)
    characters = models.BigIntegerField(help_text="Characters of the agent's own turns: what bears loss.")
    content_sha256 = models.CharField(max_length=64, blank=True, help_text="Of the row without its weight.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "split", "position"], name="row_position_once"),
            models.CheckConstraint(condition=models.Q(revision=None) ^ models.Q(pair=None), name="row_has_one_origin"),
        ]

    def __str__(self) -> str:
        return f"row {self.position} of {self.split}"


class LeftOut(models.Model):
    """A trajectory or a pair that fitted a version's filter, and is not in it; `reason` says why."""

    version = models.ForeignKey(DatasetVersion, models.CASCADE, related_name="left_out_rows")
    trajectory = models.ForeignKey(Trajectory, models.CASCADE, null=True, related_name="+")
    pair = models.ForeignKey(PreferencePair, models.CASCADE, null=True, related_name="+")
    band = models.SmallIntegerField(null=True, blank=True)
    stage = models.CharField(max_length=20, help_text="Of the waterfall.")
    reason = models.CharField(max_length=200)

    class Meta:
        indexes = [models.Index(fields=["version", "id"], name="left_out_by_version")]

    def __str__(self) -> str:
        return f"{self.reason} ({self.version})"
