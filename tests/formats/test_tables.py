"""Parquet and CSV hold the records that JSON lines hold."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.formats.base import ImportContext, Parsed, Rejected
from curation.formats.document import text_of
from curation.formats.registry import detect_stream
from curation.formats.sources import Source
from tests.formats.reading_aids import chat_record
from tests.formats.samples import TURNS


def make_parquet(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def make_csv(rows: list[list[str]], delimiter: str = ",") -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    return buffer.getvalue().encode()


def read(content: bytes) -> list[Any]:
    return [located.found for located in Source(io.BytesIO(content), ImportContext(filename="table")).read()]


@pytest.mark.parametrize("as_text", [True, False])
def test_a_parquet_file_reads_as_its_records_do(as_text: bool) -> None:
    plain = [{"role": turn["role"], "content": turn["content"]} for turn in TURNS[::3]]
    rows = [{"messages": json.dumps(plain) if as_text else plain, "reward": 0.5, "task_id": f"t{n}"} for n in range(40)]
    found = read(make_parquet(rows))
    assert len(found) == 40
    document = found[39].document
    assert (document.task.id, document.outcome.reward, len(document.steps)) == ("t39", 0.5, 2)


def test_what_parquet_fills_in_is_left_out() -> None:
    rows = [{"messages": TURNS}]
    (found,) = read(make_parquet(rows))
    assert found.warnings == ()
    assert [len(step.tool_calls or []) for step in found.document.steps] == [0, 1, 0]


def test_a_damaged_parquet_file_is_said_to_be_so() -> None:
    content = make_parquet([chat_record()])
    (found,) = list(detect_stream(io.BytesIO(content), "x").parse(io.BytesIO(content[:-20]), ImportContext()))
    assert isinstance(found, Rejected)
    assert "Parquet" in found.reason


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_file_reads_as_its_records_do(delimiter: str) -> None:
    rows = [["id", "instruction", "output"], ["a", "Say\nhi", 'He said "hi"'], ["b", "Go", "ok"]]
    content = make_csv(rows, delimiter)
    for packed in (content, gzip.compress(content), b"\xef\xbb\xbf" + content):
        first, second = (found.document for found in read(packed))
        assert (first.task.id, text_of(first.steps[0].message)) == ("a", "Say\nhi")
        assert text_of(first.steps[1].message) == 'He said "hi"'
        assert second.task.id == "b"


def test_messages_in_a_cell_are_read_as_json() -> None:
    (found,) = read(make_csv([["messages", "success"], [json.dumps(TURNS), ""]]))
    assert isinstance(found, Parsed)
    assert len(found.document.steps) == 3


def test_a_row_with_too_many_cells_is_rejected_with_its_line() -> None:
    good, bad, more = read(b"instruction,output\na,b\na,b,c\nc,d\n")
    assert (isinstance(good, Parsed), isinstance(more, Parsed)) == (True, True)
    assert bad.reason == "line 3: it has 3 cells, and the header 2"
