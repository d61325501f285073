"""What every format is and gives: the contract of a parser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, Protocol

from curation.formats.document import Document, SourceFile

Layout = Literal["array", "lines", "object"]
"""How records stand in a JSON file: elements of one list, one on each line, or one object that is the whole file."""


class FormatError(ValueError):
    """A file that cannot be read as any known format; the text says what was looked for."""


class RecordError(ValueError):
    """A record that cannot be read; the text says what is wrong with it and where."""


@dataclass(frozen=True, kw_only=True)
class ImportContext:
    """What a file may not say. `model` and `dataset` fill what is missing, and win over a guess by file name."""

    filename: str = ""
    model: str | None = None
    dataset: str | None = None
    file_sha256: str | None = None


@dataclass(frozen=True)
class Parsed:
    """A record that became a document. `record_index` counts from 0 through the file."""

    document: Document
    record_index: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """A record that did not. `raw` is its beginning, for a person to look at.

    `fatal`: the file could not be read past this point, so later records, if any, are missing.
    """

    record_index: int
    reason: str
    raw: str = ""
    fatal: bool = False


@dataclass(frozen=True)
class Head:
    """The beginning of a file, for detection: its bytes (unpacked), its layout, and its first object."""

    raw: bytes
    layout: Layout | None
    first: dict[str, Any] | None


class Format(Protocol):
    """One trajectory format. `looks_for` completes the sentence "a ... file has"."""

    name: str
    label: str
    looks_for: str

    def detect(self, head: Head) -> bool: ...

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Parsed | Rejected]:
        """Every record of a seekable binary stream, in order, plain or gzip. Never raises for what the file holds."""
        ...


def describe_source(name: str, context: ImportContext, *, index: int, version: str | None = None) -> SourceFile:
    return SourceFile(format=name, version=version, file_sha256=context.file_sha256, record_index=index)
