"""Small pieces of the training pages."""

from __future__ import annotations

import re

from django import template

from curation.rendering import plain_text

register = template.Library()
LINE_ENDS = re.compile(r"(?:[ \t]*\n){4,}")


@register.filter
def plain(text: str) -> str:
    """Text of an engine or a model without terminal colours and control characters, still to be escaped."""
    return plain_text(text)


@register.filter
def compact(text: str) -> str:
    """Plain text with long runs of empty lines counted: an untrained model may write nothing else."""
    return LINE_ENDS.sub(lambda run: f"\n⏎ {run[0].count(chr(10))} line ends\n", plain(text))
