"""What an import reads: one file, or the files of an archive or a folder, each in a format of its own."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from curation.formats.archives import Archive, Folder, open_archive
from curation.formats.base import Format, FormatError, Found, ImportContext, Rejected
from curation.formats.containers import ContainerError
from curation.formats.registry import COMPANIONS, UnknownFormatError, detect_stream, is_one_recording, looked_for

ARCHIVE = "archive"
"""What stands in place of a format's name where each file of many has its own."""


@dataclass(frozen=True)
class LeftOut:
    """A file of an archive or folder that holds no records: an image, a log, a script."""


@dataclass(frozen=True)
class Located:
    """What was made of a record, the file in an archive or folder it stands in (else empty), and that file's format."""

    found: Found | LeftOut
    member: str = ""
    format: str = ""


class Source:
    """A file or a folder, opened. `size` is the bytes of the files in it.

    Raises FormatError where it is an archive or a folder that cannot be opened.
    """

    def __init__(self, opened: BinaryIO | Path, context: ImportContext, *, chosen: Format | None = None) -> None:
        self._opened = opened
        self._context = context
        self._chosen = chosen
        self._done = 0
        self._recognised = False
        try:
            self._archive = self._open_archive()
        except ContainerError as error:
            raise FormatError(f"{context.filename!r} cannot be read: {error}.") from error
        self.size = sum(self._archive.size(name) for name in self._archive.names) if self._archive else 0

    @property
    def names(self) -> list[str]:
        """The files in an archive or a folder; none for a single file."""
        return list(self._archive.names) if self._archive else []

    @property
    def format_name(self) -> str:
        """The format of a single file, ARCHIVE for one of many. Raises FormatError for a file in none."""
        return ARCHIVE if self._archive else self._find_format(self._single(), self._context.filename).name

    def share(self, position: int, size: int) -> float:
        """How much was read; `position` is where the stream of a single file stands."""
        if self._archive is None:
            return position / size if size else 1.0
        return self._done / self.size if self.size else 1.0

    def read(self, *, most_of_each: int | None = None) -> Iterator[Located]:
        """Every record, or the first ones of each file of many. Raises for nothing that the files of many hold.

        A file of many in no format is one Rejected; a single one raises FormatError.
        """
        if self._archive is None:
            known = self._find_format(self._single(), self._context.filename)
            yield from map(partial(Located, format=known.name), known.parse(self._single(), self._context))
            return
        for name in self._archive.names:
            if posixpath.basename(name) not in COMPANIONS:
                yield from self._read_member(self._archive, name, most_of_each)
            self._done += self._archive.size(name)
        if not self._recognised:
            yield Located(Rejected(0, f"it holds no file in a known format; looked for: {looked_for()}", fatal=True))

    def _read_member(self, archive: Archive, name: str, most: int | None) -> Iterator[Located]:
        context = replace(self._context, filename=name, members=archive)
        try:
            with archive.open(name) as stream:
                known = self._find_format(stream, name)
                self._recognised = True
                locate = partial(_locate_in_member, member=name, format=known.name)
                yield from map(locate, islice(known.parse(stream, context), most))
        except UnknownFormatError as error:
            unknown = Rejected(0, f"it is in no known format: {error.found}")
            yield Located(unknown if error.layout else LeftOut(), member=name)
        except (FormatError, ContainerError) as error:
            yield Located(Rejected(0, str(error)), member=name)

    def _find_format(self, stream: BinaryIO, name: str) -> Format:
        return self._chosen or detect_stream(stream, name)

    def _single(self) -> BinaryIO:
        assert not isinstance(self._opened, Path)  # noqa: S101  # a folder is always an archive
        return self._opened

    def _open_archive(self) -> Archive | None:
        if isinstance(self._opened, Path):
            return Folder(self._opened)
        return None if is_one_recording(self._opened) else open_archive(self._opened)


def _locate_in_member(found: Found, *, member: str, format: str) -> Located:
    # What ends one file does not end the others.
    return Located(replace(found, fatal=False) if isinstance(found, Rejected) else found, member, format)
