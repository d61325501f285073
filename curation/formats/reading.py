"""JSON records out of a file, one by one: a bad record is a Rejected, and the records after it are still read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
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
from curation.formats.tables import is_csv, is_parquet, read_csv, read_parquet

_HEAD = 2**20
_CHUNK = 2**20


class Preference(NamedTuple):
    """Two documents of one task, of which the first was preferred."""

    chosen: Document
    rejected: Document


Build = Callable[[Record], tuple[Document | Preference, list[str]]]
"""Makes a document or a preference, and warnings, of a record; raises RecordError or pydantic's ValidationError."""


def parse_records(stream: BinaryIO, build: Build) -> Iterator[Found]:
    """Every record through `build`, which raises RecordError, or pydantic's ValidationError, for a bad one."""
    for record in read_records(stream):
        yield record if isinstance(record, Rejected) else build_record(record, build)


def build_record(record: Record, build: Build) -> Found:
    """What `build` makes of a record, its complaint turned into a Rejected."""
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
    records = [item.value for item in itertools.islice(read_records(stream), 20) if isinstance(item, Record)]
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
    index = 0
    try:
        layout = find_layout(open_container(stream).read(_HEAD))
        content = open_container(stream)
        if layout == "parquet":
            records = read_parquet(stream)
        elif layout == "csv":
            records = read_csv(cast("BinaryIO", content))
        elif layout == "lines":
            records = _read_lines(content)
        elif layout is not None:
            records = Scanner(content).read_list() if layout == "array" else Scanner(content).read_values()
        else:
            yield Rejected(0, "the file is neither JSON nor JSON lines, nor a table", fatal=True)
            return
        for record in records:
            index = record.index if isinstance(record, Record) else record.record_index
            yield record
            index += 1
    except ContainerError as error:
        yield Rejected(index, f"the file could not be read further: {error}", fatal=True)


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


def _read_lines(content: BinaryIO) -> Iterator[Record | Rejected]:
    loader = Loader()
    index = 0
    for line in itertools.count(1):
        data = content.readline(MAX_RECORD + 1)
        if not data:
            return
        place = f"line {line}: "
        if len(data) > MAX_RECORD and not data.endswith(b"\n"):
            beginning = data[:LONGEST_RAW].decode("utf-8", "surrogateescape")
            yield Rejected(index, f"{place}it is longer than {MAX_RECORD // 2**20} MB", beginning)
            del data
            _skip_line(content)
            index += 1
            continue
        text = data.decode("utf-8", "surrogateescape").removeprefix(BOM).strip()
        if text:
            try:
                yield as_record(index, loader.load(text), text, place=place)
            except RecordError as error:
                torn = " (it is the last line, and cut off)" if not data.endswith(b"\n") else ""
                yield Rejected(index, f"{place}{error}{torn}", text)
            index += 1


def _skip_line(content: BinaryIO) -> None:
    while (chunk := content.readline(_CHUNK)) and not chunk.endswith(b"\n"):
        pass
