"""Tasks, the attempts at them, and the revisions of each attempt's content."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from curation.models.access import Project
from curation.models.imports import Import


class Task(models.Model):
    """The problem an agent attempted.

    What attempts and grades say of its difficulty is written by curation.services.difficulty alone, always recomputed
    whole for the tasks concerned, so that lists can filter by band without reading every attempt.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="tasks")
    key = models.CharField(max_length=200)
    dataset = models.CharField(max_length=120, blank=True)
    fingerprint = models.CharField(max_length=64)
    instruction = models.TextField(blank=True)
    attempts = models.IntegerField(default=0, help_text="Attempts that were not cut short by a crash.")
    successes = models.IntegerField(default=0)
    pass_rate = models.FloatField(null=True, blank=True, help_text="Posterior, 0 to 1; empty without attempts.")
    pass_low = models.FloatField(null=True, blank=True, help_text="Where its 80 % interval begins.")
    pass_high = models.FloatField(null=True, blank=True, help_text="Where its 80 % interval ends.")
    logit = models.FloatField(
        null=True, blank=True, help_text="Difficulty in the Rasch model, where three policies or more are compared."
    )
    human_grade = models.FloatField(null=True, blank=True)
    grades_apart = models.BooleanField(default=False, help_text="Two grades differ by 2 or more, and nobody decided.")
    bands_apart = models.BooleanField(default=False, help_text="Grade and pass rate differ by 2 bands or more.")
    band = models.SmallIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "key", "fingerprint"], name="task_by_key_and_text"),
            models.CheckConstraint(condition=models.Q(band__range=(1, 5)) | models.Q(band=None), name="band_1_to_5"),
        ]
        indexes = [
            models.Index(fields=["project", "band"], name="task_by_band"),
            models.Index(fields=["project", "id"], condition=models.Q(bands_apart=True), name="task_bands_apart"),
            models.Index(fields=["project", "id"], condition=models.Q(grades_apart=True), name="task_grades_apart"),
        ]

    def __str__(self) -> str:
        return self.key


class Measures(models.Model):
    """What is counted in the content of a trajectory's newest revision: see curation.measures, which counts it."""

    step_count = models.IntegerField()
    tool_call_count = models.IntegerField()
    character_count = models.BigIntegerField()
    agent_character_count = models.BigIntegerField(default=0, help_text="Of the agent's turns that may bear loss.")
    error_count = models.IntegerField(default=0, help_text="Observations that report an error.")
    unknown_tool_count = models.IntegerField(default=0, help_text="Calls of tools that the agent was not given.")
    bad_argument_count = models.IntegerField(default=0, help_text="Calls whose arguments do not fit the tool's schema.")
    unreadable_count = models.IntegerField(default=0, help_text="ReAct turns that do not parse as ReAct.")
    loop_length = models.IntegerField(default=0, help_text="Steps in the longest run of a repeated cycle; 0: none.")
    context_overflow = models.BooleanField(default=False, help_text="The agent's context window was exceeded.")

    class Meta:
        abstract = True


class Trajectory(Measures):
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
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.UNREVIEWED)
    head_number = models.IntegerField(default=0, help_text="Number of the newest revision.")
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    indexed_number = models.IntegerField(
        null=True, blank=True, help_text="The revision that is in the full-text and near-duplicate index; empty: none."
    )
    duplicate_of = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="duplicates",
        help_text="The oldest trajectory that this one repeats, or nearly so.",
    )
    similarity = models.FloatField(null=True, blank=True, help_text="To the one it repeats: 1 for the same steps.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "content_hash"], name="trajectory_once_per_project")]
        indexes = [
            models.Index(fields=["project", "-id"], name="trajectory_by_project"),
            models.Index(fields=["project", "status", "-id"], name="trajectory_by_status"),
            models.Index(fields=["project", "model", "-id"], name="trajectory_by_model"),
            models.Index(fields=["task", "id"], name="trajectory_by_task"),
            GinIndex(fields=["tags"], name="trajectory_by_tag"),
            models.Index(
                fields=["project", "id"],
                condition=~models.Q(indexed_number=models.F("head_number")) | models.Q(indexed_number=None),
                name="trajectory_to_index",
            ),
            models.Index(
                fields=["duplicate_of"], condition=models.Q(duplicate_of__isnull=False), name="trajectory_by_duplicate"
            ),
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


class TrajectoryIndex(models.Model):
    """What finds a trajectory by its text: words for full-text search, and a MinHash signature for near duplicates.

    Written by the job curation.models.Indexing, from the revision named in `Trajectory.indexed_number`.
    """

    CONFIGURATION = "english"
    """PostgreSQL's text search configuration of `words`, and so of whatever searches in them."""

    trajectory = models.OneToOneField(Trajectory, models.CASCADE, primary_key=True, related_name="index")
    words = SearchVectorField()
    steps_hash = models.CharField(max_length=64, help_text="SHA-256 of what the steps say: equal for exact duplicates.")
    signature = models.BinaryField(help_text="MinHash of the steps' shingles; empty where they hold no word.")
    bands = ArrayField(
        models.IntegerField(),
        default=list,
        help_text="Hashes of parts of the signature: near duplicates share one. Empty for what repeats another.",
    )

    class Meta:
        indexes = [
            GinIndex(fields=["words"], name="trajectory_by_words"),
            GinIndex(fields=["bands"], name="trajectory_by_bands"),
            models.Index(fields=["steps_hash", "trajectory"], name="trajectory_by_steps"),
        ]

    def __str__(self) -> str:
        return f"index of trajectory {self.trajectory_id}"
