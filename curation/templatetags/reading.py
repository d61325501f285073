"""What a trajectory's text is drawn with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from curation import rendering
from curation.formats.document import text_of
from curation.selectors.reading import StepMark

register = template.Library()

FOLDED_FROM = {"message": 2400, "output": 1200, "arguments": 2400}
"""Characters from which a text is folded."""

FETCHED_FROM = 4000
"""Characters from which a folded text is sent only when it is unfolded."""

_DRAWN = {"message": rendering.render_message, "output": rendering.render_output}


@register.simple_tag(takes_context=True)
def draw(context: template.Context, content: Any, kind: str) -> SafeString:
    """A text of a step as HTML: rendered, or as it was written where the page asks for that.

    `kind` is message, output or arguments; the content of the last is a tool call, and of the others a string.
    """
    if kind == "arguments":
        raw = str(content.get("arguments_raw", ""))
        html = rendering.show_as_written(raw) if context.get("written") else rendering.render_arguments(content)
    else:
        html = rendering.show_as_written(content) if context.get("written") else _DRAWN[kind](content)
    return SafeString(html)


@register.filter
def words_of(parts: Iterable[Mapping[str, Any]] | None) -> str:
    """The text of a message's or observation's parts, as it was written."""
    return text_of(parts)


@register.filter
def plain(text: str) -> str:
    return rendering.plain_text(text)


@register.filter
def beginning(content: Any) -> str:
    """What stands for a folded text, or for a call's folded arguments."""
    text = content if isinstance(content, str) else str(content.get("arguments_raw", ""))
    return rendering.plain_text(text[:400]).strip()


@register.filter
def size_of_arguments(call: dict[str, Any]) -> int:
    return len(str(call.get("arguments_raw", "")))


@register.filter
def is_folded(length: int, kind: str) -> bool:
    return length > FOLDED_FROM[kind]


@register.filter
def is_fetched(length: int) -> bool:
    return length > FETCHED_FROM


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
