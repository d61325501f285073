from __future__ import annotations

import bz2
import io
import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from curation.formats.base import FormatError
from curation.formats.registry import FORMATS, detect_format, detect_stream, get_format
from tests.formats.reading_aids import as_lines, chat_record, pack, plain_document

ATTEMPT = {"task_id": 1, "reward": 1.0, "traj": [], "info": {}, "trial": 0}
ATIF = {"schema_version": "ATIF-v1.4", "agent": {"name": "a", "version": "1"}, "steps": []}
OWN = plain_document("look") | {"schema_version": "ATIF-v1.8"}


def detect(data: bytes) -> str:
    return detect_stream(io.BytesIO(data), "upload").name


@pytest.mark.parametrize(
    ("name", "value"), [("tau-bench", ATTEMPT), ("atif", ATIF), ("whetstone", OWN), ("chat", chat_record())]
)
def test_a_format_is_found_by_content_in_every_layout(name: str, value: dict[str, Any]) -> None:
    assert detect(as_lines(value, value)) == name
    assert detect(pack(as_lines(value))) == name
    assert detect(json.dumps([value]).encode()) == name
    assert detect(json.dumps(value, indent=2).encode()) == name
    assert detect(b"not json\n[1]\n" + as_lines(value)) == name


def test_a_list_of_messages_is_chat() -> None:
    assert detect(b'[{"role": "user", "content": "x"}]') == "chat"


def test_a_large_single_object_is_found(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_text(json.dumps(chat_record("x" * 3_000_000), indent=1))
    assert detect_format(path, "large").name == "chat"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"hello", "neither JSON nor JSON lines, nor a table"),
        ('{"messages": "é"}'.encode("utf-16"), "text in UTF-16 or UTF-32: save it as UTF-8"),
        ('[{"messages": "é"}]'.encode("utf-16-le"), "text in UTF-16 or UTF-32: save it as UTF-8"),
        ('{"messages": "é"}'.encode("utf-32"), "text in UTF-16 or UTF-32: save it as UTF-8"),
        (bz2.compress(b"{}"), "a file packed with bzip2: unpack it"),
        (lzma.compress(b"{}"), "a file packed with xz: unpack it"),
        (b" <!DOCTYPE html><html>", "a web page"),
        (b"\x89PNG\r\n", "an image"),
        (b"[1, 2]", "JSON without any object"),
        (b'{"solutions": [], "tasks": []}', "JSON lines, the first object with `solutions`, `tasks`"),
        (b'[{"kind": "x"}]', "a JSON list whose first object has `kind`"),
        (b'{"<script>": 1}', "`<script>`"),
    ],
)
def test_an_unknown_format_is_refused_with_what_was_found_and_looked_for(data: bytes, found: str) -> None:
    with pytest.raises(FormatError, match="no known format") as error:
        detect(data)
    assert found in str(error.value)
    assert all(known.label in str(error.value) for known in FORMATS)


def test_two_formats_that_fit_are_refused_with_both_names() -> None:
    with pytest.raises(FormatError, match=r"fits more than one format: ATIF, tau-bench results. Choose"):
        detect(as_lines(ATTEMPT | {"schema_version": "1.8", "agent": {}, "steps": []}))


def test_a_specific_format_goes_before_a_general_one() -> None:
    assert detect(as_lines(ATTEMPT | {"messages": []})) == "tau-bench"


def test_a_damaged_zip_is_refused() -> None:
    with pytest.raises(FormatError, match="the zip is damaged or cut off"):
        detect(b"PK\x03\x04....")


def test_damaged_gzip_is_refused() -> None:
    with pytest.raises(FormatError, match="damaged or cut off"):
        detect(pack(as_lines(ATTEMPT))[:-4])


def test_a_format_can_be_named() -> None:
    assert get_format("atif").label == "ATIF"
    with pytest.raises(FormatError, match=r"There is no format 'xml'\. Known: whetstone, atif, inspect, "):
        get_format("xml")
