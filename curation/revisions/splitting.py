"""One step made into two."""

from __future__ import annotations

import re

from curation.formats.cleaning import clean_text
from curation.formats.document import Observation, ObservationResult, Part, Step, text_of, text_parts
from curation.revisions.edit_kinds import EditError, SplitHalf, SplitStep

# Where a text may be cut, the better places first: between paragraphs, lines, sentences.
_CUTS = [re.compile(r"\n\s*\n"), re.compile(r"\n"), re.compile(r"(?<=[.!?])\s+")]


def divide_text(text: str) -> tuple[str, str]:
    """Where a person would cut a text in two: near its middle, between paragraphs if there are any.

    The white space at the cut is left out; a text of one sentence stays whole, as the first half.
    """
    for cut in _CUTS:
        places = [
            found for found in cut.finditer(text) if text[: found.start()].strip() and text[found.end() :].strip()
        ]
        if places:
            best = min(places, key=lambda found: abs(found.start() + found.end() - len(text)))
            return text[: best.start()], text[best.end() :]
    return text, ""


def split_step(step: Step, edit: SplitStep) -> tuple[Step, Step]:
    """The two halves of a step, numbered alike until the document is numbered anew. Raises EditError.

    Calls and results are handed out, never lost or doubled, and keep their order. A result that no call asked for
    stays before the one that it stands before; at the end it belongs to the second half. What was measured of the
    whole (tokens, log probabilities) is true of neither half and left out.
    """
    place, calls = f"Step {step.step_id}", step.tool_calls or []
    if edit.calls_in_first > len(calls):
        raise EditError(f"{place} has {len(calls)} tool calls: {edit.calls_in_first} cannot stay with the first half.")
    if step.source != "agent" and (edit.first.reasoning_content or edit.second.reasoning_content):
        raise EditError(f"{place}: only an agent's step has reasoning.")
    mine = {call.tool_call_id for call in calls[: edit.calls_in_first]}
    results = _divide_results(step.observation.results if step.observation else [], mine)
    contents = _divide_content(step.message, edit)
    halves = []
    for name, half, content, held, answered in (
        ("first", edit.first, contents[0], calls[: edit.calls_in_first], results[0]),
        ("second", edit.second, contents[1], calls[edit.calls_in_first :], results[1]),
    ):
        if not held and not text_of(content).strip():
            needed = "a text or a tool call" if step.source == "agent" else "a text"
            raise EditError(f"{place}: the {name} half needs {needed}.")
        halves.append(_make_half(step, half, content).model_copy(update={"tool_calls": held or None}))
        halves[-1].observation = Observation(results=answered) if answered else None
    first, second = halves
    first.extra = (step.extra or {}) | {"split_by_hand": True}
    second.extra, second.llm_call_count = {"split_by_hand": True}, None
    return first, second


def _make_half(step: Step, half: SplitHalf, content: list[Part]) -> Step:
    return step.model_copy(
        update={
            "message": content,
            "message_form": "text" if step.message_form == "none" else step.message_form,
            "reasoning_content": clean_text(half.reasoning_content)[0] or None,
            "metrics": None,
        }
    )


def _divide_results(
    results: list[ObservationResult], mine: set[str]
) -> tuple[list[ObservationResult], list[ObservationResult]]:
    first: list[ObservationResult] = []
    second: list[ObservationResult] = []
    waiting: list[ObservationResult] = []
    for result in results:
        waiting.append(result)
        if result.source_call_id is not None:
            (first if result.source_call_id in mine else second).extend(waiting)
            waiting = []
    return first, [*second, *waiting]


def _divide_content(parts: list[Part], edit: SplitStep) -> tuple[list[Part], list[Part]]:
    """Each half's text, and with it what was no text and whose mark, `[image]`, stands in that half."""
    texts = [clean_text(half.message)[0] for half in (edit.first, edit.second)]
    others: tuple[list[Part], list[Part]] = ([], [])
    for part in parts:
        if part.type != "text":
            mark = text_of([part])
            at = 1 if mark not in texts[0] and mark in texts[1] else 0
            texts[at] = texts[at].replace(mark, "", 1)
            others[at].append(part)
    return text_parts(texts[0]) + others[0], text_parts(texts[1]) + others[1]
