"""Small pieces that every page is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import template
from django.http import QueryDict
from django.utils.html import format_html
from django.utils.safestring import SafeString

from curation.formats.redaction import KINDS
from curation.views.charts import draw_bands

register = template.Library()
BAND_NAMES = {1: "trivial", 2: "easy", 3: "medium", 4: "hard", 5: "expert"}


@register.simple_tag
def band(number: int | None) -> SafeString:
    """The square of a difficulty band, with its number; a question mark where it is unknown."""
    name, sign = (f"{number}: {BAND_NAMES[number]}", str(number)) if number else ("unknown", "?")
    return format_html('<span class="band b{}" title="Difficulty {}">{}</span>', number or 0, name, sign)


@register.simple_tag
def outcome(success: bool | None, reward: float | None = None) -> SafeString:
    """A chip that says success, failure or neither, by sign and word as well as by colour."""
    kind, word = {True: ("good", "✓ success"), False: ("bad", "✕ failure"), None: ("", "no outcome")}[success]
    detail = "" if reward is None else f" · {reward:g}"
    return format_html('<span class="chip {}">{}{}</span>', kind, word, detail)


@register.simple_tag
def bands_bar(shares: Sequence[tuple[int | None, float]], label: str) -> SafeString:
    return draw_bands(shares, label=label)


@register.simple_tag(takes_context=True)
def with_query(context: template.Context, **changes: str | int | None) -> str:
    """The page's own query string with some parameters changed; None or "" removes one."""
    query: QueryDict = context["request"].GET.copy()
    for name, value in changes.items():
        query.pop(name, None)
        if value not in (None, ""):
            query[name] = str(value)
    return f"?{query.urlencode()}" if query else "?"


@register.filter
def redaction_label(kind: str) -> str:
    return KINDS.get(kind, kind).lower()


@register.filter
def lookup(mapping: Mapping[Any, Any] | None, key: object) -> object:
    """`mapping[key]`, which a template cannot write where the key is a variable; nothing of what is not there."""
    return mapping.get(key) if mapping else None


@register.filter
def joined(start: str, end: object) -> str:
    """`start` followed by `end`, which `add` does for two strings only."""
    return f"{start}{end}"
