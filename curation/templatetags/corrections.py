"""What the pages of corrections are made of."""

from __future__ import annotations

from collections.abc import Iterable

from django import template

from curation.revisions.condense import StepChange, StepRun, condense_diffs
from curation.revisions.diff import StepDiff

register = template.Library()


@register.filter
def condensed(diffs: Iterable[StepDiff]) -> list[StepChange | StepRun]:
    """The steps that differ, shortened to what a person reads."""
    return condense_diffs(diffs)
