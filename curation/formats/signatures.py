"""What a file is that cannot be read, by how it begins, so that its owner knows what to do about it."""

from __future__ import annotations

_ENCODED = "text in UTF-16 or UTF-32: save it as UTF-8"
_PACKED = "unpack it, or pack it with gzip, zstd or zip"
_SIGNATURES = (
    (b"\xff\xfe", _ENCODED),
    (b"\xfe\xff", _ENCODED),
    (b"\0\0\xfe\xff", _ENCODED),
    (b"BZh", f"a file packed with bzip2: {_PACKED}"),
    (b"\xfd7zXZ", f"a file packed with xz: {_PACKED}"),
    (b"7z\xbc\xaf\x27\x1c", f"a 7z archive: {_PACKED}"),
    (b"Rar!", f"a RAR archive: {_PACKED}"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"SQLite format 3", "an SQLite database"),
    (b"ARROW1", "an Arrow file: save it as Parquet"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
)


def describe_content(raw: bytes) -> str:
    """What a file is whose first bytes are neither JSON nor a table."""
    begins = raw.lstrip()[:16].lower()
    for signature, name in _SIGNATURES:
        if begins.startswith(signature.lower()):
            return name
    return _ENCODED if is_wide(raw) else "neither JSON nor JSON lines, nor a table"


def is_wide(raw: bytes) -> bool:
    """Whether letters take more than one byte each, as in UTF-16: JSON in UTF-8 begins with no NUL."""
    return b"\0" in raw[:4]
