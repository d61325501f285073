"""Reading what reviewers of a queue agree on: what they were asked, what they answered, and how far that is the same.

Gold items are left out: their answers say how good a reviewer is, not how clear the question.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from curation.agreement import (
    Answer,
    Measured,
    compare_reviewers,
    cross_answers,
    cross_everybody,
    measure_agreement,
)
from curation.models import Judgement, Queue, QueueItem, Review, User
from curation.selectors.queues import keep_if_large

ITEMS_MEASURED = 10_000
"""Of a queue with more items that two people answered, agreement is measured on the newest so many."""

ANSWERS = Judgement.Answer
PREFERENCES = [value for value in ANSWERS.values if value != ANSWERS.BOTH_BAD]
"""From "left much better" to "right much better"."""

PREFERENCE_LABELS = [label.replace("Left", "A").replace("Right", "B") for value, label in ANSWERS.choices][:7]
_WINNERS = {"a": "A", "tie": "About equal", "b": "B", "both-bad": "Both bad"}


@dataclass(frozen=True)
class Criterion:
    """A question that reviewers of a queue answer, with its scale, lowest first where it is ordinal.

    `name` is how addresses and REST call it. `values` are what is stored, `labels` what is shown. One from a rubric
    has its `key`, and the `versions` (and `rubrics`, their ids) in which it was asked on this very scale.
    """

    name: str
    label: str
    ordinal: bool
    values: tuple[Any, ...]
    labels: tuple[str, ...]
    key: str = ""
    versions: tuple[int, ...] = ()
    rubrics: tuple[int, ...] = ()

    def find_place(self, value: object) -> int | None:
        """Where a stored value stands in the scale; None for what is no value of it."""
        if isinstance(value, bool):
            return None
        return next((place for place, known in enumerate(self.values) if known == value), None)

    def parse_value(self, text: str) -> int | None:
        """The place of a value as an address writes it."""
        return next((place for place, known in enumerate(self.values) if str(known) == text), None)


@dataclass
class Answers:
    """The answers to each criterion, by its name. `bounded` where older items were left out; `versions` counts reviews
    by the rubric version they were given under, 0 where there was none."""

    criteria: list[Criterion]
    by_criterion: dict[str, list[Answer]]
    bounded: bool = False
    versions: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Agreement:
    """Agreement on one criterion.

    `table[i][j]` are the items with the value i from one person and j from another: of the two people in `measured`,
    the first and the second; of more, any two. `compared` holds kappa and the items in common of any two of `people`.
    """

    criterion: Criterion
    measured: Measured
    table: list[list[int]]
    people: list[int]
    compared: dict[tuple[int, int], tuple[float | None, int]]


@dataclass(frozen=True)
class Report:
    """Agreement of a queue on each criterion. `names` are those of the people in it, by id."""

    agreements: list[Agreement]
    names: dict[int, str]
    bounded: bool
    versions: dict[int, int]

    def find(self, name: str) -> Agreement | None:
        return next((one for one in self.agreements if one.criterion.name == name), None)


def list_criteria(queue: Queue) -> list[Criterion]:
    """What reviewers of a queue were asked, in all versions of its rubric."""
    if queue.kind == Queue.Kind.PAIRWISE:
        return [
            Criterion("winner", "Which side is better", False, tuple(_WINNERS), tuple(_WINNERS.values())),
            Criterion("preference", "How much better", True, tuple(PREFERENCES), tuple(PREFERENCE_LABELS)),
        ]
    verdicts = Review.Verdict
    return [
        Criterion("verdict", "Verdict", False, tuple(verdicts.values), tuple(verdicts.labels)),
        Criterion("grade", "Difficulty", True, (1, 2, 3, 4, 5), ("1", "2", "3", "4", "5")),
        *_list_rubric_criteria(queue),
    ]


def _list_rubric_criteria(queue: Queue) -> list[Criterion]:
    """A criterion counts as the same over versions where its key and its levels are the same."""
    found: dict[tuple[str, str], list[tuple[int, int, dict[str, Any]]]] = {}
    for pk, number, criteria in queue.rubrics.order_by("number").values_list("pk", "number", "criteria"):
        for criterion in criteria:
            scale = (criterion["key"], json.dumps(criterion["levels"], sort_keys=True))
            found.setdefault(scale, []).append((pk, number, criterion))
    often = Counter(key for key, _ in found)
    listed = []
    for (key, _), versions in found.items():
        numbers = tuple(number for _, number, _ in versions)
        newest = versions[-1][2]
        several = f" (version {', '.join(map(str, numbers))})" if often[key] > 1 else ""
        listed.append(
            Criterion(
                name=f"rubric.{numbers[0]}.{key}",
                label=f"{newest['name']}{several}",
                ordinal=True,
                values=tuple(level["value"] for level in newest["levels"]),
                labels=tuple(str(level["label"]) for level in newest["levels"]),
                key=key,
                versions=numbers,
                rubrics=tuple(pk for pk, _, _ in versions),
            )
        )
    return listed


def list_given_reviews(queue: Queue) -> QuerySet[Review]:
    """Submitted reviews of a queue's ordinary items, by people who are still there."""
    return Review.objects.filter(item__queue=queue, item__gold=False).exclude(submitted_at=None).exclude(reviewer=None)


def list_given_judgements(queue: Queue) -> QuerySet[Judgement]:
    """Judgements of a queue's ordinary items that are no curator's decision."""
    given = Judgement.objects.filter(item__queue=queue, item__gold=False, decides=False)
    return given.exclude(reviewer=None)


