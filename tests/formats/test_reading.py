from __future__ import annotations

import gzip
import io
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.formats import reading, scanning
from curation.formats.base import LONGEST_RAW, Rejected
from curation.formats.decoding import Record
from curation.formats.reading import find_layout, read_records
from curation.formats.scanning import EndFinder
from tests.formats.reading_aids import as_lines, pack


def read(data: bytes) -> list[Record | Rejected]:
    return list(read_records(io.BytesIO(data)))


def outline(results: list[Record | Rejected]) -> list[Any]:
    """Values of records and reasons of rejections, in order, their numbers checked."""
    numbers = [item.index if isinstance(item, Record) else item.record_index for item in results]
    assert numbers == list(range(len(results)))
    return [item.value if isinstance(item, Record) else item.reason for item in results]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        b'{"a": 1}\n{"a": 2}\n',
        b'{"a": 1}\r\n\r\n{"a": 2}',
        b'\xef\xbb\xbf{"a": 1}\n{"a": 2}\n',
        b'[{"a": 1},{"a": 2}]',
        b'\xef\xbb\xbf[\n  {"a": 1},\n  {"a": 2}\n]\n',
        b'{\n  "a": 1\n}\n{\n  "a": 2\n}\n',
    ],
)
def test_lists_lines_and_printed_objects_give_the_same_records(data: bytes, packed: bool) -> None:
    assert outline(read(pack(data) if packed else data)) == [{"a": 1}, {"a": 2}]


def test_a_torn_last_line_is_rejected_with_its_number() -> None:
    assert outline(read(b'{"a": 1}\n\n{"a": 2, "b')) == [
        {"a": 1},
        "line 3: it is not JSON: Unterminated string starting at its character 10 (it is the last line, and cut off)",
    ]


def test_lines_that_are_not_objects_are_rejected_and_the_rest_is_read() -> None:
    results = outline(read(b'{"a": 1}\n[1]\nnull\n"x"\n7\nnot json\n{"a": 2}\n'))
    assert results[0] == {"a": 1}
    assert results[-1] == {"a": 2}
    assert results[1:5] == [
        "line 2: it is a list, not an object",
        "line 3: it is null, not an object",
        "line 4: it is a string, not an object",
        "line 5: it is a bare value, not an object",
    ]
    assert results[5].startswith("line 6: it is not JSON: Expecting value")


def test_the_first_line_may_be_the_bad_one() -> None:
    assert outline(read(b'{"a": \n{"a": 2}\n'))[1] == {"a": 2}
    assert outline(read(b'[1]\n{"a": 2}\n'))[1] == {"a": 2}
    assert outline(read(b'# log\n{"a": 2}\n'))[1] == {"a": 2}


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_literals_that_are_not_json_cost_one_record_only(constant: str) -> None:
    bad = f'{{"a": {constant}}}'
    reason = f"it holds {constant}, which is not JSON"
    assert outline(read(f'[{{"a": 1}}, {bad}, {{"a": 2}}]'.encode())) == [{"a": 1}, reason, {"a": 2}]
    assert outline(read(f'{{"a": 1}}\n{bad}\n{{"a": 2}}\n'.encode())) == [{"a": 1}, f"line 2: {reason}", {"a": 2}]


def test_a_number_too_large_for_a_double_is_rejected() -> None:
    assert "too large" in str(outline(read(b'{"a": 1e999}'))[0])
    assert "integer" in str(outline(read(b'{"a": ' + b"9" * 5000 + b"}"))[0])


def test_large_whole_numbers_stay_exact() -> None:
    assert outline(read(b'{"a": 12345678901234567890123}')) == [{"a": 12345678901234567890123}]


@pytest.mark.parametrize("depth", [200, 5_000, 200_000])
def test_a_nesting_bomb_costs_one_record_only(depth: int) -> None:
    bomb = b'{"a": ' + b"[" * depth + b"]" * depth + b"}"
    for data in (b'{"a": 1}\n' + bomb + b'\n{"a": 2}\n', b'[{"a": 1}, ' + bomb + b', {"a": 2}]'):
        first, reason, last = outline(read(data))
        assert (first, last) == ({"a": 1}, {"a": 2})
        assert "nested" in reason


def test_a_broken_element_of_a_list_costs_one_record_only() -> None:
    results = outline(read(b'[{"a": 1}, {"a": }, {"a" "},{"}, {"a": [1 2]}, 5, {"a": 2}]'))
    assert results[0] == {"a": 1}
    assert results[-1] == {"a": 2}
    assert all(isinstance(reason, str) for reason in results[1:-1])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'[{"a": 1}, {"a": 2', "it is not JSON"),
        (b'[{"a": 1},', "the file ends before the end of its list"),
        (b'[{"a": 1} {"a": 2}]', "neither a comma nor its end"),
        (b'[{"a": 1}]]', "there is more after the end of the list"),
        (b'[{"a": 1}, ' + b"[" * 5_000_000, "nested too deep"),
    ],
)
def test_a_list_that_breaks_off_keeps_what_came_before(data: bytes, reason: str) -> None:
    first, last = read(data)
    assert isinstance(first, Record)
    assert isinstance(last, Rejected)
    assert reason in last.reason
    assert last.fatal


