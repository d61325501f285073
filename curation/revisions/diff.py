"""What changed between two documents: steps aligned, and their texts compared word by word."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal, Protocol

from curation.formats.document import Document, Step, text_of

Operation = Literal["same", "del", "ins"]
Segment = tuple[Operation, str]
"""A stretch of text: in both, only in the old, or only in the new."""

_WORD = re.compile(r"\s+|\w+|[^\w\s]")
_SEAM = "\x00"
"""Stands between the halves of a split text while they are compared; no stored text holds it."""

_MAX_CELLS = 4_000_000
_MAX_MATCHES = 150_000
_MAX_ALIGNED = 40_000


@dataclass(frozen=True)
class FieldDiff:
    """One text of a step: "message", "reasoning", "tool call 1", "observation 1"."""

    name: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class StepDiff:
    """A step of the old document (None: inserted) beside its like in the new one (None: deleted).

    `fields` is empty where the two are the same.
    """

    kind: Literal["same", "changed", "inserted", "deleted", "split"]
    old: int | None
    new: int | None
    fields: tuple[FieldDiff, ...] = ()


def diff_steps(old: Document, new: Document) -> list[StepDiff]:
    """All steps of both in reading order. Step numbers and call ids do not count as changes."""
    before = [_Texts(step) for step in old.steps]
    after = [_Texts(step) for step in new.steps]
    diffs: list[StepDiff] = []
    matcher = SequenceMatcher(None, [texts.key for texts in before], [texts.key for texts in after], autojunk=False)
    for operation, i1, i2, j1, j2 in matcher.get_opcodes():
        if operation == "equal":
            diffs += [StepDiff("same", i + 1, j + 1) for i, j in zip(range(i1, i2), range(j1, j2), strict=True)]
            continue
        for i, j in align_by_likeness(before[i1:i2], after[j1:j2]):
            diffs.append(
                _compare(
                    before[i1 + i] if i is not None else None,
                    after[j1 + j] if j is not None else None,
                    old=None if i is None else i1 + i + 1,
                    new=None if j is None else j1 + j + 1,
                )
            )
    return diffs


def diff_split(old: Document, new: Document, step_id: int) -> list[StepDiff]:
    """The two halves of a step that was split, both beside the step they were: moved words are no change."""
    was, first, second = _Texts(old.steps[step_id - 1]), _Texts(new.steps[step_id - 1]), _Texts(new.steps[step_id])
    halves: list[list[FieldDiff]] = [[], []]
    for name in ("message", "reasoning"):
        texts = [half.fields[name] for half in (first, second)]
        cut = _cut_segments(diff_words(was.fields[name], _SEAM.join(texts)))
        for fields, segments in zip(halves, cut, strict=True):
            if segments:
                fields.append(FieldDiff(name, tuple(segments)))
    for fields, half in zip(halves, (first, second), strict=True):
        moved = [name for name in half.fields if name not in ("message", "reasoning") and half.fields[name]]
        fields += [FieldDiff(name, (("same", half.fields[name]),)) for name in moved]
    return [StepDiff("split", step_id, step_id + at, tuple(fields)) for at, fields in enumerate(halves)]


def _cut_segments(segments: tuple[Segment, ...]) -> tuple[list[Segment], list[Segment]]:
    """The segments before and after the seam in the new text; what was deleted around it ends the first half."""
    halves: tuple[list[Segment], list[Segment]] = ([], [])
    at = 0
    for operation, text in segments:
        before, seam, after = text.partition(_SEAM)
        if before:
            halves[at].append((operation, before))
        at = 1 if seam else at
        if after:
            halves[at].append((operation, after))
    return halves


def diff_words(old: str, new: str) -> tuple[Segment, ...]:
    """Segments whose "same" and "del" make the old text, and whose "same" and "ins" make the new one.

    Texts of many thousand words are compared line by line.
    """
    if old == new:
        return (("same", old),) if old else ()
    if not old or not new:
        return (("del", old),) if old else (("ins", new),)
    segments = _diff_tokens(_WORD.findall(old), _WORD.findall(new))
    if segments is None:
        segments = _diff_tokens(old.splitlines(keepends=True), new.splitlines(keepends=True))
    if segments is None:
        segments = [("del", old), ("ins", new)]
    return tuple((operation, text) for operation, text in segments if text)


class _Texts:
    """What of a step is compared, by name, and the words it is recognised by."""

    def __init__(self, step: Step) -> None:
        self.source = step.source
        self.fields = {"message": text_of(step.message), "reasoning": step.reasoning_content or ""}
        for order, call in enumerate(step.tool_calls or [], start=1):
            self.fields[f"tool call {order}"] = f"{call.function_name} {call.arguments_raw}"
        for order, result in enumerate(step.observation.results if step.observation else [], start=1):
            self.fields[f"observation {order}"] = text_of(result.content)
        self.key = (step.source, tuple(self.fields.items()))
        self._words: frozenset[str] | None = None

    @property
    def words(self) -> frozenset[str]:
        if self._words is None:
            self._words = frozenset(word for text in self.fields.values() for word in text.split())
        return self._words

    def likeness(self, other: _Texts) -> float:
        """0 for steps of different sources, else above 0 and more the more words they share."""
        if self.source != other.source:
            return 0.0
        union = len(self.words | other.words)
        return 0.05 + (len(self.words & other.words) / union if union else 1.0)


def _compare(before: _Texts | None, after: _Texts | None, *, old: int | None, new: int | None) -> StepDiff:
    was, now = before.fields if before else {}, after.fields if after else {}
    fields = tuple(
        FieldDiff(name, segments)
        for name in dict.fromkeys([*was, *now])
        if (segments := diff_words(was.get(name, ""), now.get(name, "")))
    )
    kind: Literal["changed", "inserted", "deleted"] = (
        "inserted" if old is None else "deleted" if new is None else "changed"
    )
    return StepDiff(kind, old, new, fields)


class Alike(Protocol):
    """Something that tells how like another of its kind it is: 0 for what never stands together."""

    def likeness(self, other: Any, /) -> float: ...


def align_by_likeness(before: Sequence[Alike], after: Sequence[Alike]) -> list[tuple[int | None, int | None]]:
    """Pairs of indices in order, the likest together; None on the side that has no partner.

    Where there are too many to compare, nothing has a partner.
    """
    if len(before) * len(after) > _MAX_ALIGNED:
        return [(i, None) for i in range(len(before))] + [(None, j) for j in range(len(after))]
    best = [[0.0] * (len(after) + 1) for _ in range(len(before) + 1)]
    for i in reversed(range(len(before))):
        for j in reversed(range(len(after))):
            likeness = before[i].likeness(after[j])
            together = best[i + 1][j + 1] + likeness if likeness else 0.0
            best[i][j] = max(best[i + 1][j], best[i][j + 1], together)
    pairs: list[tuple[int | None, int | None]] = []
    i = j = 0
    while i < len(before) and j < len(after):
        likeness = before[i].likeness(after[j])
        if likeness and best[i][j] == best[i + 1][j + 1] + likeness:  # of equally good places, the first
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            pairs.append((i, None))
            i += 1
        else:
            pairs.append((None, j))
            j += 1
    pairs += [(left, None) for left in range(i, len(before))]
    pairs += [(None, right) for right in range(j, len(after))]
    return pairs


def _count_matches(old: list[str], new: list[str]) -> float:
    """How many pairs of equal words there are, which is what a comparison costs; infinite for very many words."""
    if len(old) * len(new) > _MAX_CELLS:
        return math.inf
    counts = Counter(old)
    return sum(number * counts[word] for word, number in Counter(new).items() if not word.isspace())


def _diff_tokens(old: list[str], new: list[str]) -> list[Segment] | None:
    """None where a comparison would take too long."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    middle_old, middle_new = old[start : len(old) - end], new[start : len(new) - end]
    if _count_matches(middle_old, middle_new) > _MAX_MATCHES:
        return None
    segments: list[Segment] = [("same", "".join(old[:start]))]
    # White space is aligned with the words around it: as a word of its own it would match everywhere.
    matcher = SequenceMatcher(str.isspace, middle_old, middle_new, autojunk=False)
    for operation, i1, i2, j1, j2 in matcher.get_opcodes():
        if operation == "equal":
            segments.append(("same", "".join(middle_old[i1:i2])))
        else:
            segments += [("del", "".join(middle_old[i1:i2])), ("ins", "".join(middle_new[j1:j2]))]
    return [*segments, ("same", "".join(old[len(old) - end :]))]
