"""Rules as conditions of the database."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_

from django.db.models import Q

from curation.judge_rule import JudgeRule
from curation.rules import AllOf, AnyOf, BandRule, Leaf, ModelRule, Not, OutcomeRule, Rule, SourceRule, StatusRule
from curation.selectors.judge_rule import match_judge

EVERYTHING = Q(pk__isnull=False)
OUTCOMES: dict[str, bool | None] = {"success": True, "failure": False, "none": None}


def match_rule(rule: Rule) -> Q:
    """The trajectories that a rule passes; to be applied inside one project only."""
    if isinstance(rule, AllOf):
        return reduce(and_, (match_rule(part) for part in rule.all), EVERYTHING)
    if isinstance(rule, AnyOf):
        return reduce(or_, (match_rule(part) for part in rule.any))
    if isinstance(rule, Not):
        return ~match_rule(rule.negated)
    return _match_leaf(rule)


def _match_leaf(rule: Leaf) -> Q:
    if isinstance(rule, OutcomeRule):
        return reduce(or_, (Q(success=OUTCOMES[value]) for value in rule.values))
    if isinstance(rule, StatusRule):
        return Q(status__in=rule.values)
    if isinstance(rule, SourceRule):
        return Q(source__in=rule.values)
    if isinstance(rule, ModelRule):
        return Q(model__in=rule.values)
    if isinstance(rule, JudgeRule):
        return match_judge(rule)
    assert isinstance(rule, BandRule)  # noqa: S101  # the last of the leaves
    known = [int(value) for value in rule.values if value != "unknown"]
    return Q(task__band__in=known) | (Q(task__band=None) if "unknown" in rule.values else Q(pk__in=[]))
