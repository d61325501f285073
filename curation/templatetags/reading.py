"""What a trajectory's text is drawn with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from curation import rendering
from curation.selectors.reading import StepMark
from curation.views import steps

register = template.Library()


@register.simple_tag(takes_context=True)
def draw(context: template.Context, content: Any, kind: str) -> SafeString:
    """A text of a step as HTML, on its own."""
    return SafeString(steps.draw_text(content, kind, _page_of(context)))


@register.simple_tag(takes_context=True)
def draw_step_body(context: template.Context, step: Mapping[str, Any], texts: str = "") -> SafeString:
    """What a step says and does; long texts are fetched from `texts` when they are unfolded, or sent whole."""
    return SafeString(steps.draw_body(step, _page_of(context), texts))


@register.simple_tag(takes_context=True)
def draw_steps(context: template.Context, shown: Iterable[Mapping[str, Any]]) -> SafeString:
    """Steps of the page's trajectory, with the links and controls that belong to them on this page."""
    labelling = None
    if context.get("reviewing"):
        labels, modes = context.get("labels") or {}, context.get("modes") or {}
        labelling = steps.Labelling(context["reviewing"], labels, modes, context.get("first_error"))
    return SafeString(
        steps.draw_steps(
            shown,
            _page_of(context),
            trajectory=context["trajectory"],
            revision=context["revision"],
            can_edit=bool(context.get("can_edit")),
            labelling=labelling,
        )
    )


def _page_of(context: template.Context) -> steps.Page:
    # The lowest layer is the whole page's; those above belong to the templates that it includes.
    whole: Any = context.render_context.dicts[0]
    budget = whole.setdefault("drawing", rendering.Budget())
    return steps.Page(context.get("project"), bool(context.get("written")), budget)


@register.filter
def plain(text: str) -> str:
    return rendering.plain_text(text)


@register.filter
def within(values: Mapping[int, str] | None, chunk: Mapping[str, int]) -> list[tuple[int, str]]:
    """What a draft holds, by step, for the steps of a chunk."""
    first, last = chunk["first"], chunk["last"]
    return [(step, value) for step, value in (values or {}).items() if value and first <= step <= last]


@register.simple_tag
def minimap(marks: Iterable[StepMark]) -> SafeString:
    """A link for each step; a thousand of them are too many for a template's own loop, or for one escape each."""
    return SafeString("".join(_draw_mark(mark) for mark in marks))


def _draw_mark(mark: StepMark) -> str:
    number, source = int(mark.step_id), escape(mark.source)
    kind, words = (f"{source} err", ", error") if mark.is_error else (source, "")
    return (
        f'<a href="#step-{number}" class="{kind}" title="Step {number}: {source}{words}" tabindex="-1">'
        f'<span class="hidden">{number}</span></a>'
    )


@register.simple_tag
def mark_of_end(success: bool | None, reward: float | None) -> SafeString:
    """The last mark of the minimap: how it ended, by sign as well as by colour."""
    kind, sign, word = {True: ("won", "✓", "success"), False: ("lost", "✕", "failure"), None: ("", "·", "no outcome")}[
        success
    ]
    words = f"The end: {word}" if reward is None else f"The end: {word}, reward {reward:g}"
    return format_html('<span class="end {}" title="{}" role="img" aria-label="{}">{}</span>', kind, words, words, sign)
