"""Blobs: media that trajectories hold, as content-addressed files."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from curation.formats.media import Media
from curation.models import Blob


def store_media(project_id: int, media: Sequence[Media]) -> None:
    """Keep media for a project: each file once under its hash, and one row that says this project holds it."""
    by_hash = {item.sha256: item for item in media}
    for item in by_hash.values():
        name = locate_blob(item.sha256)
        if not default_storage.exists(name) or default_storage.size(name) != len(item.data):
            default_storage.delete(name)  # what a killed process left half written
            default_storage.save(name, ContentFile(item.data))
    rows = [
        Blob(project_id=project_id, sha256=item.sha256, media_type=item.media_type[:120], size=len(item.data))
        for item in by_hash.values()
    ]
    Blob.objects.bulk_create(rows, ignore_conflicts=True)


def locate_blob(sha256: str) -> str:
    """The storage's name for the bytes of this hash."""
    return f"media/{sha256[:2]}/{sha256}"
