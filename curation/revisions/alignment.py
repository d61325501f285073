"""Two attempts side by side: which step of one stands beside which step of the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

from curation.revisions.diff import align_by_likeness

MOST_COMPARED = 10_000
"""Comparisons of steps between two that are the same on both sides; a longer stretch is compared block by block."""

BLOCK = 60

Row = tuple[int | None, int | None]
"""Step numbers of both sides; None where a side has no step like the other's."""


@dataclass(frozen=True)
class StepOutline:
    """What of a step it is recognised by: who speaks, the tools called with their arguments, and the first words."""

    step_id: int
    source: str
    tools: tuple[str, ...]
    arguments: str
    text: str

    @property
    def key(self) -> object:
        return (self.source, self.tools, self.arguments) if self.tools else (self.source, self.text)

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(f"{self.arguments} {self.text}".split())

    def likeness(self, other: StepOutline) -> float:
        """0 for different speakers; the same call counts most, then the same tool, then words in common."""
        if self.source != other.source:
            return 0.0
        if self.key == other.key:
            return 3.0
        union = len(self.words | other.words)
        shared = len(self.words & other.words) / union if union else 1.0
        return 0.05 + shared + (1.0 if self.tools and self.tools == other.tools else 0.0)


def align_steps(ours: Sequence[StepOutline], theirs: Sequence[StepOutline]) -> list[Row]:
    """All steps of both, in order, each at most once; the same call further down stands beside its partner."""
    rows: list[Row] = []
    matcher = SequenceMatcher(None, [step.key for step in ours], [step.key for step in theirs], autojunk=False)
    for operation, i1, i2, j1, j2 in matcher.get_opcodes():
        before, after = ours[i1:i2], theirs[j1:j2]
        if operation == "equal":
            rows += [(one.step_id, other.step_id) for one, other in zip(before, after, strict=True)]
            continue
        for some, others in _cut(before, after):
            for i, j in align_by_likeness(some, others):
                rows.append((None if i is None else some[i].step_id, None if j is None else others[j].step_id))
    return rows


def _cut(
    before: Sequence[StepOutline], after: Sequence[StepOutline]
) -> Iterator[tuple[Sequence[StepOutline], Sequence[StepOutline]]]:
    """Blocks that are small enough to be compared, each with the other side's at the same place."""
    size = BLOCK if len(before) * len(after) > MOST_COMPARED else max(len(before), len(after), 1)
    for first in range(0, max(len(before), len(after)), size):
        yield before[first : first + size], after[first : first + size]
