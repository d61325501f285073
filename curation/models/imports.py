"""Imports: uploads, what becomes of them, and what they left: rejected records, media, mappings worth keeping."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from curation.models.access import Project
from curation.models.job import Job


class Upload(models.Model):
    """A file on its way in, piece by piece or from a URL, or a folder: until it is looked at, and imported."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="uploads")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    file_name = models.CharField(max_length=255)
    file_key = models.CharField(max_length=200, help_text="What tells the same file apart when it is chosen again.")
    file_size = models.BigIntegerField(null=True, blank=True)
    received = models.BigIntegerField(default=0, help_text="Bytes that arrived.")
    url = models.URLField(max_length=2000, blank=True, help_text="Where it is fetched from.")
    folder = models.CharField(max_length=1000, blank=True, help_text="A folder of the server, read in place.")
    error = models.TextField(blank=True)
    complete = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["project", "created_by", "file_key"], name="upload_by_key")]

    def __str__(self) -> str:
        return self.file_name


class SavedMapping(models.Model):
    """Where the fields of a trajectory stand in JSON that is no known format, kept under a name."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="mappings")
    name = models.CharField(max_length=120)
    mapping = models.JSONField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="mapping_name_once")]

    def __str__(self) -> str:
        return self.name


class Blob(models.Model):
    """An image or other media that a project's trajectories hold, stored once under its hash."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="blobs")
    sha256 = models.CharField(max_length=64)
    media_type = models.CharField(max_length=120)
    size = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "sha256"], name="blob_once_per_project")]

    def __str__(self) -> str:
        return self.sha256


class Import(Job):
    """One file, archive or folder being imported; `progress` counts the bytes read of it."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="imports")
    file_name = models.CharField(max_length=255)
    file_path = models.CharField(max_length=255, blank=True, help_text="Name of the stored upload.")
    folder = models.CharField(max_length=1000, blank=True, help_text="A folder of the server, in place of an upload.")
    file_sha256 = models.CharField(max_length=64)
    file_size = models.BigIntegerField()
    format = models.CharField(
        max_length=40, blank=True, help_text="Its name; found by content unless a person named it."
    )
    model = models.CharField(max_length=120, blank=True, help_text="The agent's model, where the file does not say.")
    source = models.CharField(max_length=20)
    mapping = models.JSONField(null=True, blank=True, help_text="Where its fields stand, where it is in no format.")
    redact = models.JSONField(default=list, help_text="What is replaced before anything is stored.")
    redactions = models.JSONField(default=dict, help_text="How often each was replaced.")
    imported = models.IntegerField(default=0)
    unchanged = models.IntegerField(default=0)
    rejected = models.IntegerField(default=0)
    pairs = models.IntegerField(default=0, help_text="Preference pairs that came with it.")
    tasks = models.IntegerField(default=0, help_text="Tasks that its records are attempts at.")
    known_tasks = models.IntegerField(default=0, help_text="Those of them that were in the project before.")
    warnings = models.JSONField(default=list, help_text='What was odd: [{"text", "count", "first": record index}].')
    undone_at = models.DateTimeField(null=True, blank=True)
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
    member = models.CharField(max_length=1000, blank=True, help_text="The file in an archive or folder.")
    record_index = models.IntegerField()
    reason = models.TextField()
    raw = models.TextField(blank=True, help_text="The record as it stood in the file, or its first part.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["origin", "member", "record_index"], name="one_rejection_per_record")
        ]

    def __str__(self) -> str:
        return f"{self.member} record {self.record_index}: {self.reason}".lstrip()
