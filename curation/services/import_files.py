"""The files of imports, kept under their hash until no import has to read them any more."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from curation.models import Import, JobState

LARGEST_FILE = 8 * 2**30
KEPT = timedelta(days=7)
"""How long the file of an import that stopped or failed is kept, for it to go on."""


def measure_file(file: File[Any]) -> tuple[str, int]:
    """(sha256, bytes) of a file, read piece by piece. Raises ValueError where it is empty or too large."""
    digest, size = hashlib.sha256(), 0
    for chunk in file.chunks():
        digest.update(chunk)
        size += len(chunk)
        if size > LARGEST_FILE:
            raise ValueError(f"The file is larger than {LARGEST_FILE:,} bytes, the most that one import takes.")
    if not size:
        raise ValueError("The file is empty.")
    return digest.hexdigest(), size


def store_file(file: File[Any], *, sha256: str, size: int) -> str:
    """Keep a file under its hash, once; returns its name in the storage.

    Its transaction also makes the row that needs the file, which is safe from release_file() until then.
    """
    name = f"imports/{sha256[:2]}/{sha256}"
    _lock(name)
    if default_storage.exists(name):
        if default_storage.size(name) == size:
            return name
        # What a killed process left half written.
        default_storage.delete(name)
    file.seek(0)
    return default_storage.save(name, file)


def release_file(job: Import) -> None:
    """Delete the file of an import that will not read it again, unless another has to, or it was resumed meanwhile."""
    with transaction.atomic():
        _lock(job.file_path)
        released = Import.objects.filter(pk=job.pk, state=job.state).update(file_path="")
        if released and not Import.objects.filter(file_path=job.file_path).exists():
            default_storage.delete(job.file_path)


def clear_files() -> int:
    """Release the files of imports that are done, or stopped long ago; returns how many."""
    over = Q(state=JobState.DONE) | Q(state__in=[JobState.STOPPED, JobState.FAILED], finished_at__lt=Now() - KEPT)
    jobs = Import.objects.filter(over).exclude(file_path="")
    for job in jobs:
        release_file(job)
    return len(jobs)


def _lock(name: str) -> None:
    """Nobody else stores or deletes this file until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
