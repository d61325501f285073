"""Where reviewers of a queue differ so much that a curator has to decide, and what was decided."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    Func,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    TextField,
    Value,
    When,
)

from curation.difficulty import grades_disagree
from curation.models import Decision, Judgement, Queue, QueueItem, Review, Trajectory
from curation.selectors.agreement import (
    PREFERENCES,
    Criterion,
    list_criteria,
    list_given_judgements,
    list_given_reviews,
)
from curation.selectors.queues import keep_if_large

FAR = 2
"""Grades, or levels of a criterion, this far apart are a disagreement."""

NEAR = 2000
"""The next disagreement is looked for among so many numbers first."""


def list_disagreements(queue: Queue, *, after: int = 0, until: int | None = None) -> QuerySet[Any]:
    """Items whose reviews differ in the verdict, or by two grades or levels; pairs whose judgements differ in the
    winner. Each has `decided`: whether a curator's decision stands. `after` and `until` bound the items by number: to
    look at few of them is quicker than at all.
    """
    bounds = Q(item__gt=after) if until is None else Q(item__gt=after, item__lte=until)
    if queue.kind == Queue.Kind.PAIRWISE:
        winners = list_given_judgements(queue).filter(bounds).annotate(winner=_find_winner()).values("item").order_by()
        differing = winners.annotate(least=Min("winner"), most=Max("winner")).filter(least__lt=F("most"))
        deciding = Judgement.objects.filter(pair=OuterRef("pair"), decides=True)
        items = queue.items.filter(pk__in=differing.values("item")).annotate(decided=Exists(deciding))
        return items.select_related("pair__task").defer("pair__task__instruction")
    answers = list_given_reviews(queue).filter(bounds).values("item").order_by()
    answers = answers.annotate(first=Min("verdict"), last=Max("verdict"), spread=Max("grade") - Min("grade"))
    differs = Q(first__lt=F("last")) | Q(spread__gte=FAR)
    for number, criterion in enumerate(list_criteria(queue)[2:]):
        place = _find_place(criterion)
        answers = answers.annotate(**{f"spread_{number}": Max(place) - Min(place)})
        differs |= Q(**{f"spread_{number}__gte": FAR})
    standing = Decision.objects.filter(trajectory=OuterRef("trajectory"), withdrawn_at=None)
    items = queue.items.filter(pk__in=answers.filter(differs).values("item")).annotate(decided=Exists(standing))
    return items.select_related("trajectory__task").defer("trajectory__task__instruction")


def _find_place(criterion: Criterion) -> Case:
    """Where a review's answer stands in the scale of a criterion, if it was given on that scale."""
    values = [json.dumps(value) for value in criterion.values]
    scale = Func(Value(values, ArrayField(TextField())), template="(%(expressions)s)::jsonb[]")
    given = Func(F("scores"), Value(criterion.key, TextField()), arg_joiner=" -> ", template="(%(expressions)s)")
    place = Func(scale, given, function="array_position", output_field=IntegerField())
    return Case(When(rubric__in=criterion.rubrics, then=place))


def _find_winner() -> Case:
    """The revision that a judgement prefers; 0 for a tie, -1 where both are bad."""
    middle = len(PREFERENCES) // 2
    return Case(
        When(answer__in=PREFERENCES[:middle], then=F("left_id")),
        When(answer__in=PREFERENCES[middle + 1 :], then=F("right_id")),
        When(answer=Judgement.Answer.TIE, then=Value(0)),
        default=Value(-1),
        output_field=IntegerField(),
    )


def count_disagreements(queue: Queue) -> tuple[int, int]:
    """Disagreements that are open, and that were decided; of a large queue some seconds old."""

    def count() -> tuple[int, int]:
        rows = list_disagreements(queue).order_by().values_list("decided").annotate(n=Count("pk"))
        found = dict(rows)
        return found.get(False, 0), found.get(True, 0)

    return keep_if_large(f"disagreements-{queue.pk}", count, size=lambda _: queue.items.count())


def find_next_disagreement(queue: Queue, *, after: int = 0) -> QueueItem | None:
    """The next open one by number, from the first on again after the last."""
    for start, until in ((after, after + NEAR), (after, None), (0, after - 1)):
        still_open = list_disagreements(queue, after=start, until=until).filter(decided=False)
        found: QueueItem | None = still_open.order_by("pk").first()
        if found is not None:
            return found
    return None


def show_answers(items: QuerySet[QueueItem]) -> QuerySet[QueueItem]:
    """These items with what was answered to them, as `given_reviews` or `given_judgements`, and `decisions`."""
    reviews = Review.objects.exclude(submitted_at=None).select_related("reviewer", "rubric", "revision")
    reviews = reviews.defer("revision__document").prefetch_related("step_labels").order_by("submitted_at", "pk")
    judgements = Judgement.objects.select_related("reviewer").order_by("pk")
    return items.prefetch_related(
        Prefetch("reviews", reviews, to_attr="given_reviews"),
        Prefetch("judgements", judgements, to_attr="given_judgements"),
    )


def list_decisions(trajectory: Trajectory) -> QuerySet[Decision]:
    """A curator's decisions of a trajectory, newest first; those taken back too."""
    decisions = trajectory.decisions.select_related("decided_by", "revision").defer("revision__document")
    return decisions.order_by("-pk")


def find_standing(trajectory: Trajectory) -> Decision | None:
    """The decision that counts."""
    return list_decisions(trajectory).filter(withdrawn_at=None).first()


def name_differences(criteria: Sequence[Criterion], reviews: Sequence[Review]) -> list[str]:
    """In what these reviews of one item differ so much that somebody has to decide: the labels of the criteria."""
    found = []
    if len({review.verdict for review in reviews}) > 1:
        found.append(criteria[0].label)
    if grades_disagree([review.grade for review in reviews if review.grade is not None]):
        found.append(criteria[1].label)
    for criterion in criteria[2:]:
        given = [review.scores.get(criterion.key) for review in reviews if review.rubric_id in criterion.rubrics]
        places = [place for place in map(criterion.find_place, given) if place is not None]
        if len(places) > 1 and max(places) - min(places) >= FAR:
            found.append(criterion.label)
    return found
