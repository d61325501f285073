"""Plain and gzip files as one stream of bytes, with a limit on what they unpack to."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import BinaryIO

MAX_UNPACKED = 8 * 2**30
"""Bytes a file may unpack to."""

MAX_RATIO = 200
"""Unpacked bytes per packed byte, once FREE_UNPACKED bytes are passed; logs stay well below 100."""

FREE_UNPACKED = 16 * 2**20

_GZIP_MAGIC = b"\x1f\x8b"


class ContainerError(ValueError):
    """A container that cannot be unpacked to its end; the text says why."""


def open_container(stream: BinaryIO) -> io.BufferedReader:
    """The file's content from its start, unpacked where it is gzip. Reading raises ContainerError."""
    stream.seek(0)
    packed = stream.read(2) == _GZIP_MAGIC
    stream.seek(0)
    return io.BufferedReader(_Unpacked(stream, packed=packed), buffer_size=256 * 1024)


class _Unpacked(io.RawIOBase):
    def __init__(self, stream: BinaryIO, *, packed: bool) -> None:
        self._stream = stream
        self._content = gzip.GzipFile(fileobj=stream) if packed else stream
        self._packed = packed
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower than Buffer: we slice it
        try:
            data = self._content.read(len(buffer))
        except (EOFError, OSError, zlib.error) as error:
            raise ContainerError(f"the gzip data is damaged or cut off: {error}") from error
        self._count += len(data)
        self._check_size()
        buffer[: len(data)] = data
        return len(data)

    def _check_size(self) -> None:
        if self._count > MAX_UNPACKED:
            raise ContainerError(f"it unpacks to more than {MAX_UNPACKED // 2**30} GB")
        if self._packed and self._count > max(FREE_UNPACKED, MAX_RATIO * self._stream.tell()):
            raise ContainerError(f"it unpacks to more than {MAX_RATIO} times its size, which no recording does")
