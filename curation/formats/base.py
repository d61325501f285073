"""What every format is and gives: the contract of a parser."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, Protocol

from curation.formats.cleaning import clean_text
from curation.formats.document import Document, SourceFile

Layout = Literal["array", "lines", "object", "parquet", "csv"]
"""How records stand: elements of one list, one on each line, one object that is the whole file, or rows of a table."""

LONGEST_RAW = 2**20
"""Characters of a rejected record that are kept."""


class FormatError(ValueError):
    """A file that cannot be read as any known format; the text says what was looked for."""


class RecordError(ValueError):
    """A record that cannot be read; the text says what is wrong with it and where."""


class Members(Protocol):
    """The files of the archive or folder that a file came in, by their path in it, with "/" between its parts."""

    @property
    def names(self) -> Sequence[str]: ...

    def read(self, name: str) -> bytes:
        """The content of one of `names`. Raises RecordError where it cannot be read or is too large."""
        ...


@dataclass(frozen=True, kw_only=True)
class ImportContext:
    """What a file may not say. `model` and `dataset` fill what is missing, and win over a guess by file name.

    `filename` is the path in the archive where the file came in one, `members` then the files beside it.
    """

    filename: str = ""
    model: str | None = None
    dataset: str | None = None
    file_sha256: str | None = None
    members: Members | None = None

    def read_beside(self, path: str) -> bytes | None:
        """A file of the same archive, its path relative to this file's folder; None where there is none.

        Raises RecordError where it cannot be read.
        """
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(self.filename), path))
        return self.members.read(wanted) if self.members and wanted in self.members.names else None


@dataclass(frozen=True)
class Parsed:
    """A record that became a document. `record_index` counts from 0 through the file."""

    document: Document
    record_index: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ParsedPair:
    """A record that is a preference: two documents of one task, each whole, the shared steps at the start of both."""

    chosen: Document
    rejected: Document
    record_index: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """A record that did not. `raw` is its text, for a person to mend: cleaned, and at most LONGEST_RAW characters.

    `fatal`: the file could not be read past this point, so later records, if any, are missing.
    """

    record_index: int
    reason: str
    raw: str = ""
    fatal: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "raw", clean_text(self.raw[:LONGEST_RAW])[0])


@dataclass(frozen=True)
class Head:
    """The beginning of a file, for detection: its bytes (unpacked), its layout, and its first objects.

    `records` are the objects among its first 20 records, `first` the first of them, `names` the members of a zip.
    """

    raw: bytes
    layout: Layout | None
    first: dict[str, Any] | None
    records: Sequence[dict[str, Any]] = ()
    names: Sequence[str] = ()


Found = Parsed | ParsedPair | Rejected
"""What a parser makes of a record."""


class Format(Protocol):
    """One trajectory format. `looks_for` completes the sentence "a ... file has"."""

    name: str
    label: str
    looks_for: str

    def detect(self, head: Head) -> bool: ...

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        """Every record of a seekable binary stream, in order, plain or packed. Never raises for what the file holds."""
        ...


def describe_source(name: str, context: ImportContext, *, index: int, version: str | None = None) -> SourceFile:
    """Where the record at `index` stands; the file's path too where it came in an archive or a folder."""
    member = context.filename if context.members else None
    return SourceFile(format=name, version=version, file_sha256=context.file_sha256, member=member, record_index=index)
