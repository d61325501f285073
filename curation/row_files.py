"""JSON lines as the other files that rows go out in: compressed, or Parquet. Pure, in memory that does not grow.

The same lines give the same bytes, as long as the libraries are the same.
"""

from __future__ import annotations

import gzip
import shutil
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

import orjson
from backports import zstd

BLOCK = 2**20
GROUP_BYTES = 16 * 2**20
"""Of the lines that one row group of Parquet holds; a longer line is a group of its own."""


class RowFormat(NamedTuple):
    """A way to write rows: `write` makes the file out of the JSON lines; `loader` is the builder of `datasets`."""

    suffix: str
    label: str
    media_type: str
    loader: str
    write: Callable[[Path, IO[bytes]], None]


class _Target(Protocol):
    def write(self, data: bytes, /) -> object: ...


def write_plain(lines: Path, target: _Target) -> None:
    with lines.open("rb") as source:
        shutil.copyfileobj(source, target, BLOCK)


def write_gzip(lines: Path, target: IO[bytes]) -> None:
    """Without a name or a time in it, so that it is the same whenever it is made."""
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=target, mtime=0) as packed:
        write_plain(lines, packed)


def write_zstd(lines: Path, target: IO[bytes]) -> None:
    with zstd.ZstdFile(target, "wb", level=6) as packed:
        write_plain(lines, packed)


def write_parquet(lines: Path, target: IO[bytes]) -> None:
    """All rows have the columns of the first one; a message is one value of Parquet's type JSON.

    So a message has the keys that it has and no others, and `datasets` loads the same as from the JSON lines.
    """
    import pyarrow as pa  # 50 MB of memory in every process that never writes Parquet
    import pyarrow.parquet as pq

    types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string(), list: pa.list_(pa.string())}
    with lines.open("rb") as source:
        first = source.readline()
    names = orjson.loads(first) if first else {}
    # The only column that may be null is a number: the difficulty.
    schema = pa.schema([(name, types.get(type(value), pa.int64())) for name, value in names.items()])
    texts = pa.list_(pa.string())
    typed = pa.schema([one.with_type(pa.list_(pa.json_())) if one.type == texts else one for one in schema])
    with pq.ParquetWriter(target, typed, compression="zstd") as writer:
        for rows in _read_groups(lines):
            writer.write_table(pa.Table.from_pylist(rows, schema=schema).cast(typed))


def write_line_starts(lines: Path, target: IO[bytes]) -> None:
    """Where each line begins, and where the last one ends: 8 bytes each, of this machine's order."""
    starts, at = array("Q", [0]), 0
    with lines.open("rb") as source:
        for line in source:
            at += len(line)
            starts.append(at)
            if len(starts) >= BLOCK:
                target.write(starts.tobytes())
                starts = array("Q")
    target.write(starts.tobytes())


def read_line(lines: Path, starts: Path, number: int) -> bytes:
    """The line of this number, from 0, without reading those before. Raises IndexError where there is none."""
    places = array("Q")
    with starts.open("rb") as file:
        file.seek(number * places.itemsize)
        places.frombytes(file.read(2 * places.itemsize))
    if len(places) < 2:
        raise IndexError(f"There is no line {number}.")
    with lines.open("rb") as source:
        source.seek(places[0])
        return source.read(places[1] - places[0])


def _read_groups(lines: Path) -> Iterator[list[dict[str, Any]]]:
    """The rows of one row group after the other, each message as its JSON."""
    rows: list[dict[str, Any]] = []
    size = 0
    with lines.open("rb") as source:
        for line in source:
            rows.append({name: _write_messages(value) for name, value in orjson.loads(line).items()})
            size += len(line)
            if size >= GROUP_BYTES:
                yield rows
                rows, size = [], 0
    if rows:
        yield rows


def _write_messages(value: Any) -> Any:
    return [orjson.dumps(message).decode() for message in value] if isinstance(value, list) else value


FORMATS: dict[str, RowFormat] = {
    one.suffix: one
    for one in (
        RowFormat("jsonl", "JSON lines", "application/jsonl", "json", write_plain),
        RowFormat("jsonl.gz", "JSON lines, gzip", "application/gzip", "json", write_gzip),
        RowFormat("jsonl.zst", "JSON lines, zstd", "application/zstd", "json", write_zstd),
        RowFormat("parquet", "Parquet", "application/vnd.apache.parquet", "parquet", write_parquet),
    )
}
"""By suffix; the first is what is frozen."""