def test_what_cannot_be_stored_is_replaced_and_counted() -> None:
    (record,) = read(b'{"a\\u0000": "x\\u0000\\ud800y", "emoji": "\\ud83d\\ude00", "bytes": "\xff\xfe"}')
    assert isinstance(record, Record)
    assert record.value == {"a\ufffd": "x\ufffd\ufffdy", "emoji": "\U0001f600", "bytes": "\ufffd\ufffd"}
    assert record.warnings == ("5 characters replaced: NUL, lone surrogates, or bytes that are not UTF-8",)


def test_duplicate_keys_are_counted_and_the_last_value_kept() -> None:
    (record,) = read(b'{"a": 1, "a": 2, "b": {"c": 1, "c": 1}}')
    assert isinstance(record, Record)
    assert record.value == {"a": 2, "b": {"c": 1}}
    assert record.warnings == ("2 duplicate keys: the last value of each was kept",)


def test_a_record_over_the_limit_is_rejected_and_the_next_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_RECORD", 2**20)
    long = json.dumps({"a": "x" * (3 * 2**20)}).encode()
    results = read(long + b'\n{"a": 2}\n')
    assert outline(results) == ["line 1: it is longer than 1 MB", {"a": 2}]
    assert isinstance(results[0], Rejected)
    assert results[0].raw == long[:LONGEST_RAW].decode()


def test_an_element_over_the_limit_is_rejected_and_the_next_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "MAX_RECORD", 2**20)
    long = json.dumps({"a": '"]}\\' * 2**20, "b": [[1, {"c": []}]]})
    first, rejected, last = read(f'[{{"a": 1}}, {long}, {{"a": 2}}]'.encode())
    assert isinstance(first, Record)
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.raw, rejected.fatal) == (scanning.TOO_LARGE, long[:LONGEST_RAW], False)
    assert isinstance(last, Record)
    assert last.value == {"a": 2}


@given(st.recursive(st.text('"\\[]{},u'), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)), st.data())
def test_the_end_of_a_value_is_the_same_in_pieces(value: Any, data: st.DataObject) -> None:
    text = json.dumps({"a": value})
    finder, rest, read_so_far = EndFinder(), text + ",", ""
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        piece, rest = read_so_far + rest[:size], rest[size:]
        end, found = finder.find(piece, 0)
        if found:
            assert piece[end:] + rest == ","
            return
        read_so_far = piece[end:]
    raise AssertionError("its end was not found")


def test_a_list_is_read_through_a_small_window() -> None:
    values = [{"a": "x" * size, "n": size} for size in (10, 300_000, 5, 700_000, 262_144, 1)]
    assert outline(read(json.dumps(values).encode())) == values
    text = json.dumps([{"e": "\u20ac" * 200_000}] * 3, ensure_ascii=False).encode()
    assert len(read(text)) == 3


def test_a_gzip_bomb_is_refused() -> None:
    bomb = pack(b"[" + b" " * (40 * 2**20) + b'{"a": 1}]')
    (rejected,) = read(bomb)
    assert isinstance(rejected, Rejected)
    assert rejected.fatal
    assert "200 times its size" in rejected.reason


def test_a_gzip_file_that_is_cut_off_is_refused() -> None:
    (rejected,) = read(pack(as_lines({"a": 1}, {"a": 2}))[:-9])
    assert isinstance(rejected, Rejected)
    assert rejected.fatal
    assert "damaged or cut off" in rejected.reason


def test_a_large_gzip_file_that_is_cut_off_keeps_what_came_before() -> None:
    values = [{"n": number, "text": f"{number * 7919:x}" * 40} for number in range(12_000)]
    packed = gzip.compress(as_lines(*values), mtime=0)
    results = read(packed[: len(packed) * 3 // 4])
    assert len(results) > 4_000
    assert all(isinstance(item, Record) for item in results[:-1])
    assert isinstance(results[-1], Rejected)
    assert results[-1].fatal


@pytest.mark.parametrize("data", [b"", b"   \n", b"plain text", b"\x00\x01\x02{", b"PK\x03\x04", b"\xff\xfe{\x00"])
def test_what_is_no_json_is_one_rejection(data: bytes) -> None:
    (rejected,) = read(data)
    assert isinstance(rejected, Rejected)
    assert rejected.fatal


def test_layouts_are_told_apart() -> None:
    assert find_layout(b'{"a": 1}') == "lines"
    assert find_layout(b'{"a": ' + b"x" * 100) == "lines"
    assert find_layout(b'{\n"a": 1}') == "object"
    assert find_layout(b'[{"a": 1},\n{"a": 2}]') == "array"
    assert find_layout(b"Question: x") is None


@pytest.mark.parametrize("stray", [",", "}", "]", "nope,"])
def test_a_stray_mark_between_printed_objects_ends_the_reading(stray: str) -> None:
    data = b'{\n"a": 1\n}\n' + stray.encode() + b'\n{\n"a": 2\n}\n'
    results = list(itertools.islice(read_records(io.BytesIO(data)), 20))
    assert outline(results)[0] == {"a": 1}
    assert isinstance(results[-1], Rejected)
    assert results[-1].fatal
