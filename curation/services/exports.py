"""What a frozen version goes out as: one side in some format, its card, or all of it in one archive."""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.utils.text import slugify

from curation.models import DatasetVersion, JobState
from curation.models.dataset import Split
from curation.row_files import FORMATS
from curation.selectors.dataset_cards import write_card, write_facts
from curation.services.dataset_files import find_rows

BLOCK = 256 * 1024
CARD = "README.md"
FACTS = "version.json"
WHOLE = "all"
TAR = "tar"

_SIDES = {split.value: split.label for split in Split}
FILES: Mapping[str, str] = {
    **{f"{side}.{one.suffix}": f"{label}, {one.label}" for side, label in _SIDES.items() for one in FORMATS.values()},
    **{f"{WHOLE}.{one.suffix}.{TAR}": f"All of it with its card, {one.label}" for one in FORMATS.values()},
    CARD: "Card",
    FACTS: "Recipe, statistics and hashes",
}
"""What there is of every version, by name, in words."""


class NotFrozen(ValueError):
    """The version has no files (yet); the text says what its state is."""


class NoSuchFile(ValueError):
    """A version has no file of this name; the text says which it has."""


class RangeNotSatisfiable(ValueError):
    """The range begins behind the end of the file."""


@dataclass(frozen=True)
class Export:
    """Bytes that never change: those of its parts, one after the other. A part is a file with its size, or bytes.

    `sha256` is the entity tag: of a single file that of its content, of an archive one over what it is made of.
    """

    name: str
    media_type: str
    sha256: str
    parts: tuple[tuple[Path, int] | bytes, ...]

    @property
    def size(self) -> int:
        return sum(len(part) if isinstance(part, bytes) else part[1] for part in self.parts)


def find_export(version: DatasetVersion, file: str) -> Export:
    """What goes out under a name of FILES; a format that nobody asked for before is made now.

    Raises NoSuchFile, NotFrozen unless the version is done, FileNotFoundError where its rows are gone.
    """
    if file not in FILES:
        raise NoSuchFile(f"A version has no file {file!r}. It has {', '.join(FILES)}.")
    if version.state != JobState.DONE:
        raise NotFrozen(f"Version {version.number} is {version.state}: there is nothing to export.")
    name = f"{slugify(version.dataset.name) or 'dataset'}-v{version.number}"
    if file == CARD:
        return _of_bytes(f"{name}-{CARD}", "text/markdown; charset=utf-8", write_card(version))
    if file == FACTS:
        return _of_bytes(f"{name}-{FACTS}", "application/json", write_facts(version))
    side, suffix = file.split(".", 1)
    if side == WHOLE:
        return _archive(version, name, suffix.removesuffix(f".{TAR}"))
    found = find_rows(version.train_sha256 if side == Split.TRAIN else version.eval_sha256, suffix)
    parts = ((found.path, found.path.stat().st_size),)
    return Export(f"{name}-{file}", FORMATS[suffix].media_type, found.sha256, parts)


def _of_bytes(name: str, media_type: str, content: bytes) -> Export:
    return Export(name, media_type, hashlib.sha256(content).hexdigest(), (content,))


def _archive(version: DatasetVersion, name: str, suffix: str) -> Export:
    """A tar that is never written down: what stands between the files is known before, so that any part can be sent."""
    digest = hashlib.sha256()
    parts: list[tuple[Path, int] | bytes] = []

    def add(member: str, size: int, sha256: str, part: tuple[Path, int] | bytes) -> None:
        header = tarfile.TarInfo(f"{name}/{member}")
        header.size, header.mode = size, 0o644
        header.mtime = int(version.finished_at.timestamp()) if version.finished_at else 0
        parts.extend((header.tobuf(), part, bytes(-size % tarfile.BLOCKSIZE)))
        digest.update(header.tobuf() + sha256.encode())

    for member, content in ((CARD, write_card(version, suffix=suffix)), (FACTS, write_facts(version))):
        add(member, len(content), hashlib.sha256(content).hexdigest(), content)
    for split, sha256 in ((Split.TRAIN, version.train_sha256), (Split.EVAL, version.eval_sha256)):
        found = find_rows(sha256, suffix)
        size = found.path.stat().st_size
        add(f"{split.value}.{suffix}", size, found.sha256, (found.path, size))
    parts.append(bytes(2 * tarfile.BLOCKSIZE))
    return Export(f"{name}.{suffix}.tar", "application/x-tar", digest.hexdigest(), tuple(parts))


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


def stream_export(export: Export, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """The bytes from start to stop, block by block."""
    left = (export.size if stop is None else stop) - start
    for part in export.parts:
        size = len(part) if isinstance(part, bytes) else part[1]
        if start >= size:
            start -= size
            continue
        taken = min(size - start, left)
        if isinstance(part, bytes):
            yield part[start : start + taken]
        else:
            yield from _stream_file(part[0], start, taken)
        start, left = 0, left - taken
        if not left:
            return


def _stream_file(path: Path, start: int, left: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while left > 0 and (block := file.read(min(BLOCK, left))):
            left -= len(block)
            yield block
