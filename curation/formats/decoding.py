"""JSON text to clean values, with what was put right in them; and how a broken text is described."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from curation.formats.base import RecordError, Rejected
from curation.formats.cleaning import UncleanError, clean_value
from curation.formats.plain_json import NotPlainError, load_plain

MAX_RECORD = 128 * 2**20
"""Bytes (in a list: characters) of one record."""

BOM = "\ufeff"
_SPACE = re.compile(r"[ \t\r\n\ufeff]*")


@dataclass(frozen=True)
class Record:
    """One object of a file: its cleaned value, its text or the beginning of it, and what was put right in it."""

    index: int
    value: dict[str, Any]
    raw: str
    warnings: tuple[str, ...] = ()


def as_record(index: int, loaded: tuple[Any, tuple[str, ...]], raw: str, *, place: str = "") -> Record | Rejected:
    value, warnings = loaded
    if not isinstance(value, dict):
        kind = {"list": "a list", "str": "a string", "NoneType": "null"}.get(type(value).__name__, "a bare value")
        return Rejected(index, f"{place}it is {kind}, not an object", raw)
    return Record(index, value, raw, warnings)


class Loader:
    """JSON text to values, noticing what Python's decoder passes over: NaN, Infinity and duplicate keys."""

    def __init__(self) -> None:
        self._constant = ""
        self._duplicates = 0
        self._decoder = json.JSONDecoder(
            strict=False, parse_constant=self._note_constant, object_pairs_hook=self._build_object
        )

    def decode(self, text: str, position: int) -> tuple[Any, int]:
        """The value at a position and where it ends. Raises ValueError or RecursionError."""
        self._constant, self._duplicates = "", 0
        return self._decoder.raw_decode(text, position)

    def finish(self, value: Any) -> tuple[Any, tuple[str, ...]]:
        """A decoded value cleaned, and what was put right. Raises RecordError."""
        if self._constant:
            raise RecordError(f"it holds {self._constant}, which is not JSON")
        try:
            cleaned, replaced = clean_value(value)
        except UncleanError as error:
            raise RecordError(str(error)) from error
        warnings = []
        if replaced:
            warnings.append(f"{replaced} characters replaced: NUL, lone surrogates, or bytes that are not UTF-8")
        if self._duplicates:
            warnings.append(f"{self._duplicates} duplicate keys: the last value of each was kept")
        return cleaned, tuple(warnings)

    def load(self, text: str) -> tuple[Any, tuple[str, ...]]:
        """The one value of a text, cleaned, and what was put right. Raises RecordError."""
        try:
            return load_plain(text), ()
        except NotPlainError:
            start = skip_space(text, 0)
        try:
            value, end = self.decode(text, start)
        except (ValueError, RecursionError) as error:
            raise RecordError(describe_broken(error, start=0)) from error
        if skip_space(text, end) < len(text):
            raise RecordError(f"there is more after the end of its JSON, at character {end + 1}")
        return self.finish(value)

    def _note_constant(self, name: str) -> None:
        self._constant = name

    def _build_object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built = dict(pairs)
        self._duplicates += len(pairs) - len(built)
        return built


def skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def describe_broken(error: ValueError | RecursionError, *, start: int) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, json.JSONDecodeError):
        message = error.msg.removesuffix(" at")
        return f"it is not JSON: {message} at its character {error.pos - start + 1}"
    return f"it is not usable JSON: {error}"
