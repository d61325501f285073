"""Parquet and CSV as records: one row each, cells that hold JSON read as what they hold."""

from __future__ import annotations

import base64
import csv
import datetime
import decimal
import io
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from curation.formats.base import RecordError, Rejected
from curation.formats.cleaning import UncleanError, clean_value
from curation.formats.decoding import MAX_RECORD, Loader, Record

_PARQUET = b"PAR1"
_ROWS = 16
_KNOWN = {
    "messages", "conversations", "prompt", "completion", "chosen", "rejected", "instruction", "output", "response",
    "question", "answer", "query", "traj", "text", "steps", "history",
}  # fmt: skip


def is_parquet(head: bytes) -> bool:
    return head.startswith(_PARQUET)


def is_csv(head: bytes) -> bool:
    """Whether the first line is a header that names a field of a record, with a delimiter."""
    line = head.split(b"\n", 1)[0].decode("utf-8", "replace").lstrip("\ufeff")
    if line.lstrip().startswith(("{", "[")):
        return False
    delimiter = _find_delimiter(line)
    try:
        names = next(csv.reader([line], delimiter=delimiter), []) if delimiter else []
    except csv.Error:
        return False
    return len({name.strip().lower() for name in names} & _KNOWN) > 0 and all(len(name) < 100 for name in names)


def read_parquet(stream: BinaryIO) -> Iterator[Record | Rejected]:
    """Rows in order, a few at a time."""
    import pyarrow as pa  # 50 MB of memory in every process that never reads Parquet
    import pyarrow.parquet as pq

    index = 0
    stream.seek(0)
    try:
        for batch in pq.ParquetFile(stream).iter_batches(batch_size=_ROWS):
            for row in batch.to_pylist():
                yield _as_record(index, row)
                index += 1
    except (pa.ArrowException, OSError, ValueError) as error:
        yield Rejected(index, f"the Parquet file could not be read further: {error}", fatal=True)


def read_csv(content: BinaryIO) -> Iterator[Record | Rejected]:
    """Rows below the header, in order. A row with more cells than the header has is rejected."""
    text = io.TextIOWrapper(content, encoding="utf-8-sig", errors="surrogateescape", newline="")
    header = text.readline(MAX_RECORD)
    csv.field_size_limit(MAX_RECORD)
    delimiter = _find_delimiter(header) or ","
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    reader = csv.reader(text, delimiter=delimiter)
    index = 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Rejected(index, f"line {reader.line_num + 1}: it is no CSV: {error}", fatal=True)
            return
        if not row:
            continue
        if len(row) > len(names):
            reason = f"line {reader.line_num + 1}: it has {len(row)} cells, and the header {len(names)}"
            yield Rejected(index, reason, delimiter.join(row))
        else:
            filled = {name: cell for name, cell in zip(names, row, strict=False) if cell != ""}
            yield _as_record(index, filled)
        index += 1


def _as_record(index: int, row: dict[str, Any]) -> Record | Rejected:
    raw = json.dumps(row, default=str, ensure_ascii=False)
    try:
        value, replaced = clean_value({key: _read_cell(cell) for key, cell in row.items() if cell is not None})
    except (UncleanError, RecordError) as error:
        return Rejected(index, str(error), raw)
    warnings = (f"{replaced} characters replaced: NUL, or bytes that are not UTF-8",) if replaced else ()
    return Record(index, value, raw, warnings)


def _read_cell(cell: Any) -> Any:
    """A top-level cell; a text that is a JSON list or object is read."""
    if isinstance(cell, str) and cell[:1] in ("[", "{"):
        try:
            return Loader().load(cell)[0]
        except RecordError:
            return cell
    return _as_json(cell)


def _as_json(value: Any) -> Any:
    """A value as JSON has it; what a struct has no value for is left out, since Parquet fills every field."""
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    return str(value) if isinstance(value, datetime.timedelta) else value


def _find_delimiter(line: str) -> str | None:
    """The delimiter that stands most often in a header; a header of one name has the comma."""
    found = max(",;\t", key=line.count)
    return found if line.count(found) else ("," if line.strip().lower() in _KNOWN else None)
