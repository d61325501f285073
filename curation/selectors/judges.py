"""Reading judges, their runs, and what they said."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Avg, Count, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from curation.models import ACTIVE_STATES, Judge, JudgeFailure, JudgeRun, Opinion, Trajectory
from curation.permissions import Access


@dataclass(frozen=True)
class Spent:
    """What all runs of a judge came to."""

    asked: int
    cached: int
    failed: int
    prompt_tokens: int
    answer_tokens: int
    cost: float


def list_judges(access: Access) -> QuerySet[Judge]:
    """The project's judges, newest first, those put away last, with `opinion_count`, `spent` and `active_run`."""
    opinions = Opinion.objects.filter(judge=OuterRef("pk")).order_by().values("judge").annotate(n=Count("pk"))
    runs = JudgeRun.objects.filter(judge=OuterRef("pk")).order_by().values("judge")
    tokens = runs.annotate(read=Sum("prompt_tokens"), written=Sum("answer_tokens"))
    active = JudgeRun.objects.filter(judge=OuterRef("pk"), state__in=ACTIVE_STATES)
    return (
        Judge.objects.filter(project=access.project)
        .defer("sealed_key", "instructions")
        .annotate(
            opinion_count=Coalesce(Subquery(opinions.values("n")), Value(0)),
            read=Coalesce(Subquery(tokens.values("read")), Value(0)),
            written=Coalesce(Subquery(tokens.values("written")), Value(0)),
            spent=(F("read") * F("price_in") + F("written") * F("price_out")) / 1e6,
            active_run=Subquery(active.values("pk")[:1]),
        )
        .order_by(F("archived_at").desc(nulls_first=True), "-pk")
    )


def list_runs(judge: Judge) -> QuerySet[JudgeRun]:
    return judge.runs.select_related("judge", "created_by").defer("judge__sealed_key", "judge__instructions")


def list_failures(run: JudgeRun) -> QuerySet[JudgeFailure]:
    """With the trajectories' tasks."""
    failures = run.failures.select_related("trajectory__task")
    return failures.defer("trajectory__task__instruction")


def list_run_opinions(run: JudgeRun) -> QuerySet[Opinion]:
    """What a run brought, with the trajectories' tasks; what was known before is another run's."""
    opinions = run.opinions.select_related("trajectory__task", "revision")
    return opinions.defer("trajectory__task__instruction", "revision__document", "steps")


def list_opinions(trajectory: Trajectory) -> QuerySet[Opinion]:
    """What judges said of a trajectory, newest first; also of older revisions, which counts no more."""
    opinions = trajectory.opinions.select_related("judge", "revision").order_by("-pk")
    return opinions.defer("revision__document", "judge__sealed_key", "judge__instructions")


def count_values(run: JudgeRun) -> dict[str, int]:
    """How many opinions of a run say what."""
    counted = run.opinions.order_by().values_list("value").annotate(n=Count("pk"))
    return dict(counted)


def sum_spent(judge: Judge) -> Spent:
    names = ("asked", "cached", "failed", "prompt_tokens", "answer_tokens")
    sums = judge.runs.aggregate(**{f"all_{name}": Coalesce(Sum(name), Value(0)) for name in names})
    counts = {name: int(sums[f"all_{name}"]) for name in names}
    return Spent(**counts, cost=judge.price_tokens(counts["prompt_tokens"], counts["answer_tokens"]))


def expect_cost(judge: Judge, number: int) -> float | None:
    """What so many questions will cost if they are like those asked before; None where none was."""
    asked = judge.opinions.filter(Q(prompt_tokens__gt=0) | Q(answer_tokens__gt=0))
    means = asked.aggregate(read=Avg("prompt_tokens"), written=Avg("answer_tokens"))
    if means["read"] is None:
        return None
    each: float = means["read"] * judge.price_in + means["written"] * judge.price_out
    return number * each / 1e6
