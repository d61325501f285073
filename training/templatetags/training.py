"""Small pieces of the training pages."""

from __future__ import annotations

from django import template

from curation.templatetags.whetstone import ANSI

register = template.Library()


@register.filter
def plain(text: str) -> str:
    """Text of an engine or a model without terminal colours and control characters, still to be escaped."""
    return ANSI.sub("", text)
