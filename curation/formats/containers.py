"""Plain, gzip and zstd files as one stream of bytes, with a limit on what they unpack to."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import BinaryIO, cast

from backports import zstd

MAX_UNPACKED = 8 * 2**30
"""Bytes a file may unpack to."""

MAX_RATIO = 200
"""Unpacked bytes per packed byte, once FREE_UNPACKED bytes are passed; logs stay well below 100."""

FREE_UNPACKED = 16 * 2**20

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class ContainerError(ValueError):
    """A container that cannot be unpacked to its end; the text says why."""


def open_container(stream: BinaryIO) -> io.BufferedReader:
    """The file's content from its start, unpacked where it is gzip or zstd. Reading raises ContainerError."""
    stream.seek(0)
    magic = stream.read(4)
    stream.seek(0)
    content: BinaryIO | None = None
    if magic.startswith(_GZIP_MAGIC):
        content = cast("BinaryIO", gzip.GzipFile(fileobj=stream, mode="rb"))
    elif magic == _ZSTD_MAGIC:
        content = cast("BinaryIO", zstd.ZstdFile(stream))
    return io.BufferedReader(_Limited(content or stream, packed=stream if content else None), buffer_size=256 * 1024)


class _Limited(io.RawIOBase):
    """A stream that raises ContainerError where it is damaged, or unpacks to far more than `packed` was read of."""

    def __init__(self, content: BinaryIO, *, packed: BinaryIO | None) -> None:
        self._content = content
        self._packed = packed
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower than Buffer: we slice it
        try:
            data = self._content.read(len(buffer))
        except (EOFError, OSError, zlib.error, zstd.ZstdError) as error:
            raise ContainerError(f"the gzip or zstd data is damaged or cut off: {error}") from error
        self._count += len(data)
        self._check_size()
        buffer[: len(data)] = data
        return len(data)

    def _check_size(self) -> None:
        if self._count > MAX_UNPACKED:
            raise ContainerError(f"it unpacks to more than {MAX_UNPACKED // 2**30} GB")
        if self._packed and self._count > max(FREE_UNPACKED, MAX_RATIO * self._packed.tell()):
            raise ContainerError(f"it unpacks to more than {MAX_RATIO} times its size, which no recording does")
