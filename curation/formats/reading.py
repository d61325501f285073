"""JSON records out of a file, one by one: a bad record is a Rejected, and the records after it are still read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, NamedTuple, cast

from pydantic import ValidationError

from curation.formats.base import (
    LONGEST_RAW,
    FormatError,
    Found,
    Head,
    Layout,
    Parsed,
    ParsedPair,
    RecordError,
    Rejected,
)
from curation.formats.containers import ContainerError, open_container
from curation.formats.decoding import BOM, MAX_RECORD, Loader, Record, as_record
from curation.formats.document import Document
from curation.formats.scanning import Scanner
from curation.formats.signatures import describe_content, is_wide
from curation.formats.tables import is_csv, is_parquet, read_csv, read_parquet

_HEAD = 2**20
_HEAD_RECORDS = 20
_CHUNK = 2**20


class Preference(NamedTuple):
    """Two documents of one task, of which the first was preferred."""

    chosen: Document
    rejected: Document


Build = Callable[[Record], tuple[Document | Preference, list[str]]]
"""Makes a document or a preference, and warnings, of a record; raises RecordError or pydantic's ValidationError."""


def parse_records(stream: BinaryIO, build: Build) -> Iterator[Found]:
    """Every record through `build`, which raises RecordError, or pydantic's ValidationError, for a bad one."""
    return map(partial(build_record, build=build), read_records(stream))


def build_record(record: Record | Rejected, build: Build) -> Found:
    """What `build` makes of a record, its complaint turned into a Rejected."""
    if isinstance(record, Rejected):
        return record
    try:
        built, warnings = build(record)
    except RecordError as error:
        return Rejected(record.index, str(error), record.raw)
    except ValidationError as error:
        return Rejected(record.index, describe_invalid(error), record.raw)
    said = (*record.warnings, *warnings)
    if isinstance(built, Preference):
        return ParsedPair(built.chosen, built.rejected, record.index, said)
    return Parsed(built, record.index, said)


def describe_invalid(error: ValidationError) -> str:
    """What is wrong and where, from the first of pydantic's complaints."""
    first = error.errors(include_url=False, include_input=False)[0]
    root = [] if error.title in ("Document", "Trajectory") else [error.title.lower()]
    place = ".".join(str(piece) for piece in [*root, *first["loc"]])
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def read_head(stream: BinaryIO) -> Head:
    """The beginning of a file. Raises FormatError where it cannot be unpacked."""
    try:
        raw = open_container(stream).read(_HEAD)
    except ContainerError as error:
        raise FormatError(f"The file cannot be read: {error}.") from error
    records, seen = [], 0
    for item in itertools.islice(read_records(stream), _HEAD_RECORDS):
        if isinstance(item, Record):
            records.append(item.value)
        seen += len(item.raw)
        if seen >= _HEAD:
            break
    return Head(raw=raw, layout=find_layout(raw), first=next(iter(records), None), records=records)


def read_first(stream: BinaryIO) -> dict[str, Any]:
    """The first object of a file; empty where it has none, or cannot be unpacked: its parser says so then."""
    try:
        return read_head(stream).first or {}
    except FormatError:
        return {}


def find_layout(head: bytes) -> Layout | None:
    """How the records stand, judged by the first bytes; None where it is neither JSON nor a table."""
    if is_parquet(head):
        return "parquet"
    if is_wide(head):
        return None
    text = head.decode("utf-8", "replace").removeprefix(BOM).lstrip()
    first, _, rest = text.partition("\n")
    rest = rest.lstrip()
    if text.startswith("["):
        return "lines" if rest.startswith(("{", "[")) and _is_json(first) else "array"
    if text.startswith("{") and rest and not rest.startswith("{") and not _is_json(first):
        return "object"
    if not text.startswith("{") and "\0" in text:
        return None
    if is_csv(head):
        return "csv"
    return "lines" if any(line.lstrip().startswith("{") for line in text.splitlines()) else None


def read_records(stream: BinaryIO) -> Iterator[Record | Rejected]:
    """The objects of a JSON file of any layout or of a table, plain or packed. Never raises for what the file holds."""
    counter = _Counter()
    try:
        head = open_container(stream).read(_HEAD)
        layout = find_layout(head)
        content = open_container(stream)
        if layout == "parquet":
            records = read_parquet(stream)
        elif layout == "csv":
            records = read_csv(cast("BinaryIO", content))
        elif layout == "lines":
            records = _Lines(content).read()
        elif layout is not None:
            records = Scanner(content).read_list() if layout == "array" else Scanner(content).read_values()
        else:
            yield Rejected(0, f"the file is {describe_content(head)}", fatal=True)
            return
        yield from map(counter.count, records)
    except ContainerError as error:
        yield Rejected(counter.counted, f"the file could not be read further: {error}", fatal=True)


def read_whole(stream: BinaryIO) -> tuple[Any, tuple[str, ...]]:
    """The one JSON value that a file is, cleaned, and what was put right in it. Raises RecordError."""
    try:
        data = open_container(stream).read(MAX_RECORD + 1)
    except ContainerError as error:
        raise RecordError(f"the file could not be read: {error}") from error
    if len(data) > MAX_RECORD:
        raise RecordError(f"it is larger than {MAX_RECORD // 2**20} MB")
    return Loader().load(data.decode("utf-8", "surrogateescape").removeprefix(BOM))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class _Counter:
    """Counts what passes."""

    def __init__(self) -> None:
        self.counted = 0

    def count(self, record: Record | Rejected) -> Record | Rejected:
        self.counted += 1
        return record


class _Lines:
    """Records that stand one on each line. None of them is kept: each may be a hundred megabytes."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content
        self._loader = Loader()
        self._line = 0
        self._index = -1

    def read(self) -> Iterator[Record | Rejected]:
        lines = iter(partial(self._content.readline, MAX_RECORD + 1), b"")
        return filter(None, map(self._read_line, lines))

    def _read_line(self, data: bytes) -> Record | Rejected | None:
        """The record on a line; None for a line of white space."""
        self._line += 1
        place = f"line {self._line}: "
        if len(data) > MAX_RECORD and not data.endswith(b"\n"):
            _skip_line(self._content)
            self._index += 1
            beginning = data[:LONGEST_RAW].decode("utf-8", "surrogateescape")
            return Rejected(self._index, f"{place}it is longer than {MAX_RECORD // 2**20} MB", beginning)
        text = data.decode("utf-8", "surrogateescape").removeprefix(BOM).strip()
        if not text:
            return None
        self._index += 1
        try:
            return as_record(self._index, self._loader.load(text), text[:LONGEST_RAW], place=place)
        except RecordError as error:
            torn = " (it is the last line, and cut off)" if not data.endswith(b"\n") else ""
            return Rejected(self._index, f"{place}{error}{torn}", text)


def _skip_line(content: BinaryIO) -> None:
    while (chunk := content.readline(_CHUNK)) and not chunk.endswith(b"\n"):
        pass
