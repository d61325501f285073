"""Steps of a trajectory as HTML. Written in Python: a page draws dozens, and templates took four times as long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse

from curation import rendering
from curation.formats.document import text_of
from curation.models import Project, Revision, Trajectory
from curation.models.review import FailureMode

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
Step = Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """What all steps of a page are drawn with: `written` asks for texts as they were written, unrendered."""

    project: Project | None
    written: bool
    budget: rendering.Budget


@dataclass(frozen=True)
class Labelling:
    """What a reviewer has said of steps so far, by the step's number, and the hold under which they say it."""

    reservation: int
    labels: Mapping[int, str]
    modes: Mapping[int, str]
    first_error: int | None


def draw_text(content: Any, kind: str, page: Page) -> str:
    """A text of a step: rendered, or as it was written.

    `kind` is message, output or arguments; the content of the last is a tool call, and of the others a string.
    """
    return rendering.show_as_written(_raw(content)) if page.written else _DRAWN[kind](content, page.budget)


def draw_steps(
    steps: Iterable[Step],
    page: Page,
    *,
    trajectory: Trajectory,
    revision: Revision,
    can_edit: bool,
    labelling: Labelling | None,
) -> str:
    """The steps of a revision of a trajectory, each with what can be done with it there."""
    names = [page.project.slug if page.project else "", trajectory.pk]
    texts = f"{reverse('curation:trajectory-text', args=names)}?revision={revision.number}"
    before, _, after = reverse("curation:step-edit", args=[*names, 0]).rpartition("0")
    hold = f"&amp;reservation={labelling.reservation}" if labelling else ""
    pieces = []
    for step in steps:
        number, source = int(step["step_id"]), escape(step["source"])
        wrong = " wrong" if labelling and labelling.first_error == number else ""
        pieces.append(
            f'<article class="step{wrong}" id="step-{number}" data-step="{number}" data-source="{source}">'
            f"<header><b>{number}</b> {source} "
        )
        if (step.get("extra") or {}).get("edited_by_hand"):
            pieces.append('<span class="chip note">edited by hand</span> ')
        pieces.append('<span class="right">')
        if labelling and step["source"] == "agent":
            pieces.append(_draw_labels(number, labelling))
        if can_edit:
            pieces.append(f' <a class="edit" href="{before}{number}{after}?base={revision.number}{hold}">edit</a>')
        pieces.append(f"</span></header>{draw_body(step, page, texts)}</article>\n")
    return "".join(pieces)


def draw_body(step: Step, page: Page, texts: str = "") -> str:
    """What a step says and does, and what came of it.

    `texts` is where long texts are fetched from, with the step's number; without it they are sent whole.
    """
    pieces = []
    if thought := step.get("reasoning_content"):
        drawn = _draw_part(thought, "message", "reasoning", step, page, texts)
        pieces.append(
            f'<details class="thought reasoning"><summary class="muted s">Reasoning</summary>{drawn}</details>'
        )
    if words := text_of(step.get("message")):
        pieces.append(_draw_part(words, "message", "message", step, page, texts, "thought"))
    pieces.append(_draw_media(step.get("message"), page))
    for place, call in enumerate(step.get("tool_calls") or []):
        bad = "" if call.get("arguments") is not None else _NO_OBJECT
        drawn = _draw_part(call, "arguments", f"call-{place}", step, page, texts)
        name = escape(str(call["function_name"]))
        pieces.append(f'<div class="action"><span class="fn">{name}</span> {bad}{drawn}</div>')
    for place, result in enumerate((step.get("observation") or {}).get("results") or []):
        if words := text_of(result.get("content")):
            pieces.append(_draw_part(words, "output", f"result-{place}", step, page, texts, "observation"))
        else:
            pieces.append('<div class="observation muted">(empty)</div>')
        pieces.append(_draw_media(result.get("content"), page))
        for reference in result.get("subagent_trajectory_ref") or []:
            name = escape(str(reference.get("trajectory_id")))
            pieces.append(f'<a class="chip" href="#subagent-{name}">subagent {name}</a> ')
    return "".join(pieces)


_NO_OBJECT = '<span class="chip bad">arguments are not a JSON object</span>'


def _draw_part(content: Any, kind: str, part: str, step: Step, page: Page, texts: str, style: str = "") -> str:
    """A text in its place in a step, folded where it is long. `part` names it among the texts of the step."""
    raw = _raw(content)
    length = len(raw)
    if length <= FOLDED_FROM[kind] and (step["source"] != "system" or length <= LONGEST_SYSTEM):
        return f'<div class="{style}" data-part="{part}">{draw_text(content, kind, page)}</div>'
    if texts and length > FETCHED_FROM:
        address = escape(f"{texts}&step={int(step['step_id'])}&part={part}")
        body = (
            f'<div hx-get="{address}" hx-trigger="toggle from:closest details once">'
            f'<a href="{address}">all {length:,} characters</a></div>'
        )
    else:
        body = draw_text(content, kind, page)
    start = escape(rendering.plain_text(raw[:400]).strip())
    return (
        f'<details class="fold {style}" data-part="{part}"><summary><span class="prose">{start}…</span>'
        f'<span class="more">show all {length:,} characters</span></summary>{body}</details>'
    )


def _raw(content: Any) -> str:
    return content if isinstance(content, str) else str(content.get("arguments_raw", ""))


def _draw_media(parts: Iterable[Mapping[str, Any]] | None, page: Page) -> str:
    """The media among the parts of a content: where the bytes or the address of each stand, and its type."""
    found = []
    for part in parts or []:
        source = part.get("source")
        if part.get("type") != "text" and isinstance(source, Mapping):
            inline = source.get("data")
            size = len(inline) * 3 // 4 if isinstance(inline, str) else None
            kept = {name: source.get(name) for name in ("blob", "path", "media_type")}
            found.append({"kind": part["type"], "size": size} | kept)
    return render_to_string("parts/media.html", {"items": found, "project": page.project}) if found else ""


_CHOICES = (("correct", "✓"), ("neutral", "\u2013"), ("wrong", "✕"))
_MODES = (("", "what went wrong?"), *FailureMode.choices)


def _draw_labels(number: int, labelling: Labelling) -> str:
    """The controls that label a step."""
    label, mode = labelling.labels.get(number), labelling.modes.get(number)
    radios = "".join(
        f'<label title="{value.capitalize()}"><input type="radio" form="answer" name="label-{number}" value="{value}"'
        f'{" checked" if label == value else ""}>{sign} <span class="hide">{value}</span></label>'
        for value, sign in _CHOICES
    )
    options = "".join(
        f'<option value="{value}"{" selected" if mode == value else ""}>{words}</option>' for value, words in _MODES
    )
    return (
        f'<fieldset class="labels"><legend class="hidden">Label of step {number}</legend>{radios}'
        '<label title="First error of the trajectory" class="first-error">'
        f'<input type="radio" form="answer" name="first_error" value="{number}"'
        f"{' checked' if labelling.first_error == number else ''}>first error</label>"
        f'<select class="mode" form="answer" name="mode-{number}" aria-label="What went wrong at step {number}">'
        f"{options}</select></fieldset>"
    )
