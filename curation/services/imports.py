"""Imports: taking a file in, stopping, going on."""

from __future__ import annotations

import hashlib
from pathlib import PurePath
from typing import Any, BinaryIO, cast

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction

from curation.formats.cleaning import clean_text
from curation.formats.registry import detect_stream, get_format
from curation.models import Import, Trajectory
from curation.permissions import Access
from curation.services.audit import record_action
from curation.services.jobs import request_stop, requeue_job

LARGEST_FILE = 8 * 2**30
LONGEST_KEY = 200


class KeyReused(ValueError):
    """An idempotency key that came with another file before."""


def create_import(
    access: Access,
    *,
    file: File[Any],
    file_name: str,
    source: str,
    format: str = "",
    model: str = "",
    idempotency_key: str = "",
) -> Import:
    """Take a file in, queued to be read by a worker; its format is found by its content unless `format` names it.

    The same `idempotency_key` gives the same import. Raises ValueError for a file that is too large, empty or in no
    known format, an unknown format or source, and KeyReused: nothing is stored then.
    """
    name = clean_name(file_name)
    if source not in Trajectory.Source.values:
        raise ValueError(f"There is no source {source!r}. Known: {', '.join(Trajectory.Source.values)}.")
    if len(idempotency_key) > LONGEST_KEY:
        raise ValueError(f"An idempotency key has at most {LONGEST_KEY} characters.")
    sha256, size = measure_file(file)
    if known := _find_by_key(access, idempotency_key, sha256):
        return known
    file.seek(0)
    found = get_format(format) if format else detect_stream(cast("BinaryIO", file), name)
    path = store_file(file, sha256=sha256, size=size)
    try:
        with transaction.atomic():
            job = Import.objects.create(
                project=access.project,
                created_by=access.user,
                file_name=name,
                file_path=path,
                file_sha256=sha256,
                file_size=size,
                progress_total=size,
                format=found.name,
                model=clean_text(model.strip())[0][:120],
                source=source,
                idempotency_key=clean_text(idempotency_key)[0],
            )
            record_action(access, "import.create", job.pk, file=name, sha256=sha256, format=found.name)
    except IntegrityError:
        # The same request came twice at the same moment.
        if known := _find_by_key(access, idempotency_key, sha256):
            return known
        raise
    return job


def clean_name(file_name: str) -> str:
    """The last part of a file's name, as something to show: it never names a file of ours."""
    last = PurePath(file_name.replace("\\", "/")).name
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in clean_text(last)[0])[-255:] or "file"


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
    """Keep a file under its hash, once; returns its name in the storage."""
    name = f"imports/{sha256[:2]}/{sha256}"
    if default_storage.exists(name):
        if default_storage.size(name) == size:
            return name
        # What a killed process left half written.
        default_storage.delete(name)
    file.seek(0)
    return default_storage.save(name, file)


def stop_import(access: Access, job: Import) -> None:
    """Ask an import to stop after its current batch. Raises ValueError where it has ended."""
    if not request_stop(job):
        raise ValueError("This import has ended already.")
    record_action(access, "import.stop", job.pk)


def resume_import(access: Access, job: Import) -> None:
    """Put a stopped or failed import back to the queue. Raises ValueError for one that is neither."""
    if not requeue_job(job):
        raise ValueError("Only an import that stopped or failed can go on.")
    record_action(access, "import.resume", job.pk)


def _find_by_key(access: Access, key: str, sha256: str) -> Import | None:
    if not key:
        return None
    known = Import.objects.filter(project=access.project, idempotency_key=clean_text(key)[0]).first()
    if known and known.file_sha256 != sha256:
        raise KeyReused(f"The idempotency key {key!r} came with another file before: import {known.pk}.")
    return known
