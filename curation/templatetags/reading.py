"""What a trajectory's text is drawn with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from curation import rendering
from curation.formats.document import text_of
from curation.models.review import FailureMode
from curation.selectors.reading import StepMark

register = template.Library()

FOLDED_FROM = {"message": 2400, "output": 1200, "arguments": 2400}
"""Characters from which a text is folded."""

LONGEST_SYSTEM = 500
"""Those of the instructions that every attempt begins with are folded from fewer on."""

FETCHED_FROM = 4000
"""Characters from which a folded text is sent only when it is unfolded."""

_DRAWN: Mapping[str, Callable[[Any, rendering.Budget], str]] = {
    "message": rendering.render_message,
    "output": rendering.render_output,
    "arguments": rendering.render_arguments,
}


@register.simple_tag(takes_context=True)
def draw(context: template.Context, content: Any, kind: str) -> SafeString:
    """A text of a step as HTML: rendered, or as it was written where the page asks for that.

    `kind` is message, output or arguments; the content of the last is a tool call, and of the others a string.
    """
    if context.get("written"):
        return SafeString(rendering.show_as_written(_raw(content)))
    # The lowest layer is the whole page's; those above belong to the templates that it includes.
    page: Any = context.render_context.dicts[0]
    return SafeString(_DRAWN[kind](content, page.setdefault("drawing", rendering.Budget())))


@register.simple_tag(takes_context=True)
def draw_part(context: template.Context, content: Any, kind: str, part: str, style: str = "") -> SafeString:
    """The same in its place in a step, folded where it is long. Drawn here: a page has hundreds of them.

    `part` names the text among those of the step. The context's `texts` is where a very long one is fetched from when
    it is unfolded; without it all is sent.
    """
    step, raw = context["step"], _raw(content)
    length, name = len(raw), escape(part)
    if length <= FOLDED_FROM[kind] and (step["source"] != "system" or length <= LONGEST_SYSTEM):
        return SafeString(f'<div class="{style}" data-part="{name}">{draw(context, content, kind)}</div>')
    texts = context.get("texts")
    if texts and length > FETCHED_FROM:
        address = escape(f"{texts}&step={int(step['step_id'])}&part={part}")
        body = (
            f'<div hx-get="{address}" hx-trigger="toggle from:closest details once">'
            f'<a href="{address}">all {length:,} characters</a></div>'
        )
    else:
        body = draw(context, content, kind)
    start = escape(rendering.plain_text(raw[:400]).strip())
    return SafeString(
        f'<details class="fold {style}" data-part="{name}"><summary><span class="prose">{start}…</span>'
        f'<span class="more">show all {length:,} characters</span></summary>{body}</details>'
    )


def _raw(content: Any) -> str:
    return content if isinstance(content, str) else str(content.get("arguments_raw", ""))


@register.filter
def words_of(parts: Iterable[Mapping[str, Any]] | None) -> str:
    """The text of a message's or observation's parts, as it was written."""
    return text_of(parts)


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


CHOICES = (("correct", "✓"), ("neutral", "\u2013"), ("wrong", "✕"))
RADIO = (
    '<label title="{}"><input type="radio" form="answer" name="label-{}" value="{}"{}>'
    '{} <span class="hide">{}</span></label>'
)
FIRST = (
    '<label title="First error of the trajectory" class="first-error">'
    '<input type="radio" form="answer" name="first_error" value="{}"{}>first error</label>'
)


@register.simple_tag
def step_labels(step_id: int, label: str | None, mode: str | None, first_error: int | None) -> SafeString:
    """The controls that label a step. Drawn here, from constants and whole numbers: a page has forty of them."""
    number = int(step_id)
    radios = "".join(
        RADIO.format(value.capitalize(), number, value, " checked" if label == value else "", sign, value)
        for value, sign in CHOICES
    )
    first = FIRST.format(number, " checked" if first_error == number else "")
    options = "".join(
        f'<option value="{value}"{" selected" if mode == value else ""}>{words}</option>'
        for value, words in (("", "what went wrong?"), *FailureMode.choices)
    )
    return SafeString(
        f'<fieldset class="labels"><legend class="hidden">Label of step {number}</legend>{radios}{first}'
        f'<select class="mode" form="answer" name="mode-{number}" aria-label="What went wrong at step {number}">'
        f"{options}</select></fieldset>"
    )
