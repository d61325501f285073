"""Where the rows of frozen versions lie: JSON lines named by their SHA-256, and what is made of them for export.

What is made lies in a folder of the file that it was made from, named by its own SHA-256. It is made once, when it is
first asked for: whoever asks meanwhile waits for it, and a half-made file never has a name that is looked for.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from django.conf import settings
from django.db import connection

from curation.row_files import FORMATS, read_line, write_line_starts


class StoredFile(NamedTuple):
    path: Path
    sha256: str


def locate_file(sha256: str) -> Path:
    """Where the rows with this hash are kept. Raises ValueError for what is no hash."""
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ValueError(f"{sha256!r} is no SHA-256.")
    return Path(settings.HOME) / "datasets" / f"{sha256}.jsonl"


def find_rows(sha256: str, suffix: str = "jsonl") -> StoredFile:
    """The rows with this hash in a format of FORMATS, made now where nobody asked for it before.

    Raises FileNotFoundError where the rows are gone from the disk.
    """
    if suffix == "jsonl":
        path = locate_file(sha256)
        path.stat()
        return StoredFile(path, sha256)
    return _find_made(sha256, suffix, FORMATS[suffix].write)


def read_row(sha256: str, position: int) -> bytes:
    """One row as a line of JSON. Raises FileNotFoundError where the rows are gone, IndexError without such a row."""
    starts = _find_made(sha256, "starts", write_line_starts)
    return read_line(locate_file(sha256), starts.path, position)


def remove_rows(sha256: str) -> None:
    """Remove the rows with this hash, and all that was made of them."""
    locate_file(sha256).unlink(missing_ok=True)
    shutil.rmtree(_locate_made(sha256), ignore_errors=True)


def lock_files() -> None:
    """Hold, until the transaction ends, what a version's end and a removal have to agree on: which files are in use."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('dataset files', 0))")


def keep_file(file: IO[bytes], path: Path) -> None:
    """Give a written temporary file its lasting name, once it is on the disk; nobody writes to it any more."""
    file.flush()
    os.fsync(file.fileno())
    written = Path(file.name)
    written.chmod(0o440)
    written.replace(path)


def _locate_made(sha256: str) -> Path:
    return locate_file(sha256).parent / "made" / sha256


def _find_made(sha256: str, suffix: str, write: Callable[[Path, IO[bytes]], None]) -> StoredFile:
    source, folder = locate_file(sha256), _locate_made(sha256)
    source.stat()
    if found := _look(folder, suffix):
        return found
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if found := _look(folder, suffix):
            return found
        for leftover in folder.glob(".making-*"):  # of whoever was killed
            leftover.unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".making-", delete=False) as file:
            write(source, file)
            file.flush()
            with open(file.name, "rb") as written:
                made = hashlib.file_digest(written, "sha256").hexdigest()
            path = folder / f"{made}.{suffix}"
            keep_file(file, path)
    return StoredFile(path, made)


def _look(folder: Path, suffix: str) -> StoredFile | None:
    for path in folder.glob(f"*.{suffix}"):
        sha256 = path.name.removesuffix(f".{suffix}")
        if len(sha256) == 64:
            return StoredFile(path, sha256)
    return None
