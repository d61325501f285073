"""Imports: a file on its way to becoming trajectories."""

from __future__ import annotations

from django.db import models

from curation.models.access import Project
from curation.models.job import Job


class Import(Job):
    """One file being imported; `progress` counts the bytes read of it."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="imports")
    file_name = models.CharField(max_length=255)
    file_path = models.CharField(max_length=255, help_text="Name of the stored upload.")
    file_sha256 = models.CharField(max_length=64)
    file_size = models.BigIntegerField()
    format = models.CharField(
        max_length=40, blank=True, help_text="Its name; found by content unless a person named it."
    )
    model = models.CharField(max_length=120, blank=True, help_text="The agent's model, where the file does not say.")
    source = models.CharField(max_length=20)
    imported = models.IntegerField(default=0)
    unchanged = models.IntegerField(default=0)
    rejected = models.IntegerField(default=0)
    warnings = models.JSONField(default=list, help_text='What was odd: [{"text", "count", "first": record index}].')
    idempotency_key = models.CharField(max_length=200, blank=True, help_text="Of the request that asked for it.")

    class Meta:
        indexes = [models.Index(fields=["project", "-id"], name="import_by_project")]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="one_import_per_idempotency_key",
            )
        ]

    def __str__(self) -> str:
        return self.file_name


class ImportRejection(models.Model):
    """A record that could not be imported, with the reason."""

    origin = models.ForeignKey(Import, models.CASCADE, related_name="rejections")
    record_index = models.IntegerField()
    reason = models.TextField()
    raw = models.TextField(blank=True, help_text="The first part of the record as it stood in the file.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["origin", "record_index"], name="one_rejection_per_record")]

    def __str__(self) -> str:
        return f"record {self.record_index}: {self.reason}"
