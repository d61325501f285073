"""What the pages of corrections are made of."""

from __future__ import annotations

from collections.abc import Iterable

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from curation.revisions.condense import Piece, StepChange, StepRun, condense_diffs
from curation.revisions.diff import StepDiff

register = template.Library()
_TAGS = {
    "same": "{}",
    "del": "<del>{}</del>",
    "ins": "<ins>{}</ins>",
    "gap": '<span class="muted xs"> … {} … </span>',
}


@register.filter
def condensed(diffs: Iterable[StepDiff]) -> list[StepChange | StepRun]:
    """The steps that differ, shortened to what a person reads."""
    return condense_diffs(diffs)


@register.filter
def marked(pieces: Iterable[Piece]) -> SafeString:
    """A text with what was deleted and inserted in it; white space counts, so it is written without any of its own."""
    return SafeString("".join(format_html(_TAGS[piece.kind], piece.text) for piece in pieces))
