"""A difference made readable: what did not change is left out but for its ends, and white space is made visible."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from curation.revisions.diff import FieldDiff, Operation, Segment, StepDiff

_AROUND = 240
_LONGEST = 4_000
_MOST_PIECES = 1_000
_MARKS = {" ": "␣", "\t": "⇥", "\n": "↵\n", "\r": "␍"}
# White space alone, and at the ends of a stretch whatever is more than the one space between words.
_ENDS = re.compile(r"\A\s+\Z|\A(?! \S)\s+|(?<=\S)(?! \Z)\s+\Z")
_ODD = re.compile(r"[^\S \t\n]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True)
class Piece:
    """A stretch to show; "gap" stands for what was left out, and its text says how much."""

    kind: Operation | Literal["gap"]
    text: str


@dataclass(frozen=True)
class Field:
    name: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class StepChange:
    """One step that differs. `old` and `new` are its numbers before and after."""

    kind: str
    old: int | None
    new: int | None
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class StepRun:
    """Several deleted steps in a row, told by their number alone."""

    first: int
    last: int
    kind: Literal["run"] = "run"

    @property
    def count(self) -> int:
        return self.last - self.first + 1


def condense_diffs(diffs: Iterable[StepDiff]) -> list[StepChange | StepRun]:
    """The steps that differ, in order; two and more deleted in a row are one run."""
    shown: list[StepChange | StepRun] = []
    for deleted, steps in groupby(diffs, key=lambda diff: diff.kind == "deleted"):
        group = [diff for diff in steps if diff.kind != "same"]
        if deleted and len(group) > 1:
            shown.append(StepRun(group[0].old or 0, group[-1].old or 0))
        else:
            shown += [StepChange(diff.kind, diff.old, diff.new, _condense_fields(diff)) for diff in group]
    return shown


def show_white_space(text: str) -> str:
    """A changed stretch with what nobody could see in it made visible: white space at its ends, odd characters."""
    text = _ENDS.sub(lambda found: "".join(_MARKS.get(character, character) for character in found[0]), text)
    return _ODD.sub(lambda found: f"⟨{_name(found[0])}⟩", text)


def _name(character: str) -> str:
    return unicodedata.name(character, f"U+{ord(character):04X}").lower()


def _condense_fields(diff: StepDiff) -> tuple[Field, ...]:
    return tuple(Field(field.name, tuple(_condense(field, diff.kind))) for field in diff.fields)


def _condense(field: FieldDiff, kind: str) -> Iterator[Piece]:
    last = len(field.segments) - 1
    for index, (operation, text) in enumerate(field.segments):
        if index >= _MOST_PIECES:
            yield Piece("gap", f"{last + 1 - index:,} more pieces")
            return
        if operation == "same":
            yield from _shorten(
                (operation, text), before=0 if index == 0 < last else _AROUND, after=0 if index == last else _AROUND
            )
        else:
            shown = text if kind in ("inserted", "deleted") else show_white_space(text)
            yield from _shorten((operation, shown), before=_LONGEST, after=0)


def _shorten(segment: Segment, *, before: int, after: int) -> Iterator[Piece]:
    """The first `before` and the last `after` characters, and how many lie between."""
    operation, text = segment
    left_out = len(text) - before - after
    if left_out <= _AROUND:
        yield Piece(operation, text)
        return
    unchanged = " unchanged" if operation == "same" else ""
    if before:
        yield Piece(operation, text[:before])
    yield Piece("gap", f"{left_out:,}{unchanged} characters")
    if after:
        yield Piece(operation, text[-after:])
