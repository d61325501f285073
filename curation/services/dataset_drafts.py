"""One side of a version on its way to a file: rows as they come, then in their final order and with their weights."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

import orjson

from curation.selection import Candidate
from curation.services.dataset_files import keep_file, locate_file
from curation.services.dataset_rows import Built, list_shapes

END = b"}\n"


class DraftRow(NamedTuple):
    """What is known of a row but its position and its weight. `content` is the SHA-256 of what is learnt from: without
    weight and difficulty, and without the numbers that our database has for where it comes from."""

    offset: int
    candidate: Candidate
    characters: int
    content: bytes


class Draft:
    """Lines without weights in a file without a name: it vanishes with the process, however that ends.

    `heralds` are the rows that go to the front of the final file: `datasets.load_dataset` infers types from the first
    10 MB, and fails at a kind of message that it meets for the first time after that.
    """

    def __init__(self, folder: Path) -> None:
        self.rows: list[DraftRow] = []
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed by __exit__
        self._heralds: set[int] = set()
        self._shapes: set[object] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def add(self, built: Built) -> None:
        """Write a row that has content."""
        assert built.content is not None  # noqa: S101  # narrows the type
        band = built.candidate.band
        shapes = {("band", band is None), *list_shapes(built.content)}
        if not shapes <= self._shapes:
            self._heralds.add(len(self.rows))
            self._shapes |= shapes
        origin, content = orjson.dumps(built.origin | {"band": band}), orjson.dumps(built.content)
        digest = hashlib.sha256(content).digest()
        self.rows.append(DraftRow(self._file.tell(), built.candidate, built.characters, digest))
        self._file.writelines((origin[:-1], b",", content[1:], b"\n"))

    def in_order(self) -> Iterator[DraftRow]:
        """The rows as they stand in the final file."""
        for number in sorted(range(len(self.rows)), key=lambda number: (number not in self._heralds, number)):
            yield self.rows[number]

    def keep(self, prefix: str, weigh: Callable[[Candidate], float], beat: Callable[[], None]) -> str:
        """Write the final file, named by its SHA-256, which is returned. `prefix` is its name's until it is whole."""
        folder = locate_file("0" * 64).parent
        digest = hashlib.sha256()
        with tempfile.NamedTemporaryFile(dir=folder, prefix=prefix, delete=False) as file:
            for row in self.in_order():
                self._file.seek(row.offset)
                # Spliced into the text: there is no need to parse a line once more.
                line = self._file.readline().removesuffix(END)
                weighted = b'%b,"weight":%b%b' % (line, orjson.dumps(weigh(row.candidate)), END)
                digest.update(weighted)
                file.write(weighted)
                beat()
            keep_file(file, locate_file(digest.hexdigest()))
        return digest.hexdigest()
