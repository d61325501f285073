"""Where reviewers of a queue differ so much that a curator has to decide, and what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Value,
    When,
)
from django.db.models.expressions import RawSQL

from curation.difficulty import grades_disagree
from curation.models import Decision, Judgement, Queue, QueueItem, Review, Trajectory
from curation.selectors.agreement import (
    PREFERENCES,
    Criterion,
    list_given_judgements,
    list_given_reviews,
)
from curation.selectors.queues import keep_if_large

FAR = 2
"""Grades, or levels of a criterion, this far apart are a disagreement."""

# Levels are compared by their place, among answers that were given on the same scale.
FAR_APART = """
SELECT review.item_id
FROM curation_review AS review
JOIN curation_queueitem AS item ON item.id = review.item_id
JOIN curation_rubric AS rubric ON rubric.id = review.rubric_id
CROSS JOIN LATERAL jsonb_array_elements(rubric.criteria) AS criterion
CROSS JOIN LATERAL jsonb_array_elements(criterion->'levels') WITH ORDINALITY AS level(written, place)
WHERE item.queue_id = %s AND NOT item.gold AND review.submitted_at IS NOT NULL AND review.reviewer_id IS NOT NULL
    AND level.written->'value' = review.scores->(criterion->>'key')
GROUP BY review.item_id, criterion->>'key', criterion->'levels'
HAVING max(level.place) - min(level.place) >= %s
"""


def list_disagreements(queue: Queue) -> QuerySet[Any]:
    """Items whose reviews differ in the verdict, or by two grades or levels; pairs whose judgements differ in the
    winner. Each has `decided`: whether a curator's decision stands."""
    if queue.kind == Queue.Kind.PAIRWISE:
        winners = list_given_judgements(queue).annotate(winner=_find_winner()).values("item").order_by()
        differing = winners.annotate(winners=Count("winner", distinct=True)).filter(winners__gt=1)
        deciding = Judgement.objects.filter(pair=OuterRef("pair"), decides=True)
        items = queue.items.filter(pk__in=differing.values("item")).annotate(decided=Exists(deciding))
        return items.select_related("pair__task", "pair__chosen__trajectory", "pair__rejected__trajectory").defer(
            "pair__task__instruction", "pair__chosen__document", "pair__rejected__document"
        )
    answers = list_given_reviews(queue).values("item").order_by()
    answers = answers.annotate(verdicts=Count("verdict", distinct=True), spread=Max("grade") - Min("grade"))
    differing_answers = answers.filter(Q(verdicts__gt=1) | Q(spread__gte=FAR)).values("item")
    far_apart = RawSQL(FAR_APART, [queue.pk, FAR])  # noqa: S611  # a constant
    standing = Decision.objects.filter(trajectory=OuterRef("trajectory"), withdrawn_at=None)
    items = queue.items.filter(Q(pk__in=differing_answers) | Q(pk__in=far_apart)).annotate(decided=Exists(standing))
    return items.select_related("trajectory__task").defer("trajectory__task__instruction")


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
    still_open = list_disagreements(queue).filter(decided=False).order_by("pk")
    found: QueueItem | None = still_open.filter(pk__gt=after).first() or still_open.exclude(pk=after).first()
    return found


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
