"""How far a judge and the people agree: on trajectories, and on steps.

What people say of a trajectory is the curator's decision that stands, or else the verdict that most of its submitted
reviews share; where as many say otherwise there is none. Of a step, the label that most reviews share. Both sides have
to speak of the same revision. Gold items are left out: their answers say how good a reviewer is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.agreement import Answer, Measured, cross_answers, measure_agreement
from curation.models import Decision, Judge, Opinion, Review, StepLabel
from curation.selectors.queues import keep_if_large

OPINIONS_MEASURED = 10_000
"""Agreement is measured on the newest so many opinions."""

PEOPLE, JUDGE = 0, 1
_AT_ONCE = 2_000


@dataclass(frozen=True)
class Scale:
    """What is compared: its name in addresses, and the values with their labels."""

    name: str
    label: str
    values: tuple[str, ...]
    labels: tuple[str, ...]


VERDICT = Scale("verdict", "Verdict", tuple(Review.Verdict.values), tuple(map(str, Review.Verdict.labels)))
STEPS = Scale("step", "Label of a step", tuple(StepLabel.Label.values), tuple(map(str, StepLabel.Label.labels)))


@dataclass(frozen=True)
class JudgeAgreement:
    """Agreement on one scale. `table[i][j]` counts what people gave the value i and the judge j.

    `behind` holds the revisions of each cell that is not empty; `split` counts what people were divided on.
    """

    scale: Scale
    measured: Measured
    table: list[list[int]]
    behind: Mapping[tuple[int, int], tuple[int, ...]]
    split: int


def measure_judge(judge: Judge) -> list[JudgeAgreement]:
    """On the verdict, and of a judge of steps on their labels; with many answers, some seconds old."""

    def measure() -> list[JudgeAgreement]:
        fields = ("revision", "value", "steps")
        opinions = list(judge.opinions.order_by("-pk").values_list(*fields)[:OPINIONS_MEASURED])
        found = [_compare_verdicts(opinions)]
        if judge.unit == Judge.Unit.STEP:
            found.append(_compare_steps(opinions))
        return found

    return keep_if_large(
        f"judge-agreement-{judge.pk}", measure, size=lambda found: sum(one.measured.items for one in found)
    )


def list_cell_opinions(judge: Judge, agreement: JudgeAgreement, places: tuple[int, int]) -> Any:
    """The opinions behind a cell, with their trajectories' tasks."""
    opinions = Opinion.objects.filter(judge=judge, revision__in=agreement.behind.get(places, ()))
    opinions = opinions.select_related("trajectory__task", "revision")
    return opinions.defer("trajectory__task__instruction", "revision__document")


def _compare_verdicts(opinions: Sequence[tuple[int, str, Any]]) -> JudgeAgreement:
    by_revision = {revision: value for revision, value, _ in opinions}
    said: dict[int, Counter[str]] = defaultdict(Counter)
    for revisions in _chunks(list(by_revision)):
        reviews = Review.objects.filter(revision__in=revisions).exclude(submitted_at=None).exclude(item__gold=True)
        for revision, verdict in reviews.values_list("revision", "verdict"):
            said[revision][verdict] += 1
        decisions = Decision.objects.filter(revision__in=revisions, withdrawn_at=None).order_by("pk")
        for revision, verdict in decisions.values_list("revision", "verdict"):
            said[revision] = Counter({verdict: 1})
    pairs = [(revision, _most(counts), by_revision[revision]) for revision, counts in said.items()]
    return _compare(VERDICT, pairs)


def _compare_steps(opinions: Sequence[tuple[int, str, Any]]) -> JudgeAgreement:
    by_step = {(revision, label["step"]): label["label"] for revision, _, steps in opinions for label in steps}
    said: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    for revisions in _chunks(sorted({revision for revision, _ in by_step})):
        labels = StepLabel.objects.filter(review__revision__in=revisions).exclude(review__submitted_at=None)
        labels = labels.exclude(review__item__gold=True)
        for revision, step, label in labels.values_list("review__revision", "step_id", "label"):
            if (revision, step) in by_step:
                said[revision, step][label] += 1
    pairs = [(place[0], _most(counts), by_step[place]) for place, counts in said.items()]
    return _compare(STEPS, pairs)


def _compare(scale: Scale, pairs: Sequence[tuple[int, str | None, str]]) -> JudgeAgreement:
    """Of each pair the revision, what people said (None where they are divided), and what the judge said."""
    answers: list[Answer] = []
    behind: dict[tuple[int, int], dict[int, None]] = defaultdict(dict)
    for item, (revision, people, judge) in enumerate(pairs):
        if people is None:
            continue
        ours, theirs = scale.values.index(people), scale.values.index(judge)
        answers += [Answer(item, PEOPLE, ours), Answer(item, JUDGE, theirs)]
        behind[ours, theirs][revision] = None
    size = len(scale.values)
    return JudgeAgreement(
        scale,
        measure_agreement(answers, scale=size, ordinal=False),
        cross_answers(answers, first=PEOPLE, second=JUDGE, scale=size).tolist(),
        {places: tuple(revisions) for places, revisions in behind.items()},
        sum(people is None for _, people, _ in pairs),
    )


def _most(counts: Counter[str]) -> str | None:
    """What most say; None where as many say otherwise."""
    (first, often), *others = counts.most_common(2)
    return None if others and others[0][1] == often else first


def _chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[first : first + _AT_ONCE] for first in range(0, len(ids), _AT_ONCE))
