"""Values one after another in a text too large to hold: the elements of a list, or objects over several lines."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import BinaryIO

from curation.formats.base import LONGEST_RAW, RecordError, Rejected
from curation.formats.decoding import (
    MAX_RECORD,
    Loader,
    Record,
    as_record,
    describe_broken,
    skip_space,
)
from curation.formats.plain_json import NotPlainError, load_plain

TOO_LARGE = f"it is larger than {MAX_RECORD // 2**20} MB"
_FARTHEST = 4 * 2**20
"""Characters in which the end of a broken value is looked for: its quotes and brackets cannot be relied on."""

_LARGE = 4 * 2**20
_CHUNK = 256 * 1024
_MOST_AT_ONCE = 8 * 2**20
_MOST_GUESSES = 3
_OPENING = re.compile(r'\{\s*"(?:[^"\\]|\\.)*"')
_IN_STRING = re.compile(r'["\\]')
_IN_BRACKETS = re.compile(r'["\[{\]}]')
_OUTSIDE = re.compile(r'["\[{\]},]')
_RUN = re.compile(r"[\[{]+|[\]}]+")


class EndFinder:
    """Where a value ends, by its quotes and brackets alone. It may be looked for in one piece of text after another."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False

    def find(self, text: str, position: int) -> tuple[int, bool]:
        """(where the value ends, True), or (from where to look on with more text, False)."""
        while True:
            pattern = _IN_STRING if self._in_string else _IN_BRACKETS if self._depth else _OUTSIDE
            match = pattern.search(text, position)
            if match is None:
                return len(text), False
            mark, start, position = match.group(), match.start(), match.end()
            if mark == '"':
                self._in_string = not self._in_string
            elif mark == "\\":
                if position == len(text):
                    return start, False
                position += 1
            elif mark == "," or (position := self._count(text, start)) < 0:
                return start + self._depth, True

    def _count(self, text: str, start: int) -> int:
        """Take in the brackets that stand in a row at `start`; where they end, or -1 where they close the value."""
        run = _RUN.match(text, start)
        assert run is not None  # noqa: S101  # a bracket stands there
        count = len(run.group())
        if text[start] in "[{":
            self._depth += count
        elif count < self._depth:
            self._depth -= count
        else:
            return -1
        return run.end()


class Scanner:
    """Values that stand one after another in a text too large to hold: a window of it, moved on as it is read."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._loader = Loader()
        self._text = ""
        self._position = 0
        self._ended = False
        self._lost = False
        self._opening = ""

    def read_values(self) -> Iterator[Record | Rejected]:
        """Every value up to the end of the file."""
        index = 0
        while character := self._next_character():
            if character not in "{[":
                yield Rejected(index, "something stands here that is not an object", self._rest(), fatal=True)
                return
            yield self._read_value(index)
            index += 1
            if self._lost:
                return

    def read_list(self) -> Iterator[Record | Rejected]:
        """Every element of the list that the file is, its brackets and commas checked."""
        self._next_character()
        self._position += 1
        index = 0
        while (character := self._next_character()) and character != "]":
            yield self._read_value(index)
            index += 1
            if self._lost:
                return
            character = self._next_character()
            if character == ",":
                self._position += 1
            elif character and character != "]":
                yield Rejected(index, "the list has neither a comma nor its end here", self._rest(), fatal=True)
                return
        if not character:
            yield Rejected(index, "the file ends before the end of its list", fatal=True)
            return
        self._position += 1
        if self._next_character():
            yield Rejected(index, "there is more after the end of the list", self._rest(), fatal=True)

    def _read_value(self, index: int) -> Record | Rejected:
        return self._read_plain(index) or self._read_carefully(index)

    def _read_plain(self, index: int) -> Record | None:
        """A plain object of a list whose objects begin with the same key; its end is guessed, and then parsed.

        A slice that parses is the whole object, since no beginning of an object is one itself.
        """
        if not self._opening:
            return None
        end = self._position
        for _ in range(_MOST_GUESSES):
            end = self._text.find(self._opening, end + 1)
            if end < 0:
                return None
            text = self._text[self._position : end].rstrip().removesuffix(",")
            if not text.endswith("}") or len(text) > MAX_RECORD:
                continue
            try:
                value = load_plain(text)
            except NotPlainError:
                continue
            self._position += len(text)
            return Record(index, value, text[:LONGEST_RAW])
        return None

    def _read_carefully(self, index: int) -> Record | Rejected:
        while True:
            try:
                value, end = self._loader.decode(self._text, self._position)
            except (ValueError, RecursionError) as error:
                if self._may_be_cut(error):
                    fits, grown = self._gather_value()
                    if not fits:
                        return self._pass_over(index, TOO_LARGE, farthest=None)
                    if grown:
                        continue
                return self._pass_over(index, describe_broken(error, start=self._position), farthest=_FARTHEST)
            if end < len(self._text) or not self._read_more():
                break
            # The value reaches the end of the window, where a number could go on: decode it again with more of it.
        raw = self._rest(end)
        opening = _OPENING.match(self._text, self._position)
        self._opening = opening.group() if opening else ""
        too_large = end - self._position > MAX_RECORD
        self._position = end
        if end > _LARGE:
            self._drop_read()
        if too_large:
            return Rejected(index, TOO_LARGE, raw)
        try:
            return as_record(index, self._loader.finish(value), raw)
        except RecordError as error:
            return Rejected(index, str(error), raw)

    def _may_be_cut(self, error: ValueError | RecursionError) -> bool:
        """Whether the error may come from the end of the window and not from the text."""
        if not isinstance(error, json.JSONDecodeError):
            return False
        return error.msg.startswith("Unterminated string") or error.pos > len(self._text) - 64

    def _gather_value(self) -> tuple[bool, bool]:
        """Widen the window until the value is whole in it: (whether it is not too large, whether more was read)."""
        finder = EndFinder()
        looked, found = finder.find(self._text, self._position)
        grown = False
        while not found and len(self._text) - self._position <= MAX_RECORD:
            looked -= self._position
            if not self._read_more():
                return True, grown
            grown = True
            looked, found = finder.find(self._text, looked)
        return found, grown

    def _pass_over(self, index: int, reason: str, *, farthest: int | None) -> Rejected:
        """Move behind a value that cannot be read. Where its end is not found, the rest of the file is lost."""
        finder = EndFinder()
        end, found = finder.find(self._text, self._position)
        raw, passed = self._rest(end), 0
        while not found and (farthest is None or passed <= farthest):
            passed += end - self._position
            self._position = end
            if not self._read_more():
                break
            end, found = finder.find(self._text, 0)
        self._position = end
        self._lost = not found
        return Rejected(index, reason, raw, fatal=self._lost)

    def _next_character(self) -> str:
        """The next character that is not white space, without taking it; empty at the end of the file."""
        while True:
            self._position = skip_space(self._text, self._position)
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._read_more():
                return ""

    def _read_more(self) -> bool:
        """Widen the window by as much as is unread in it, within bounds; False at the end of the file."""
        if self._ended:
            return False
        self._drop_read()
        data = self._content.read(min(max(_CHUNK, len(self._text)), _MOST_AT_ONCE))
        self._ended = not data
        self._text += self._decoder.decode(data, final=self._ended)
        return True

    def _drop_read(self) -> None:
        """Let go of what was read of the window."""
        self._text = self._text[self._position :]
        self._position = 0

    def _rest(self, end: int | None = None) -> str:
        """What is unread, or of it what stands before `end`."""
        longest = self._position + LONGEST_RAW
        return self._text[self._position : longest if end is None else min(end, longest)]
