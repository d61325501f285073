"""The quick way to read JSON gives what the careful way gives, or leaves the text to it."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.formats.decoding import Loader, Record
from curation.formats.document import _unify_numbers, _Written
from curation.formats.plain_json import NotPlainError, load_plain
from curation.formats.reading import read_records

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def read_carefully(text: str) -> Any:
    value, end = Loader().decode(text, 0)
    assert end == len(text)
    return Loader().finish(value)


@given(value=VALUES, spaced=st.booleans())
def test_a_plain_text_reads_as_the_careful_decoder_reads_it(value: Any, spaced: bool) -> None:
    text = json.dumps(value, indent=1 if spaced else None)
    try:
        plain = load_plain(text)
    except NotPlainError:
        return
    assert (plain, ()) == read_carefully(text)
    assert repr(plain) == repr(read_carefully(text)[0])  # 1, 1.0 and True are equal, and not the same


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"a": {"b": 1, "b": 1}}',
        '{"a" : 1, "a\\\\": 2}',
        '{"a": "\\u0000"}',
        '{"a": 123456789012345678901234567890}',
        '{"a": NaN}',
        '{"a": "\\ud800"}',
        "[" * 150 + "]" * 150,
        '{"a": "\udcff"}',
        "{",
        "",
    ],
)
def test_whatever_is_odd_is_left_to_the_careful_decoder(text: str) -> None:
    with pytest.raises(NotPlainError):
        load_plain(text)


def test_text_that_looks_like_a_key_does_not_hide_a_key_that_stands_twice() -> None:
    with pytest.raises(NotPlainError):
        load_plain('{"a": "\\":", "a": 1, "b\\\\": 2}')
    assert load_plain('{"a": "say \\":\\" twice"}') == {"a": 'say ":" twice'}


@given(values=st.lists(st.fixed_dictionaries({"id": VALUES}, optional={"more": VALUES}), min_size=2, max_size=6))
def test_a_list_reads_the_same_whether_ends_were_guessed_or_not(values: list[dict[str, Any]]) -> None:
    text = json.dumps(values)
    found = list(read_records(io.BytesIO(text.encode())))
    for index, item in enumerate(found):
        if isinstance(item, Record):
            assert repr(item.value) == repr(read_carefully(json.dumps(values[index]))[0])
    assert [item.index if isinstance(item, Record) else item.record_index for item in found] == list(range(len(values)))


@given(value=VALUES.filter(lambda value: not {"NaN", "Infinity"} & set(re.findall(r"[A-Za-z]+", json.dumps(value)))))
def test_the_quick_canonical_form_is_the_careful_one(value: Any) -> None:
    try:
        written = _Written({"value": value}).canonical
    except UnicodeEncodeError:
        return  # a lone surrogate, which no clean document has
    careful = json.dumps(
        _unify_numbers({"value": value}), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
    assert written == careful
