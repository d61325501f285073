"""Gold items of a queue, what could become one, and how often each reviewer is right. For curators alone: whoever
reviews must not learn from any page which items these are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Abs

from curation.models import Decision, Judgement, Queue, Review, Trajectory
from curation.selectors.agreement import PREFERENCES
from curation.statistics import wilson_interval


@dataclass(frozen=True)
class Accuracy:
    """How a reviewer does on gold items. `right` have the known answer, and a grade within 1 of it where both gave
    one; `verdicts` the known verdict or winner alone. `low` to `high` is Wilson's 95 % interval of the share `right`.
    """

    reviewer: int
    name: str
    answered: int
    verdicts: int
    right: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.right / self.answered


def unmet(queue: Queue) -> Q:
    """Ordinary items of a queue of which every slot is free: nobody holds or has reviewed them.

    All of it is on the item's own row, so that an update under this condition sees what was taken a moment before.
    """
    return Q(gold=False, free_slots__len=queue.reviews_wanted)


def list_gold(queue: Queue) -> QuerySet[Any]:
    """The gold items of a queue with `answered` and `wrong`: how many people answered, and how many of them wrong."""
    counted: QuerySet[Any] = list_gold_answers(queue).filter(item=OuterRef("pk")).order_by().values("item")
    answered = counted.annotate(n=Count("pk")).values("n")
    wrong = counted.filter(right_answer=False).annotate(n=Count("pk")).values("n")
    items = queue.items.filter(gold=True).annotate(answered=Subquery(answered), wrong=Subquery(wrong))
    items = items.select_related("trajectory__task", "pair__task", "gold_winner")
    return items.defer("trajectory__task__instruction", "pair__task__instruction", "gold_winner__document")


def list_gold_answers(queue: Queue) -> QuerySet[Any]:
    """Answers to gold items by people who are still there, each with `right_answer` and `right_verdict`."""
    if queue.kind == Queue.Kind.PAIRWISE:
        winner = Case(
            When(answer__in=PREFERENCES[: len(PREFERENCES) // 2], then=F("left")),
            When(answer__in=PREFERENCES[len(PREFERENCES) // 2 + 1 :], then=F("right")),
        )
        judged = Judgement.objects.filter(item__queue=queue, item__gold=True, decides=False).exclude(reviewer=None)
        judged = judged.annotate(winner=winner)
        told = Case(When(winner=F("item__gold_winner"), then=True), default=False)
        return judged.annotate(right_verdict=told, right_answer=told)
    reviews = Review.objects.filter(item__queue=queue, item__gold=True).exclude(submitted_at=None)
    reviews = reviews.exclude(reviewer=None).annotate(grades_apart=Abs(F("grade") - F("item__gold_grade")))
    same = Q(verdict=F("item__gold_verdict"))
    near = Q(grade=None) | Q(item__gold_grade=None) | Q(grades_apart__lte=1)
    return reviews.annotate(
        right_verdict=Case(When(same, then=True), default=False),
        right_answer=Case(When(same & near, then=True), default=False),
    )


def measure_accuracy(queue: Queue) -> list[Accuracy]:
    """Accuracy of everybody who answered a gold item, most answers first."""
    people = list_gold_answers(queue).order_by().values_list("reviewer", "reviewer__username")
    rows = people.annotate(
        answered=Count("pk"),
        verdicts=Count("pk", filter=Q(right_verdict=True)),
        hits=Count("pk", filter=Q(right_answer=True)),
    )
    return [
        Accuracy(pk, name, answered, verdicts, right, *wilson_interval(right, answered))
        for pk, name, answered, verdicts, right in rows.order_by("-answered", "reviewer")
    ]


def list_wrong_answers(queue: Queue, reviewer: int) -> QuerySet[Any]:
    """What a reviewer answered wrong, newest first: reviews with their item and trajectory, or judgements."""
    wrong = list_gold_answers(queue).filter(reviewer=reviewer, right_answer=False)
    return wrong.select_related("item__trajectory__task", "item__pair__task", "item__gold_winner").defer(
        "item__trajectory__task__instruction", "item__pair__task__instruction", "item__gold_winner__document"
    )


def list_decided(queue: Queue) -> QuerySet[Any]:
    """Trajectories that a curator, one by one, accepted or rejected, and that may become gold items of a queue: it
    does not hold them, or nobody met them there yet. Each with `decided_verdict` and `decided_grade`."""
    standing = Decision.objects.filter(trajectory=OuterRef("pk"), withdrawn_at=None).order_by("-pk")
    met = queue.items.exclude(unmet(queue)).filter(trajectory=OuterRef("pk"))
    decided = Trajectory.objects.filter(Exists(standing), ~Exists(met), project=queue.project_id)
    decided = decided.annotate(
        decided_verdict=Subquery(standing.values("verdict")[:1]),
        decided_grade=Subquery(standing.values("grade")[:1]),
        decided_in_bulk=Subquery(standing.values("bulk")[:1]),
    )
    decided = decided.filter(decided_in_bulk=None).exclude(decided_verdict=Review.Verdict.UNSURE)
    return decided.select_related("task").defer("task__instruction")


def list_decided_pairs(queue: Queue) -> QuerySet[Judgement]:
    """Curators' decisions for one side of a pair that may become a gold item of a pairwise queue."""
    met = queue.items.exclude(unmet(queue)).filter(pair=OuterRef("pair"))
    decisions = Judgement.objects.filter(~Exists(met), pair__project=queue.project_id, decides=True)
    return decisions.exclude(answer__in=[Judgement.Answer.TIE, Judgement.Answer.BOTH_BAD])
