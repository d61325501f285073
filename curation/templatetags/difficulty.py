"""How pages write pass rates, shares of bands and what a disagreement may mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from curation.difficulty import band_of, combine_band
from curation.models import Task

register = template.Library()
FEW_ATTEMPTS = 4
"""With fewer attempts a disagreement may be luck."""


class BandShare(Protocol):
    @property
    def band(self) -> int | None: ...
    @property
    def share(self) -> float | None: ...
    @property
    def query(self) -> str: ...


@register.simple_tag
def bands_links(cells: Sequence[BandShare], label: str, address: str = "") -> SafeString:
    """One stacked bar of the known bands; each piece leads to its tasks where an address is given. The cells of the
    table beside it say the same to whoever does not see it, and are reached by keyboard."""
    pieces, across = [], 0.0
    for cell in cells:
        if cell.band and cell.share:
            width = 100 * cell.share
            piece = format_html(
                '<rect x="{}" width="{}" height="12" class="f{}"><title>{}, difficulty {}: {}</title></rect>',
                f"{across:.2f}", f"{width:.2f}", cell.band, label, cell.band, f"{cell.share:.0%}",
            )  # fmt: skip
            if address and cell.query:
                piece = format_html('<a href="{}?{}" tabindex="-1">{}</a>', address, cell.query, piece)
            pieces.append((piece,))
            across += width
    if not pieces:
        return format_html('<span class="muted xs">{}</span>', "nothing of known difficulty")
    inside = format_html_join("", "{}", pieces)
    return format_html(
        '<svg class="bands" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">{}</svg>', inside
    )


@register.filter
def rate(value: float | None) -> str:
    """A share or ratio with two places, without the zero in front, as .25; a dash where there is none."""
    return "-" if value is None else f"{value:.2f}".removeprefix("0")


@register.filter
def signed(value: float | None) -> str:
    """With its sign; a dash where there is none."""
    return "-" if value is None else f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


@register.filter
def empirical_band(task: Task) -> int | None:
    return None if task.pass_rate is None else band_of(task.pass_rate)


@register.filter
def human_band(task: Task) -> int | None:
    return combine_band(task.human_grade, 0, 0)


@register.filter
def likely_cause(task: Task) -> str:
    """What it may mean that people and attempts disagree."""
    if task.human_grade is None or task.pass_rate is None:
        return ""
    if task.human_grade > band_of(task.pass_rate):
        words = "Agents solve what people find hard: is the check too lenient (a reward hack), or the grade too high?"
    else:
        words = "Agents fail at what people find easy: a broken task or check, a detail they miss, or a grade too low?"
    few = f" Only {task.attempts} attempt{'' if task.attempts == 1 else 's'}: it may be luck."
    return words + few if task.attempts < FEW_ATTEMPTS else words
