"""Model judges: endpoints that give verdicts on trajectories, and the jobs that ask them."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from curation.models.access import Project
from curation.models.job import Job
from curation.models.trajectory import Revision, Trajectory


class Judge(models.Model):
    """An OpenAI-compatible endpoint, and what it is asked. What is asked never changes: an edit makes another judge."""

    class Unit(models.TextChoices):
        TRAJECTORY = "trajectory", "Whole trajectories"
        STEP = "step", "Each step of the agent"

    project = models.ForeignKey(Project, models.CASCADE, related_name="judges")
    name = models.CharField(max_length=120)
    base_url = models.URLField(max_length=300, help_text="Of an OpenAI-compatible endpoint, with its /v1.")
    model = models.CharField(max_length=120)
    key_variable = models.CharField(
        max_length=80, blank=True, help_text="The server's environment variable that holds the key."
    )
    sealed_key = models.BinaryField(null=True, editable=False, help_text="The key, encrypted; never shown again.")
    unit = models.CharField(max_length=10, choices=Unit.choices, default=Unit.TRAJECTORY)
    instructions = models.TextField(help_text="What makes a trajectory worth learning from.")
    criteria = models.JSONField(default=list, help_text="As in a queue's rubric: key, name, description, levels.")
    concurrency = models.SmallIntegerField(default=4, validators=[MinValueValidator(1), MaxValueValidator(64)])
    price_in = models.FloatField(default=0, validators=[MinValueValidator(0)], help_text="Per million prompt tokens.")
    price_out = models.FloatField(default=0, validators=[MinValueValidator(0)], help_text="Per million answer tokens.")
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="judge_name_once_per_project")]

    def __str__(self) -> str:
        return self.name

    def price_tokens(self, prompt_tokens: int, answer_tokens: int) -> float:
        return (prompt_tokens * self.price_in + answer_tokens * self.price_out) / 1e6


class JudgeRun(Job):
    """A judge put to the trajectories that fitted a filter when it was started; `progress` counts them."""

    judge = models.ForeignKey(Judge, models.CASCADE, related_name="runs")
    conditions = models.JSONField(help_text="The filter, as name and value.")
    newest = models.BigIntegerField(help_text="The newest trajectory when it was started: later ones stay out.")
    position = models.BigIntegerField(default=0, help_text="All trajectories up to this one were dealt with.")
    most_cost = models.FloatField(null=True, blank=True, help_text="It stops before it has cost more; empty: no limit.")
    asked = models.IntegerField(default=0)
    cached = models.IntegerField(default=0, help_text="Answered before, for the same content.")
    failed = models.IntegerField(default=0, help_text="Without an answer that could be used, after all tries.")
    prompt_tokens = models.BigIntegerField(default=0)
    answer_tokens = models.BigIntegerField(default=0)
    idempotency_key = models.CharField(max_length=200, blank=True, help_text="Of the request that asked for it.")

    class Meta:
        indexes = [models.Index(fields=["judge", "-id"], name="judge_run_by_judge")]
        constraints = [
            models.UniqueConstraint(
                fields=["judge", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="one_judge_run_per_idempotency_key",
            )
        ]

    def __str__(self) -> str:
        return f"run {self.pk} of {self.judge}"

    @property
    def cost(self) -> float:
        """What its tokens cost at the judge's prices."""
        return self.judge.price_tokens(self.prompt_tokens, self.answer_tokens)


class JudgeFailure(models.Model):
    """Why a run has no opinion on a revision. Whoever goes on with the run does not ask again; the next run does."""

    run = models.ForeignKey(JudgeRun, models.CASCADE, related_name="failures")
    trajectory = models.ForeignKey(Trajectory, models.CASCADE, related_name="+")
    reason = models.CharField(max_length=400)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "trajectory"], name="one_failure_per_trajectory")]

    def __str__(self) -> str:
        return f"{self.trajectory}: {self.reason}"


class Opinion(models.Model):
    """What a judge said of a revision. The same content has the same `content_key`, and is asked about once."""

    class Value(models.TextChoices):
        ACCEPT = "accept", "Accept"
        REJECT = "reject", "Reject"
        UNSURE = "unsure", "Unsure"

    judge = models.ForeignKey(Judge, models.CASCADE, related_name="opinions")
    run = models.ForeignKey(JudgeRun, models.SET_NULL, null=True, related_name="opinions")
    trajectory = models.ForeignKey(Trajectory, models.CASCADE, related_name="opinions")
    revision = models.ForeignKey(Revision, models.CASCADE, related_name="+")
    content_key = models.CharField(max_length=64, help_text="SHA-256 of all that was sent.")
    value = models.CharField(max_length=6, choices=Value.choices)
    score = models.FloatField(help_text="How sure it is that the trajectory is worth learning from, 0 to 1.")
    reason = models.TextField(blank=True)
    scores = models.JSONField(default=dict, help_text="Criterion to value.")
    steps = models.JSONField(default=list, help_text='Of a judge of steps: "step", "label", "reason".')
    prompt_tokens = models.IntegerField(default=0)
    answer_tokens = models.IntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["judge", "revision"], name="one_opinion_per_revision")]
        indexes = [
            models.Index(fields=["judge", "content_key"], name="opinion_by_content"),
            models.Index(fields=["trajectory", "judge"], name="opinion_by_trajectory"),
        ]

    def __str__(self) -> str:
        return f"{self.judge}: {self.value}"