def read_answers(queue: Queue) -> Answers:
    """The answers to the newest items that two people or more answered."""
    criteria = list_criteria(queue)
    found = Answers(criteria, {criterion.name: [] for criterion in criteria})
    pairwise = queue.kind == Queue.Kind.PAIRWISE
    given: QuerySet[Any] = list_given_judgements(queue) if pairwise else list_given_reviews(queue)
    met = given.values("item").annotate(people=Count("reviewer")).filter(people__gt=1).order_by("-item")
    (_read_judgements if pairwise else _read_reviews)(given.filter(item__in=met.values("item")[:ITEMS_MEASURED]), found)
    answers = next(iter(found.by_criterion.values()))
    found.bounded = len({answer.item for answer in answers}) == ITEMS_MEASURED
    return found


def _read_reviews(given: QuerySet[Review], found: Answers) -> None:
    versions: Counter[int] = Counter()
    verdict, grade, *of_rubrics = found.criteria
    rows = given.values_list("item_id", "reviewer_id", "verdict", "grade", "scores", "rubric_id", "rubric__number")
    for item, reviewer, said, graded, scores, rubric, number in rows.iterator(5000):
        versions[number or 0] += 1
        answers: list[tuple[Criterion, object]] = [(verdict, said), (grade, graded)]
        answers += [(one, scores.get(one.key)) for one in of_rubrics if rubric in one.rubrics]
        for criterion, value in answers:
            place = criterion.find_place(value)
            if place is not None:
                found.by_criterion[criterion.name].append(Answer(item, reviewer, place))
    found.versions = dict(sorted(versions.items()))


def _read_judgements(given: QuerySet[Judgement], found: Answers) -> None:
    for item, reviewer, answer, left, right in given.values_list("item_id", "reviewer_id", "answer", "left", "right"):
        winner, preference = orient_answer(answer, swapped=left > right)
        found.by_criterion["winner"].append(Answer(item, reviewer, list(_WINNERS).index(winner)))
        if preference is not None:
            found.by_criterion["preference"].append(Answer(item, reviewer, preference))


def orient_answer(answer: str, *, swapped: bool) -> tuple[str, int | None]:
    """A judgement as if the older revision had been on the left: who won, and the place among PREFERENCES.

    Both bad has no place. The older revision is the one with the lower id, called A.
    """
    if answer == ANSWERS.BOTH_BAD:
        return "both-bad", None
    place = PREFERENCES.index(answer)
    place = len(PREFERENCES) - 1 - place if swapped else place
    middle = len(PREFERENCES) // 2
    return "tie" if place == middle else "a" if place < middle else "b", place


def measure_queue(queue: Queue) -> Report:
    """Agreement of a queue; of a large one it may be some seconds old."""

    def measure() -> tuple[Report, int]:
        answers = read_answers(queue)
        agreements = [
            _measure_criterion(criterion, answers.by_criterion[criterion.name]) for criterion in answers.criteria
        ]
        people = {person for one in agreements for person in (*one.measured.reviewers, *one.people)}
        names = dict(User.objects.filter(pk__in=people).values_list("pk", "username"))
        size = sum(map(len, answers.by_criterion.values()))
        return Report(agreements, names, answers.bounded, answers.versions), size

    report, _ = keep_if_large(f"agreement-{queue.pk}", measure, size=lambda measured: measured[1])
    return report


def _measure_criterion(criterion: Criterion, answers: list[Answer]) -> Agreement:
    scale, ordinal = len(criterion.values), criterion.ordinal
    measured = measure_agreement(answers, scale=scale, ordinal=ordinal)
    people, compared = compare_reviewers(answers, scale=scale, ordinal=ordinal)
    if len(measured.reviewers) == 2:
        first, second = measured.reviewers
        table = cross_answers(answers, first=first, second=second, scale=scale)
    else:
        table = cross_everybody(answers, scale)
    return Agreement(criterion, measured, table.tolist(), people, compared)


def list_cell_items(
    queue: Queue, criterion: Criterion, places: tuple[int, int], *, people: Sequence[int] | None = None
) -> QuerySet[QueueItem]:
    """The ordinary items behind a cell of the confusion table: one answer is at the first place of the scale, another
    one, of somebody else, at the second; of these two people where they are named."""
    pairwise = queue.kind == Queue.Kind.PAIRWISE
    given: QuerySet[Any] = list_given_judgements(queue) if pairwise else list_given_reviews(queue)
    ours, theirs = (given.filter(_match_answer(criterion, place)) for place in places)
    if people is not None:
        ours, theirs = ours.filter(reviewer=people[0]), theirs.filter(reviewer=people[1])
    other = theirs.filter(item=OuterRef("item")).exclude(reviewer=OuterRef("reviewer"))
    return queue.items.filter(pk__in=ours.filter(Exists(other)).values("item"))


def _match_answer(criterion: Criterion, place: int) -> Q:
    value = criterion.values[place]
    if criterion.key:
        return Q(scores__contains={criterion.key: value}, rubric__in=criterion.rubrics)
    if criterion.name in ("verdict", "grade"):
        return Q(**{criterion.name: value})
    ordered, swapped = Q(left__lt=F("right")), Q(left__gt=F("right"))
    if criterion.name == "preference":
        return ordered & Q(answer=value) | swapped & Q(answer=PREFERENCES[len(PREFERENCES) - 1 - place])
    middle = len(PREFERENCES) // 2
    lefts, rights = Q(answer__in=PREFERENCES[:middle]), Q(answer__in=PREFERENCES[middle + 1 :])
    matches: Mapping[str, Q] = {
        "a": ordered & lefts | swapped & rights,
        "b": ordered & rights | swapped & lefts,
        "tie": Q(answer=ANSWERS.TIE),
        "both-bad": Q(answer=ANSWERS.BOTH_BAD),
    }
    return matches[value]
