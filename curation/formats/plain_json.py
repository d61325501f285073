"""JSON by orjson, taken only where it gives exactly what the careful decoder of decoding.py would give.

Most records are plain. What orjson refuses, or passes over in silence (duplicate keys, NUL, numbers beyond 64 bits,
deep nesting), is left to the careful decoder, which says what is wrong with it.
"""

from __future__ import annotations

from typing import Any

import orjson

from curation.formats.cleaning import MAX_DEPTH

_LARGEST_EXACT = 2.0**62
"""orjson reads a whole number beyond 64 bits as a float of at least this size."""

_KEYS_ORJSON_HIDES = ('\\\\":', '" :', '"\t:', '"\n:', '"\r:')
"""Ends of keys that `count_keys` cannot tell from text inside a string."""


class NotPlainError(ValueError):
    """A text that only the careful decoder can judge."""


def load_plain(text: str) -> Any:
    """The value of a JSON text without anything odd in it. Raises NotPlainError for every other text."""
    try:
        value = orjson.loads(text)
    except ValueError as error:
        raise NotPlainError from error
    if "\\u0000" in text or any(end in text for end in _KEYS_ORJSON_HIDES):
        raise NotPlainError
    if _count_keys(value, depth=0) != text.count('":') - text.count('\\":'):
        raise NotPlainError  # keys that stand twice
    return value


def _count_keys(value: Any, *, depth: int) -> int:
    """Keys of all objects in a value."""
    if depth > MAX_DEPTH:
        raise NotPlainError
    count = 0
    if type(value) is dict:
        count = len(value)
        items: Any = value.values()
    else:
        items = value if type(value) is list else (value,)
    for item in items:
        kind = type(item)
        if kind is dict or kind is list:
            count += _count_keys(item, depth=depth + 1)
        elif kind is float and not -_LARGEST_EXACT < item < _LARGEST_EXACT:
            raise NotPlainError
    return count
