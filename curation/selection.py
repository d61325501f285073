"""What a recipe takes of a project, what it leaves out and why. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from curation.bias import TaskMass
from curation.waterfall import Stage

CHARACTERS_PER_TOKEN = 4
"""Tokens are estimated from characters, until a tokenizer reads them."""


@dataclass(slots=True)
class Candidate:
    """One row to be (of a prompt-completion set, the rows of one trajectory): a revision, or a pair with its two.

    `tokens` are supervised ones, estimated: the characters of the agent's own turns / 4. `first` marks what goes first
    under a cap: a success, a stronger pair. Of a pair of `step_only`, only the turn in which its sides part is learnt
    from. `desirable` is set for KTO, `instruction` for general instruction data, which has no difficulty.
    """

    task_id: int
    task: str
    fingerprint: str
    band: int | None
    tokens: float
    first: int = 0
    held_out: bool = False
    weight: float = 1.0
    trajectory_id: int | None = None
    revision_number: int = 0
    revision_id: int | None = None
    duplicate_of: int | None = None
    pair_id: int | None = None
    chosen_id: int | None = None
    rejected_id: int | None = None
    chosen_trajectory_id: int | None = None
    rejected_trajectory_id: int | None = None
    chosen_tokens: float = 0.0
    step_only: bool = False
    desirable: bool | None = None
    instruction: bool = False

    @property
    def name(self) -> str:
        """What its lot is drawn by."""
        return f"pair {self.pair_id}" if self.pair_id else f"trajectory {self.trajectory_id}"

    @property
    def order(self) -> int:
        return self.pair_id or self.trajectory_id or 0


class LeftOutRow(NamedTuple):
    """A trajectory or a pair that is not in it; `stage` is one of the waterfall."""

    trajectory_id: int | None
    pair_id: int | None
    task_id: int
    band: int | None
    tokens: float
    stage: str
    reason: str


class Overlap(NamedTuple):
    """A task that is as good as one that models are measured on; 1.0 is the same text."""

    task: str
    evaluation: str
    similarity: float


@dataclass
class Selection:
    """The candidates in the order of their ids, and all that was left out.

    `stages` is the waterfall in supervised tokens; of the dataset's stage, the training side by weight and the
    held-out side. `target` holds the share of each band that was asked for, or is None. `problems` are what keeps the
    recipe from being what it says it is, each a sentence; freezing refuses them. `warnings` do not.

    What each task has, in supervised tokens: `pool` as collected, `filtered` after the filter, and `trained` of the
    training side by weight, general instruction data left out.
    """

    candidates: list[Candidate] = field(default_factory=list)
    left_out_rows: list[LeftOutRow] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    target: dict[int, float] | None = None
    overlaps: list[Overlap] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    pool: list[TaskMass] = field(default_factory=list)
    filtered: list[TaskMass] = field(default_factory=list)
    trained: list[TaskMass] = field(default_factory=list)

    @property
    def left_out(self) -> Counter[str]:
        """The number left out by reason."""
        return Counter(row.reason for row in self.left_out_rows)

    def left_out_at(self, stage: str, reason: str) -> int:
        return sum(row.stage == stage and row.reason == reason for row in self.left_out_rows)

    @property
    def train(self) -> Iterator[Candidate]:
        return (candidate for candidate in self.candidates if not candidate.held_out)


def explain_empty(selection: Selection) -> str:
    """Why there is no row to train on; empty where there is one."""
    if any(True for _ in selection.train):
        return ""
    if selection.candidates:
        return "Every task fell on the held-out side; lower the held-out share or change the seed."
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in sorted(selection.left_out.items()))
    return f"The recipe takes no row. Left out: {reasons or 'nothing; there is nothing to take'}."
