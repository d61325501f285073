"""Reviews of one item side by side: a row for each question, a cell for each reviewer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from curation.models import Review
from curation.selectors.agreement import Criterion


@dataclass(frozen=True)
class Cell:
    """`text` is shown; `kind` is what the template draws it as: verdict, grade, step, note or nothing in particular."""

    text: str = ""
    kind: str = ""
    value: object = None


@dataclass(frozen=True)
class Row:
    title: str
    cells: list[Cell] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        """Whether two reviewers who answered said different things."""
        return len({cell.text for cell in self.cells if cell.text}) > 1


def compare_reviews(criteria: Sequence[Criterion], reviews: Sequence[Review], *, newest: int) -> list[Row]:
    """The rows of the comparison; those that nobody answered are left out. `newest` is the newest revision."""
    rows = [
        Row("Verdict", [Cell(review.get_verdict_display(), "verdict", review.verdict) for review in reviews]),
        Row("Difficulty", [Cell(str(review.grade or ""), "grade", review.grade) for review in reviews]),
        *(Row(criterion.label, [_say_level(criterion, review) for review in reviews]) for criterion in criteria[2:]),
        Row("First error", [_find_first_error(review) for review in reviews]),
        Row("Labels", [Cell(_count_labels(review)) for review in reviews]),
        Row("What went wrong", [Cell(", ".join(review.failure_modes)) for review in reviews]),
        Row("Made on", [_say_revision(review, newest) for review in reviews]),
    ]
    return [row for row in rows if any(cell.text for cell in row.cells)]


def _say_level(criterion: Criterion, review: Review) -> Cell:
    if review.rubric_id not in criterion.rubrics:
        return Cell()
    place = criterion.find_place(review.scores.get(criterion.key))
    return Cell() if place is None else Cell(criterion.labels[place])


def _find_first_error(review: Review) -> Cell:
    step = next((label.step_id for label in review.step_labels.all() if label.first_error), None)
    return Cell() if step is None else Cell(f"step {step}", "step", step)


def _count_labels(review: Review) -> str:
    counts = Counter(label.label for label in review.step_labels.all())
    return ", ".join(f"{counts[label]} {label}" for label in ("correct", "neutral", "wrong") if counts[label])


def _say_revision(review: Review, newest: int) -> Cell:
    number = review.revision.number
    if number == newest:
        return Cell(f"revision {number}")
    return Cell(f"revision {number}, not the newest", "note", number)
