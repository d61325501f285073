"""Imports: taking a file in, stopping, going on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.core.files.base import File
from django.db import IntegrityError, transaction

from curation.formats.base import Format, ImportContext
from curation.formats.cleaning import clean_text
from curation.formats.mapping import FieldMapping, MappedFormat
from curation.formats.redaction import KINDS
from curation.formats.registry import get_format
from curation.formats.sources import ARCHIVE, Source
from curation.models import Import, SavedMapping, Trajectory
from curation.permissions import Access
from curation.services.audit import record_action
from curation.services.import_files import measure_file, store_file
from curation.services.jobs import request_stop, requeue_job

LONGEST_KEY = 200


class KeyReused(ValueError):
    """An idempotency key that came with another file before."""


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What a person says of a file. `format` "" is found by content; `mapping` says where the fields stand instead.

    `redact` names what is replaced before anything is stored: of curation.formats.redaction.KINDS.
    """

    source: str = Trajectory.Source.STRONG_MODEL
    format: str = ""
    model: str = ""
    mapping: dict[str, Any] | None = None
    redact: Sequence[str] = ()

    def check(self) -> None:
        """Raises ValueError for what is unknown."""
        if self.source not in Trajectory.Source.values:
            raise ValueError(f"There is no source {self.source!r}. Known: {', '.join(Trajectory.Source.values)}.")
        if unknown := set(self.redact) - set(KINDS):
            raise ValueError(f"There is nothing called {sorted(unknown)[0]!r} to redact. Known: {', '.join(KINDS)}.")
        find_chosen(self.format, self.mapping)


def create_import(
    access: Access, *, file: File[Any], file_name: str, options: ImportOptions, idempotency_key: str = ""
) -> Import:
    """Take a file in, queued to be read by a worker; its format is found by its content unless the options name it.

    The same `idempotency_key` gives the same import. Raises ValueError for a file that is too large, empty or in no
    known format, for unknown options, and KeyReused: nothing is stored then.
    """
    name = clean_name(file_name)
    options.check()
    if len(idempotency_key) > LONGEST_KEY:
        raise ValueError(f"An idempotency key has at most {LONGEST_KEY} characters.")
    sha256, size = measure_file(file)
    if known := _find_by_key(access, idempotency_key, sha256):
        return known
    file.seek(0)
    found = _find_format(cast("BinaryIO", file), name, options)
    try:
        with transaction.atomic():
            path = store_file(file, sha256=sha256, size=size)
            return _create(
                access, options, name=name, format=found, idempotency_key=clean_text(idempotency_key)[0],
                file_path=path, file_sha256=sha256, file_size=size, progress_total=size,
            )  # fmt: skip
    except IntegrityError:
        # The same request came twice at the same moment.
        if known := _find_by_key(access, idempotency_key, sha256):
            return known
        raise


def create_folder_import(access: Access, *, folder: str, options: ImportOptions) -> Import:
    """Import a folder of the server, in place. Raises ValueError where it is not allowed, or holds nothing."""
    options.check()
    path = open_folder(folder)
    source = Source(path, ImportContext(filename=path.name), chosen=find_chosen(options.format, options.mapping))
    listing = hashlib.sha256("\n".join(source.names).encode("utf-8", "replace")).hexdigest()
    return _create(
        access, options, name=clean_name(path.name), format=ARCHIVE, folder=str(path),
        file_sha256=listing, file_size=source.size, progress_total=source.size,
    )  # fmt: skip


def _create(access: Access, options: ImportOptions, *, name: str, format: str, **fields: Any) -> Import:
    job = Import.objects.create(
        project=access.project,
        created_by=access.user,
        file_name=name,
        format=format,
        model=clean_text(options.model.strip())[0][:120],
        source=options.source,
        mapping=options.mapping,
        redact=list(options.redact),
        **fields,
    )
    record_action(access, "import.create", job.pk, file=name, sha256=job.file_sha256, format=format)
    return job


def _find_format(stream: BinaryIO, name: str, options: ImportOptions) -> str:
    chosen = find_chosen(options.format, options.mapping)
    source = Source(stream, ImportContext(filename=name), chosen=chosen)
    return chosen.name if chosen else source.format_name


def clean_name(file_name: str) -> str:
    """The last part of a file's name, as something to show: it never names a file of ours."""
    last = PurePath(file_name.replace("\\", "/")).name
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in clean_text(last)[0])[-255:] or "file"


def find_chosen(format: str, mapping: dict[str, Any] | None) -> Format | None:
    """The format that an import names, or its mapping; None where each file's content is to decide.

    Raises FormatError for an unknown name, ValueError for a mapping that is none.
    """
    if mapping is not None:
        return MappedFormat(FieldMapping.model_validate(mapping))
    return get_format(format) if format and format != ARCHIVE else None


def open_folder(folder: str) -> Path:
    """A folder of this server, where an administrator allows imports from it. Raises ValueError."""
    path = Path(folder).resolve()
    if not any(path.is_relative_to(Path(root).resolve()) for root in settings.IMPORT_FOLDERS):
        raise ValueError(
            f"{folder!r} is in no folder that imports are allowed from: an administrator names those in"
            " WHETSTONE_IMPORT_FOLDERS."
        )
    if not path.is_dir():
        raise ValueError(f"{folder!r} is no folder of this server.")
    return path


def save_mapping(access: Access, name: str, mapping: dict[str, Any]) -> SavedMapping:
    """Keep a mapping under a name; the same name again replaces it."""
    values = {"mapping": mapping, "created_by": access.user}
    saved, _ = SavedMapping.objects.update_or_create(
        project=access.project, name=clean_text(name.strip())[0][:120], defaults=values
    )
    return saved


def stop_import(access: Access, job: Import) -> None:
    """Ask an import to stop after its current batch. Raises ValueError where it has ended."""
    if not request_stop(job):
        raise ValueError("This import has ended already.")
    record_action(access, "import.stop", job.pk)


def resume_import(access: Access, job: Import) -> None:
    """Put a stopped or failed import back to the queue. Raises ValueError for one that is neither."""
    if job.undone_at:
        raise ValueError("This import was undone; import the file again.")
    if not (job.file_path or job.folder):
        raise ValueError("The file of this import is not kept any more. Import it again: only what is new is added.")
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
