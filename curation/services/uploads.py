"""Uploads: files that arrive piece by piece or are fetched, and folders of the server, up to their import.

What has arrived of a file stays when the page is left: choosing the same file again goes on from there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.files.base import File
from django.db import transaction
from django.db.models.functions import Now

from curation.formats.cleaning import clean_text
from curation.models import Import, Upload
from curation.permissions import Access
from curation.services.audit import record_action
from curation.services.fetching import FetchError, check_url, fetch
from curation.services.import_files import LARGEST_FILE
from curation.services.imports import (
    ImportOptions,
    clean_name,
    create_folder_import,
    create_import,
    open_folder,
)

logger = logging.getLogger(__name__)

LARGEST_PIECE = 16 * 2**20
KEPT = timedelta(days=7)
"""How long what was uploaded, and neither imported nor dropped, is kept."""

STALLED = timedelta(minutes=2)
"""Longer than a fetch may be silent."""


class WrongOffset(ValueError):
    """A piece that does not go where the bytes so far end. `received` says where they do."""

    def __init__(self, received: int) -> None:
        super().__init__(f"{received:,} bytes have arrived so far; the next piece begins there.")
        self.received = received


class UploadGone(ValueError):
    """An upload that is not there any more."""


class _Arrived(File[Any]):
    """A complete upload, which the storage may move instead of copying it."""

    def temporary_file_path(self) -> str:
        return str(self.name)


def begin_upload(access: Access, *, file_name: str, file_size: int, file_key: str) -> Upload:
    """An upload to send pieces to: the one that was begun before, where the same person sends the same file again.

    Raises ValueError for a size that no import takes.
    """
    if file_size < 1:
        raise ValueError("The file is empty.")
    if file_size > LARGEST_FILE:
        raise ValueError(f"The file is larger than {LARGEST_FILE:,} bytes, the most that one import takes.")
    key = clean_text(file_key)[0][:200]
    mine = Upload.objects.filter(project=access.project, created_by=access.user, url="", folder="")
    begun = mine.filter(file_key=key, file_size=file_size, complete=False).exclude(file_key="").first()
    if begun is not None and locate_upload(begun).exists():
        return begun
    upload = _make(access, file_name=clean_name(file_name), file_key=key, file_size=file_size)
    locate_upload(upload).touch()
    return upload


def receive_piece(upload: Upload, *, offset: int, piece: bytes) -> Upload:
    """Write the next piece of a file. Raises WrongOffset, and ValueError for more bytes than the file has."""
    if len(piece) > LARGEST_PIECE:
        raise ValueError(f"A piece has at most {LARGEST_PIECE:,} bytes.")
    end = offset + len(piece)
    if end > (upload.file_size or 0):
        raise ValueError("These are more bytes than the file has.")
    if offset != upload.received:
        raise WrongOffset(upload.received)
    with locate_upload(upload).open("r+b") as target:
        target.seek(offset)
        target.write(piece)
    done = end == upload.file_size
    fresh = Upload.objects.filter(pk=upload.pk, received=offset)
    taken = fresh.update(received=end, complete=done, changed_at=Now())
    upload.refresh_from_db()
    if not taken:
        raise WrongOffset(upload.received)
    return upload


def take_file(access: Access, file: File[Any]) -> Upload:
    """A whole file at once, as a browser without script sends it. Raises ValueError where it is empty or too large."""
    upload = begin_upload(access, file_name=str(file.name), file_size=file.size, file_key="")
    with locate_upload(upload).open("wb") as target:
        for chunk in file.chunks():
            target.write(chunk)
    Upload.objects.filter(pk=upload.pk).update(received=upload.file_size, complete=True)
    upload.refresh_from_db()
    return upload


def take_folder(access: Access, folder: str) -> Upload:
    """A folder of the server, as it stands. Raises ValueError where imports from it are not allowed."""
    path = open_folder(folder)
    return _make(access, file_name=clean_name(path.name), folder=str(path), complete=True)


def take_url(access: Access, url: str) -> Upload:
    """A file to be fetched by a worker. Raises ValueError for what is no address to fetch from."""
    parts = check_url(url)
    upload = _make(access, file_name=clean_name(parts.path) if parts.path.strip("/") else "file", url=url)
    record_action(access, "upload.fetch", upload.pk, url=url)
    return upload


def fetch_upload(pk: int) -> None:
    """Fetch what an upload names. Does nothing where it is complete; a second try begins anew."""
    upload = Upload.objects.filter(pk=pk, complete=False).exclude(url="").first()
    if upload is None:
        return
    row = Upload.objects.filter(pk=pk)
    row.update(error="", received=0, changed_at=Now())
    said = time.monotonic()

    def say(size: int, total: int | None) -> None:
        nonlocal said
        if time.monotonic() - said > 0.5:
            said = time.monotonic()
            if not row.update(received=size, file_size=total, changed_at=Now()):
                raise FetchError("The upload was dropped.")

    try:
        with locate_upload(upload).open("wb") as target:
            fetch(upload.url, target, limit=LARGEST_FILE, on_progress=say)
        size = locate_upload(upload).stat().st_size
        if not size:
            raise FetchError("There is nothing at that address: an empty file.")
        row.update(received=size, file_size=size, complete=True, changed_at=Now())
    except (FetchError, OSError) as error:
        logger.warning("upload %s could not be fetched: %s", pk, error)
        row.update(error=clean_text(str(error))[0], changed_at=Now())
        locate_upload(upload).unlink(missing_ok=True)


@contextmanager
def open_upload(upload: Upload) -> Iterator[BinaryIO | Path]:
    """What a complete upload holds: a stream, or the path of a folder. Raises ValueError where it is gone."""
    if upload.folder:
        yield open_folder(upload.folder)
        return
    try:
        stream = locate_upload(upload).open("rb")
    except OSError as error:
        raise ValueError("What was uploaded is not there any more: upload it again.") from error
    with stream:
        yield stream


def import_upload(access: Access, upload: Upload, options: ImportOptions) -> Import:
    """Import a complete upload, which is used up by it. Of two at the same moment, one does.

    Raises UploadGone, and ValueError as create_import does: it stays then.
    """
    with transaction.atomic():
        if not Upload.objects.select_for_update().filter(pk=upload.pk).exists():
            raise UploadGone("This upload was imported or dropped in the meantime.")
        if upload.folder:
            job = create_folder_import(access, folder=upload.folder, options=options)
        else:
            with locate_upload(upload).open("rb") as stream:
                file = _Arrived(stream, name=str(locate_upload(upload)))
                job = create_import(access, file=file, file_name=upload.file_name, options=options)
        drop_upload(upload)
    return job


def drop_upload(upload: Upload) -> None:
    locate_upload(upload).unlink(missing_ok=True)
    upload.delete()


def clear_uploads() -> int:
    """Drop what nobody came back for; returns how many."""
    old = Upload.objects.filter(changed_at__lt=Now() - KEPT)
    for upload in old:
        drop_upload(upload)
    return len(old)


def find_stalled_fetches() -> list[int]:
    """Uploads that nobody fetches any more, since their worker was killed or their message lost."""
    waiting = Upload.objects.filter(complete=False, error="").exclude(url="")
    return list(waiting.filter(changed_at__lt=Now() - STALLED).values_list("pk", flat=True))


def locate_upload(upload: Upload) -> Path:
    """Where the bytes of an upload are gathered."""
    root = Path(settings.UPLOADS_ROOT)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return root / str(upload.pk)


def _make(access: Access, **fields: Any) -> Upload:
    return Upload.objects.create(project=access.project, created_by=access.user, **fields)
