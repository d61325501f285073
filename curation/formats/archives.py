"""The files of a zip, a tar or a folder, one at a time; nothing is ever unpacked under a name of its own."""

from __future__ import annotations

import os
import posixpath
import stat
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from backports import zstd
from backports.zstd import tarfile, zipfile

from curation.formats.base import RecordError
from curation.formats.containers import (
    FREE_UNPACKED,
    MAX_RATIO,
    MAX_UNPACKED,
    ContainerError,
    open_container,
)

MOST_MEMBERS = 200_000
"""Files in one archive."""

MAX_BESIDE = 64 * 2**20
"""Bytes of a file that is read because it stands beside another."""

_ZIP_MAGIC = b"PK\x03\x04"
_CHUNK = 2**20
_IN_MEMORY = 8 * 2**20
_TAR_MAGIC_AT = 257
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError, ValueError, zlib.error, zstd.ZstdError)
_NOISE = ("__MACOSX/", ".git/")


class Archive(Protocol):
    """Files by their path, "/" between its parts. `names` is sorted; what is no plain file is left out."""

    @property
    def names(self) -> Sequence[str]: ...

    def size(self, name: str) -> int:
        """Bytes that the file takes in the archive: for showing progress."""
        ...

    def open(self, name: str) -> BinaryIO:
        """The file as a seekable stream of its own. Raises ContainerError."""
        ...

    def read(self, name: str) -> bytes: ...


def open_archive(stream: BinaryIO) -> Archive | None:
    """The zip or tar (plain, gzip or zstd) that a file is; None where it is neither. Raises ContainerError."""
    stream.seek(0)
    if stream.read(4) == _ZIP_MAGIC:
        return _Zip(stream)
    head = open_container(stream).read(_TAR_MAGIC_AT + 5)
    return _Tar(_unpack_whole(stream)) if head[_TAR_MAGIC_AT:] == b"ustar" else None


def list_zip(stream: BinaryIO) -> Sequence[str]:
    """The names of a zip's members; none for any other file. Raises ContainerError where the zip is damaged."""
    stream.seek(0)
    return _Zip(stream).names if stream.read(4) == _ZIP_MAGIC else ()


class _Files:
    """What the kinds of archive share."""

    names: list[str]

    def open(self, name: str) -> BinaryIO:
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        """The content of a file that stands beside another. Raises RecordError."""
        try:
            with self.open(name) as stream:
                data = stream.read(MAX_BESIDE + 1)
        except ContainerError as error:
            raise RecordError(f"{name} beside it cannot be read: {error}") from error
        if len(data) > MAX_BESIDE:
            raise RecordError(f"{name} beside it is larger than {MAX_BESIDE // 2**20} MB")
        return data


class _Zip(_Files):
    def __init__(self, stream: BinaryIO) -> None:
        stream.seek(0)
        try:
            self._zip = zipfile.ZipFile(stream)
        except (*_DAMAGE, NotImplementedError) as error:
            raise ContainerError(f"the zip is damaged or cut off: {error}") from error
        infos = {
            _clean(info.filename): info for info in self._zip.infolist() if not info.is_dir() and not _is_link(info)
        }
        self._infos = {name: infos[name] for name in _pick(infos)}
        self.names = list(self._infos)

    def size(self, name: str) -> int:
        return self._infos[name].compress_size

    def open(self, name: str) -> BinaryIO:
        info = self._infos[name]
        if info.flag_bits & 0x1:
            raise ContainerError("it is encrypted")
        try:
            with self._zip.open(info) as packed:
                return _copy(cast("BinaryIO", packed), packed_size=info.compress_size)
        except ContainerError:
            raise
        except (*_DAMAGE, NotImplementedError, RuntimeError) as error:
            raise ContainerError(f"it cannot be unpacked: {error}") from error


class _Tar(_Files):
    def __init__(self, stream: BinaryIO) -> None:
        try:
            self._tar = tarfile.TarFile.open(fileobj=stream, mode="r:")
            members = {_clean(member.name): member for member in self._tar if member.isreg()}
        except _DAMAGE as error:
            raise ContainerError(f"the tar is damaged or cut off: {error}") from error
        self._members = {name: members[name] for name in _pick(members)}
        self.names = list(self._members)

    def size(self, name: str) -> int:
        return self._members[name].size

    def open(self, name: str) -> BinaryIO:
        member = self._tar.extractfile(self._members[name])
        if member is None:
            raise ContainerError("it is no plain file")
        return cast("BinaryIO", member)


class Folder(_Files):
    """A folder of this machine. Links that lead out of it are left out. Raises ContainerError."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        if not self._root.is_dir():
            raise ContainerError("it is no folder")
        self.names = _pick(self._walk())

    def size(self, name: str) -> int:
        return (self._root / name).stat().st_size

    def open(self, name: str) -> BinaryIO:
        path = self._root / name
        if not path.resolve().is_relative_to(self._root):
            raise ContainerError("it leads out of the folder")
        try:
            return path.open("rb")
        except OSError as error:
            raise ContainerError(f"it cannot be opened: {error.strerror}") from error

    def _walk(self) -> Iterator[str]:
        for folder, _, files in os.walk(self._root):
            for name in files:
                path = Path(folder) / name
                if path.is_file() and path.resolve().is_relative_to(self._root):
                    yield path.relative_to(self._root).as_posix()


def _pick(names: Iterable[str]) -> list[str]:
    """The names worth reading, sorted. Raises ContainerError where there are too many."""
    picked = []
    for name in names:
        if not name.startswith(_NOISE) and not posixpath.basename(name).startswith("."):
            picked.append(name)
        if len(picked) > MOST_MEMBERS:
            raise ContainerError(f"it holds more than {MOST_MEMBERS:,} files")
    return sorted(picked)


def _clean(name: str) -> str:
    """A member's name as something to show and to compare; it never names a file of ours."""
    return posixpath.normpath("/" + name.replace("\\", "/")).lstrip("/")


def _is_link(info: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(info.external_attr >> 16)


def _unpack_whole(stream: BinaryIO) -> BinaryIO:
    """The stream itself where it is not packed, else all it unpacks to, in a temporary file."""
    stream.seek(0)
    if stream.read(_TAR_MAGIC_AT + 5)[_TAR_MAGIC_AT:] == b"ustar":
        stream.seek(0)
        return stream
    return _copy(cast("BinaryIO", open_container(stream)), packed_size=None)


def _copy(content: BinaryIO, *, packed_size: int | None) -> BinaryIO:
    """A seekable copy, in memory while it is small. Raises ContainerError for what unpacks to far more than it was."""
    copy = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # the caller closes it
    size = 0
    while chunk := content.read(_CHUNK):
        size += len(chunk)
        if size > MAX_UNPACKED:
            raise ContainerError(f"it unpacks to more than {MAX_UNPACKED // 2**30} GB")
        if packed_size is not None and size > max(FREE_UNPACKED, MAX_RATIO * packed_size):
            raise ContainerError(f"it unpacks to more than {MAX_RATIO} times its size, which no recording does")
        copy.write(chunk)
    copy.seek(0)
    return cast("BinaryIO", copy)
