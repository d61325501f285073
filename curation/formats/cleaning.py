"""What a database cannot hold is replaced, and counted: NUL characters, lone surrogates, bytes that are not UTF-8."""

from __future__ import annotations

import math
import re
from typing import Any

MAX_DEPTH = 100
"""Nesting levels of a record; recorded trajectories stay below 20."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\ufffd"


class UncleanError(ValueError):
    """A value that cannot be stored even after cleaning; the text says why."""


def clean_text(text: str) -> tuple[str, int]:
    """The text with U+FFFD for what cannot be stored, and how many characters were replaced."""
    return _UNSTORABLE.subn(_REPLACEMENT, text)


def clean_value(value: Any) -> tuple[Any, int]:
    """A parsed JSON value with all its strings and keys cleaned, and how many characters were replaced.

    Raises UncleanError for a number beyond a double's range or for more than MAX_DEPTH levels.
    """
    cleaner = _Cleaner()
    return cleaner.clean(value, depth=0), cleaner.replaced


class _Cleaner:
    def __init__(self) -> None:
        self.replaced = 0

    def clean(self, value: Any, *, depth: int) -> Any:
        if isinstance(value, str):
            return self.clean_string(value)
        if depth > MAX_DEPTH and isinstance(value, dict | list):
            raise UncleanError(f"it is nested more than {MAX_DEPTH} levels deep")
        if isinstance(value, dict):
            return {self.clean_string(key): self.clean(item, depth=depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self.clean(item, depth=depth + 1) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            raise UncleanError("it holds a number that is NaN, infinite or too large")
        return value

    def clean_string(self, text: str) -> str:
        cleaned, count = clean_text(text)
        self.replaced += count
        return cleaned
