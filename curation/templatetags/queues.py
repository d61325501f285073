"""How the pages of queues write shares and times."""

from __future__ import annotations

from django import template

from curation.models import Judgement
from curation.selectors.agreement import PREFERENCE_LABELS, orient_answer

register = template.Library()


@register.filter
def percent(share: float | None) -> str:
    """A share of 1 in per cent; a dash where there is none."""
    return "-" if share is None else f"{share:.0%}".replace("%", " %")


@register.filter
def coefficient(value: float | None) -> str:
    """A coefficient of agreement with its sign; a dash where there is none."""
    return "-" if value is None else f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


@register.filter
def duration(seconds: object) -> str:
    """Seconds as people say them: 40 s, 3 min 20 s, 2 h 5 min; a dash where the time is unknown."""
    if not isinstance(seconds, (int, float)):
        return "-"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@register.filter
def oriented(judgement: Judgement) -> str:
    """What was judged, with the older revision called A and the other one B, on whichever side each was shown."""
    _, place = orient_answer(judgement.answer, swapped=judgement.left_id > judgement.right_id)
    return "Both bad" if place is None else PREFERENCE_LABELS[place]
