"""Rules as conditions of the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import reduce
from operator import and_, or_
from typing import Any

from django.contrib.postgres.search import SearchQuery
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from curation import rule_kinds as kinds
from curation.judge_rule import JudgeRule
from curation.models import Decision, QueueItem, Review, StepLabel, TrajectoryIndex
from curation.models.review import FailureMode
from curation.rules import AllOf, AnyOf, Leaf, Not, Rule
from curation.selectors.judge_rule import match_judge

EVERYTHING = Q(pk__isnull=False)
NOTHING = Q(pk__in=[])
OUTCOMES: dict[str, bool | None] = {"success": True, "failure": False, "none": None}
CHARACTERS_PER_TOKEN = 4
COLUMNS = {
    "reward": "reward",
    "grade": "task__human_grade",
    "steps": "step_count",
    "tool_calls": "tool_call_count",
    "characters": "character_count",
    "tokens": "character_count",
    "errors": "error_count",
    "unknown_tools": "unknown_tool_count",
    "bad_arguments": "bad_argument_count",
    "unreadable": "unreadable_count",
    "loop": "loop_length",
    "similarity": "similarity",
}


def match_rule(rule: Rule) -> Q:
    """The trajectories that a rule passes; to be applied inside one project only.

    What is unknown (no reward, no grade) fails a rule on it, and so passes its negation.
    """
    if isinstance(rule, AllOf):
        return reduce(and_, (match_rule(part) for part in rule.all), EVERYTHING)
    if isinstance(rule, AnyOf):
        return reduce(or_, (match_rule(part) for part in rule.any))
    if isinstance(rule, Not):
        return ~match_rule(rule.negated)
    return _match_leaf(rule)


def _match_leaf(rule: Leaf) -> Q:
    return _MATCHERS[type(rule)](rule)


def _match_outcome(rule: kinds.OutcomeRule) -> Q:
    return reduce(or_, (Q(success=OUTCOMES[value]) for value in rule.values))


def _match_band(rule: kinds.BandRule) -> Q:
    known = [int(value) for value in rule.values if value != "unknown"]
    return Q(task__band__in=known) | (Q(task__band=None) if "unknown" in rule.values else NOTHING)


def _match_queue(rule: kinds.QueueRule) -> Q:
    return Q(Exists(QueueItem.objects.filter(queue=rule.queue, trajectory=OuterRef("pk"))))


def _match_date(rule: kinds.DateRule) -> Q:
    since = Q(created_at__date__gte=rule.since) if rule.since else EVERYTHING
    return since & (Q(created_at__date__lt=rule.until + timedelta(days=1)) if rule.until else EVERYTHING)


def _match_number(rule: kinds.NumberRule) -> Q:
    column = COLUMNS[rule.rule]
    factor = CHARACTERS_PER_TOKEN if rule.rule == "tokens" else 1
    found = EVERYTHING
    if rule.at_least is not None:
        found &= Q(**{f"{column}__gte": factor * rule.at_least})
    if rule.at_most is not None:
        found &= Q(**{f"{column}__lte": factor * rule.at_most})
    return found


def _match_flag(rule: kinds.FlagRule) -> Q:
    if rule.rule == "duplicate":
        return Q(duplicate_of__isnull=False)
    if rule.rule == "corrected":
        return Q(head_number__gt=0)
    if rule.rule == "context_overflow":
        return Q(context_overflow=True)
    decided = Decision.objects.filter(trajectory=OuterRef("pk"), withdrawn_at=None)
    labels = StepLabel.objects.filter(failure_mode=FailureMode.REWARD_HACK, review__submitted_at__isnull=False)
    hack = Exists(labels.filter(review__trajectory=OuterRef("pk")).exclude(review__item__gold=True))
    said = Exists(_list_reviews().filter(verdict=Review.Verdict.REJECT))
    against = Exists(decided.filter(verdict=Review.Verdict.REJECT))
    return Q(success=True) & (Q(against) | ~Q(Exists(decided)) & (Q(said) | Q(hack)))


def _match_text(rule: kinds.TextRule) -> Q:
    query = SearchQuery(rule.words, config=TrajectoryIndex.CONFIGURATION, search_type="websearch")
    return Q(Exists(TrajectoryIndex.objects.filter(trajectory=OuterRef("pk"), words=query)))


def _match_verdict(rule: kinds.VerdictRule) -> Q:
    given = _list_reviews().filter(verdict__in=rule.values)
    return Q(Exists(_group(given).filter(number__gte=rule.at_least)))


def _match_agreement(rule: kinds.AgreementRule) -> Q:
    several = _group(_list_reviews()).filter(number__gte=2)
    return Q(Exists(several.filter(verdicts=1) if rule.values == "agree" else several.filter(verdicts__gt=1)))


def _match_label(rule: kinds.LabelRule) -> Q:
    labels = StepLabel.objects.filter(review__trajectory=OuterRef("pk"), review__submitted_at__isnull=False)
    labels = labels.filter(label__in=rule.values).exclude(review__item__gold=True)
    return Q(Exists(labels.filter(failure_mode__in=rule.failure_modes) if rule.failure_modes else labels))


def _list_reviews() -> QuerySet[Review]:
    """Of the trajectory at hand; gold items tell about their reviewers, not about it."""
    return Review.objects.filter(trajectory=OuterRef("pk"), submitted_at__isnull=False).exclude(item__gold=True)


def _group(reviews: QuerySet[Review]) -> QuerySet[Any, Any]:
    """One row with the `number` of reviews, and of different `verdicts`."""
    counted = reviews.order_by().values("trajectory")
    return counted.annotate(number=Count("pk"), verdicts=Count("verdict", distinct=True))


_MATCHERS: dict[type[Leaf], Callable[[Any], Q]] = {
    kinds.OutcomeRule: _match_outcome,
    kinds.StatusRule: lambda rule: Q(status__in=rule.values),
    kinds.SourceRule: lambda rule: Q(source__in=rule.values),
    kinds.CompletionRule: lambda rule: Q(completion__in=rule.values),
    kinds.ModelRule: lambda rule: Q(model__in=rule.values),
    kinds.TagRule: lambda rule: Q(tags__overlap=rule.values),
    kinds.BandRule: _match_band,
    kinds.TaskRule: lambda rule: Q(task__key__istartswith=rule.begins),
    kinds.TaskIdRule: lambda rule: Q(task=rule.task),
    kinds.ImportRule: lambda rule: Q(origin__in=rule.values),
    kinds.QueueRule: _match_queue,
    kinds.DateRule: _match_date,
    kinds.NumberRule: _match_number,
    kinds.FlagRule: _match_flag,
    kinds.TextRule: _match_text,
    kinds.VerdictRule: _match_verdict,
    kinds.AgreementRule: _match_agreement,
    kinds.LabelRule: _match_label,
    JudgeRule: match_judge,
}
