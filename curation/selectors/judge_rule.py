"""The rule that asks what a model judge said, as a condition of the database."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q

from curation.judge_rule import JudgeRule
from curation.models import Opinion


def match_judge(rule: JudgeRule) -> Q:
    """The trajectories whose newest revision the judge said so of. A judge of another project has said nothing here."""
    opinions = Opinion.objects.filter(
        trajectory=OuterRef("pk"), judge=rule.judge, revision__number=OuterRef("head_number"), value__in=rule.values
    )
    if rule.at_least is not None:
        opinions = opinions.filter(score__gte=rule.at_least)
    if rule.at_most is not None:
        opinions = opinions.filter(score__lte=rule.at_most)
    return Q(Exists(opinions))
