"""Exports: the file of one side of a frozen version, whole or in part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.utils.text import slugify

from curation.models import DatasetVersion, JobState
from curation.models.dataset import Split
from curation.services.dataset_files import locate_file

BLOCK = 64 * 1024


class NotFrozen(ValueError):
    """The version has no files (yet); the text says what its state is."""


class RangeNotSatisfiable(ValueError):
    """The range begins behind the end of the file."""


@dataclass(frozen=True)
class Export:
    """One file of a version: its content never changes, so its hash is its entity tag."""

    path: Path
    sha256: str
    size: int
    name: str


def find_export(version: DatasetVersion, split: str) -> Export:
    """Raises NotFrozen unless the version is done, FileNotFoundError where its file is gone."""
    if version.state != JobState.DONE:
        raise NotFrozen(f"Version {version.number} is {version.state}: there is nothing to export.")
    sha256 = version.train_sha256 if Split(split) == Split.TRAIN else version.eval_sha256
    path = locate_file(sha256)
    name = f"{slugify(version.dataset.name) or 'dataset'}-v{version.number}-{split}.jsonl"
    return Export(path=path, sha256=sha256, size=path.stat().st_size, name=name)


def read_range(header: str, size: int) -> tuple[int, int] | None:
    """The (start, stop) in bytes that a Range header asks for, stop exclusive; None for what is served whole.

    Headers that are malformed, or that ask for several parts, may be served whole by the standard (RFC 9110).
    Raises RangeNotSatisfiable.
    """
    match = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header.replace(" ", ""))
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size:
        raise RangeNotSatisfiable(f"The file has {size} bytes.")
    return start, stop


def stream_file(path: Path, *, start: int, stop: int) -> Iterator[bytes]:
    """The bytes from start to stop, block by block."""
    with path.open("rb") as file:
        file.seek(start)
        left = stop - start
        while left > 0 and (block := file.read(min(BLOCK, left))):
            left -= len(block)
            yield block
