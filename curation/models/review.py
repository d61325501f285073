"""Reviews: what a person said of one revision of one trajectory; decisions, which settle it; what people discuss."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from curation.models.queue import QueueItem, Rubric
from curation.models.trajectory import Revision, Trajectory


class FailureMode(models.TextChoices):
    HALLUCINATED_TOOL = "hallucinated-tool", "Invented a tool or a fact"
    WRONG_ARGUMENTS = "wrong-arguments", "Wrong arguments"
    LOOP = "loop", "Loop"
    GAVE_UP = "gave-up", "Gave up"
    REWARD_HACK = "reward-hack", "A success that is none"
    UNSAFE = "unsafe", "Unsafe"
    OTHER = "other", "Other"


class Review(models.Model):
    """One reviewer's answer; a draft while `submitted_at` is empty, so that nothing typed is ever lost."""

    class Verdict(models.TextChoices):
        ACCEPT = "accept", "Accept"
        REJECT = "reject", "Reject"
        UNSURE = "unsure", "Unsure"

    trajectory = models.ForeignKey(Trajectory, models.CASCADE, related_name="reviews")
    revision = models.ForeignKey(Revision, models.CASCADE, related_name="reviews")
    item = models.ForeignKey(QueueItem, models.SET_NULL, null=True, related_name="reviews")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="reviews")
    verdict = models.CharField(max_length=6, choices=Verdict.choices, blank=True)
    grade = models.SmallIntegerField(null=True, blank=True)
    failure_modes = ArrayField(models.CharField(max_length=20, choices=FailureMode.choices), default=list, blank=True)
    comment = models.TextField(blank=True)
    rubric = models.ForeignKey(Rubric, models.SET_NULL, null=True, related_name="reviews")
    scores = models.JSONField(default=dict, help_text="Level given for each criterion of the rubric, by its key.")
    seconds = models.IntegerField(default=0, help_text="Time at work on it; idle time does not count.")
    created_at = models.DateTimeField(auto_now_add=True)
    saved_at = models.DateTimeField(auto_now=True)
    submitted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["trajectory", "item", "reviewer"], name="one_review_per_item", nulls_distinct=False
            ),
            models.CheckConstraint(condition=models.Q(grade__range=(1, 5)) | models.Q(grade=None), name="grade_1_to_5"),
            models.CheckConstraint(
                condition=models.Q(submitted_at=None) | ~models.Q(verdict=""), name="submitted_review_has_a_verdict"
            ),
        ]
        indexes = [models.Index(fields=["trajectory", "submitted_at"], name="review_by_trajectory")]

    def __str__(self) -> str:
        return f"{self.reviewer} on {self.trajectory}: {self.verdict or 'draft'}"


class StepLabel(models.Model):
    """What a reviewer said of one step; at most one step of a review is its first error."""

    class Label(models.TextChoices):
        CORRECT = "correct", "Correct"
        NEUTRAL = "neutral", "Neutral"
        WRONG = "wrong", "Wrong"

    review = models.ForeignKey(Review, models.CASCADE, related_name="step_labels")
    step_id = models.IntegerField()
    label = models.CharField(max_length=7, choices=Label.choices)
    first_error = models.BooleanField(default=False)
    failure_mode = models.CharField(max_length=20, choices=FailureMode.choices, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["review", "step_id"], name="one_label_per_step"),
            models.UniqueConstraint(
                fields=["review"], condition=models.Q(first_error=True), name="one_first_error_per_review"
            ),
        ]

    def __str__(self) -> str:
        return f"step {self.step_id}: {self.label}"


class Decision(models.Model):
    """What a curator decided of a trajectory, over whatever its reviews say; the newest that stands counts."""

    trajectory = models.ForeignKey(Trajectory, models.CASCADE, related_name="decisions")
    revision = models.ForeignKey(Revision, models.CASCADE, related_name="+")
    item = models.ForeignKey(QueueItem, models.SET_NULL, null=True, related_name="decisions")
    verdict = models.CharField(max_length=6, choices=Review.Verdict.choices)
    grade = models.SmallIntegerField(null=True)
    comment = models.TextField(blank=True)
    bulk = models.ForeignKey("BulkAction", models.CASCADE, null=True, related_name="decisions")
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(grade__range=(1, 5)) | models.Q(grade=None), name="decided_1_to_5"
            ),
        ]
        indexes = [
            models.Index(
                fields=["trajectory", "-id"], condition=models.Q(withdrawn_at=None), name="decision_that_stands"
            )
        ]

    def __str__(self) -> str:
        return f"{self.decided_by} on {self.trajectory}: {self.verdict}"


class Remark(models.Model):
    """A contribution to the discussion of a trajectory."""

    trajectory = models.ForeignKey(Trajectory, models.CASCADE, related_name="remarks")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="remarks")
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["trajectory", "id"], name="remark_by_trajectory")]

    def __str__(self) -> str:
        return f"{self.author} on {self.trajectory}"


class Mention(models.Model):
    """Somebody named in a remark or in the comment of a review, until they have seen it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="mentions")
    trajectory = models.ForeignKey(Trajectory, models.CASCADE, related_name="+")
    remark = models.ForeignKey(Remark, models.CASCADE, null=True, related_name="mentions")
    review = models.ForeignKey(Review, models.CASCADE, null=True, related_name="mentions")
    created_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "remark", "review"], name="mentioned_once", nulls_distinct=False),
        ]
        indexes = [models.Index(fields=["user", "-id"], name="mention_by_user")]

    def __str__(self) -> str:
        return f"{self.user} at {self.trajectory}"
