"""Preference pairs, and what reviewers judged of them."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Greatest, Least

from curation.models.access import Project
from curation.models.job import Job
from curation.models.trajectory import Revision, Task


class PreferencePair(models.Model):
    """Two attempts at one task that share their first steps; after a judgement, `chosen` is what was preferred.

    Of a pair of `step_only`, nothing but the first turn of each side after the shared steps is learnt from.
    """

    class Origin(models.TextChoices):
        OUTCOME = "outcome", "A success and a failure"
        CORRECTION = "correction", "A correction over its original"
        REWARD = "reward", "A higher reward over a lower one"
        MODELS = "models", "Two models at the same task and seed"
        STEP = "step", "A corrected turn over the wrong one"
        IMPORTED = "imported", "Imported as a pair"

    class Warning(models.TextChoices):
        LENGTH = "length", "One side is much longer than the other"
        EQUAL = "equal", "Both sides say the same in other white space"
        FINGERPRINT = "fingerprint", "The instructions differ"
        TOOLS = "tools", "The tools differ"

    class Status(models.TextChoices):
        PROPOSED = "proposed", "Proposed"
        CONFIRMED = "confirmed", "Confirmed"
        TIE = "tie", "Tie"
        BOTH_BAD = "both-bad", "Both bad"

    class Strength(models.IntegerChoices):
        SLIGHT = 1, "Slightly better"
        CLEAR = 2, "Better"
        STRONG = 3, "Much better"

    project = models.ForeignKey(Project, models.CASCADE, related_name="pairs")
    task = models.ForeignKey(Task, models.CASCADE, related_name="pairs")
    chosen = models.ForeignKey(Revision, models.CASCADE, related_name="pairs_as_chosen")
    rejected = models.ForeignKey(Revision, models.CASCADE, related_name="pairs_as_rejected")
    swapped = models.BooleanField(
        default=False, help_text="Judgements hold the other way round than it was proposed or imported."
    )
    shared_steps = models.IntegerField(help_text="Number of leading steps that are the same on both sides.")
    origin = models.CharField(max_length=10, choices=Origin.choices)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PROPOSED)
    strength = models.SmallIntegerField(choices=Strength.choices, null=True, blank=True)
    confidence = models.FloatField(
        null=True, help_text="Probability that the chosen side is the better one, from all judgements of the task."
    )
    step_only = models.BooleanField(default=False)
    chosen_characters = models.IntegerField(default=0, help_text="Of the agent's turns after the shared steps.")
    rejected_characters = models.IntegerField(default=0, help_text="Of the agent's turns after the shared steps.")
    warnings = ArrayField(models.CharField(max_length=12, choices=Warning.choices), default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~models.Q(chosen=models.F("rejected")), name="pair_has_two_sides"),
            # Unordered: a judgement may swap the sides, and the swapped pair is still the same pair.
            models.UniqueConstraint(
                Least("chosen", "rejected"),
                Greatest("chosen", "rejected"),
                "step_only",
                name="pair_once",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "status", "-id"], name="pair_by_status"),
            models.Index(fields=["project", "-id"], name="pair_by_project"),
        ]

    def __str__(self) -> str:
        return f"pair {self.pk}"


class Judgement(models.Model):
    """A reviewer's answer to "which of the two is better?", with the sides as they were shown.

    A reviewer has one for every item of a queue, and one without item: from the list of pairs, or a decision. Of
    these one counts for the pair.
    """

    class Answer(models.TextChoices):
        LEFT_MUCH_BETTER = "left-much-better", "Left much better"
        LEFT_BETTER = "left-better", "Left better"
        LEFT_SLIGHTLY_BETTER = "left-slightly-better", "Left slightly better"
        TIE = "tie", "About equal"
        RIGHT_SLIGHTLY_BETTER = "right-slightly-better", "Right slightly better"
        RIGHT_BETTER = "right-better", "Right better"
        RIGHT_MUCH_BETTER = "right-much-better", "Right much better"
        BOTH_BAD = "both-bad", "Both bad"

    pair = models.ForeignKey(PreferencePair, models.CASCADE, related_name="judgements")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="judgements")
    left = models.ForeignKey(Revision, models.CASCADE, related_name="+")
    right = models.ForeignKey(Revision, models.CASCADE, related_name="+")
    answer = models.CharField(max_length=24, choices=Answer.choices)
    reason = models.TextField(blank=True)
    item = models.ForeignKey("QueueItem", models.SET_NULL, null=True, related_name="judgements")
    decides = models.BooleanField(default=False, help_text="A curator's word, over all other judgements of the pair.")
    seconds = models.IntegerField(default=0, help_text="Time at work on it; idle time does not count.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            # One that is no item's (from the list, or a decision) is kept single by the lock on its pair.
            models.UniqueConstraint(fields=["pair", "reviewer", "item"], name="one_judgement_per_item"),
            models.UniqueConstraint(
                fields=["pair"], condition=models.Q(decides=True), name="one_deciding_judgement_per_pair"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reviewer} on {self.pair}: {self.answer}"


class PairSearch(Job):
    """A search for pairs to propose; `progress` counts the tasks looked at."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="pair_searches")
    origins = ArrayField(models.CharField(max_length=10, choices=PreferencePair.Origin.choices))
    most_per_task = models.SmallIntegerField(default=3)
    between = ArrayField(
        models.CharField(max_length=120), default=list, blank=True, help_text="The two models that are compared."
    )
    proposed = models.IntegerField(default=0)
    unusable = models.JSONField(default=dict, help_text="Pairs that no trainer could learn from, by reason.")

    def __str__(self) -> str:
        return f"search for pairs {self.pk}"
