"""What typed edits do: a new, valid document of a document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from curation.formats.cleaning import clean_text
from curation.formats.document import (
    Document,
    Observation,
    ObservationResult,
    Part,
    Step,
    ToolCall,
    text_of,
    text_parts,
)
from curation.revisions.arguments import ArgumentsError, parse_arguments
from curation.revisions.edit_kinds import (
    DeleteStep,
    Edit,
    EditError,
    EditStep,
    InsertStep,
    ObservationEdit,
    SplitStep,
    ToolCallEdit,
)
from curation.revisions.splitting import split_step


def apply_edits(document: Document, edits: Iterable[Edit]) -> Document:
    """The document after all edits, one after another: each one's step numbers are those after the edits before it.

    Raises EditError for the first that cannot be made; the document given is never changed.
    """
    for edit in edits:
        document = apply_edit(document, edit)
    return document


def apply_edit(document: Document, edit: Edit) -> Document:
    """A new document with one edit made, its steps numbered anew from 1. Raises EditError."""
    steps = [step.model_copy(deep=True) for step in document.steps]
    if isinstance(edit, InsertStep):
        if edit.after_step_id != 0:
            _find(steps, edit.after_step_id)
        steps.insert(edit.after_step_id, _make_step(edit))
    else:
        index = _find(steps, edit.step_id)
        if isinstance(edit, EditStep):
            _change_step(steps[index], edit)
        elif isinstance(edit, DeleteStep):
            del steps[index]
        elif isinstance(edit, SplitStep):
            steps[index : index + 1] = split_step(steps[index], edit)
        elif index == len(steps) - 1:
            raise EditError(f"Step {edit.step_id} is the last one: there is nothing after it to leave out.")
        else:
            del steps[index + 1 :]
    if not steps:
        raise EditError("The only step cannot be deleted: a trajectory needs at least one.")
    renumbered = document.model_copy(update={"steps": [_renumber(step, n) for n, step in enumerate(steps, start=1)]})
    try:
        return Document.model_validate(renumbered.model_dump(mode="json"))
    except ValidationError as error:
        raise EditError(f"The edit makes no valid trajectory: {error.errors()[0]['msg']}.") from error


def _find(steps: list[Step], step_id: int) -> int:
    if not 1 <= step_id <= len(steps):
        raise EditError(f"There is no step {step_id}: the trajectory has {len(steps)} steps.")
    return step_id - 1


def _change_step(step: Step, edit: EditStep) -> None:
    place = f"Step {step.step_id}"
    before = (text_of(step.message), step.reasoning_content, [_call_text(call) for call in step.tool_calls or []])
    if edit.message is not None and _clean(edit.message) != text_of(step.message):
        step.message = _replace_text(step.message, _clean(edit.message))
    if edit.reasoning_content is not None:
        _check_agent(step, bool(edit.reasoning_content), "reasoning")
        step.reasoning_content = _clean(edit.reasoning_content) or None
    for change in edit.tool_calls:
        _change_call(step, change)
    for observed in edit.observations:
        _change_observation(step, observed)
    if step.source == "agent" and not step.message and not step.tool_calls:
        raise EditError(f"{place}: an agent's step needs a text or a tool call. Delete the step instead.")
    if before != (text_of(step.message), step.reasoning_content, [_call_text(call) for call in step.tool_calls or []]):
        step.metrics = None  # token counts and log probabilities of the text that was replaced


def _change_call(step: Step, change: ToolCallEdit) -> None:
    place = f"Step {step.step_id}, tool call {_clean(change.tool_call_id[:100])}"
    call = next((call for call in step.tool_calls or [] if call.tool_call_id == change.tool_call_id), None)
    if call is None:
        raise EditError(f"{place}: the step has no such call.")
    if change.function_name is not None:
        call.function_name = _check_name(change.function_name, place)
    if change.arguments_raw is not None and change.arguments_raw != call.arguments_raw:
        call.arguments, call.arguments_raw = _check_arguments(change.arguments_raw, place)


def _change_observation(step: Step, change: ObservationEdit) -> None:
    results = step.observation.results if step.observation else []
    if change.result >= len(results):
        raise EditError(f"Step {step.step_id}: there is no result {change.result + 1}; it has {len(results)}.")
    result, text = results[change.result], _clean(change.text)
    if text == text_of(result.content):
        return
    result.content = _replace_text(result.content, text)
    result.content_form = "text" if result.content_form == "none" else result.content_form
    result.extra = (result.extra or {}) | {"edited_by_hand": True}


def _make_step(edit: InsertStep) -> Step:
    place = f"The new step after step {edit.after_step_id}"
    agent = edit.source == "agent"
    if not agent and (edit.tool_calls or edit.reasoning_content):
        raise EditError(f"{place}: only an agent's step has tool calls or reasoning.")
    message = _clean(edit.message)
    if not message.strip() and not edit.tool_calls:
        raise EditError(f"{place}: it has neither a text nor a tool call.")
    calls, results = [], []
    for order, new in enumerate(edit.tool_calls, start=1):
        call_place = f"{place}, tool call {order}"
        arguments, raw = _check_arguments(new.arguments_raw, call_place)
        name = _check_name(new.function_name, call_place)
        calls.append(ToolCall(tool_call_id=str(order), function_name=name, arguments=arguments, arguments_raw=raw))
        if new.observation is not None:
            results.append(_make_result(str(order), _clean(new.observation)))
    return Step(
        step_id=edit.after_step_id + 1,
        source="user" if edit.source == "environment" else edit.source,
        message=text_parts(message),
        reasoning_content=_clean(edit.reasoning_content) or None,
        tool_calls=calls or None,
        observation=Observation(results=results) if results else None,
        actor="assistant" if agent else "user" if edit.source == "user" else "environment",
        role_raw="environment" if edit.source == "environment" else None,
        trainable=agent,
        extra={"inserted_by_hand": True},
    )


def _make_result(call_id: str, text: str) -> ObservationResult:
    return ObservationResult(source_call_id=call_id, content=text_parts(text), extra={"edited_by_hand": True})


def _renumber(step: Step, number: int) -> Step:
    """The step with this number, its own call ids following it."""
    new_ids = {call.tool_call_id: f"{number}.{order}" for order, call in enumerate(step.tool_calls or [], start=1)}
    for call in step.tool_calls or []:
        call.tool_call_id = new_ids[call.tool_call_id]
    for result in step.observation.results if step.observation else []:
        if result.source_call_id is not None:
            result.source_call_id = new_ids[result.source_call_id]
    step.step_id = number
    return step


def _check_agent(step: Step, wanted: bool, what: str) -> None:
    if wanted and step.source != "agent":
        raise EditError(f"Step {step.step_id}: only an agent's step has {what}.")


def _check_name(name: str, place: str) -> str:
    if not name.strip():
        raise EditError(f"{place}: the call has no name.")
    return _clean(name.strip())


def _check_arguments(raw: str, place: str) -> tuple[dict[str, Any], str]:
    try:
        return parse_arguments(raw)
    except ArgumentsError as error:
        raise EditError(f"{place}: {error}.") from error


def _replace_text(parts: list[Part], text: str) -> list[Part]:
    """The new text, then what was no text; the mark that stood for such a part in the old text is not typed anew."""
    others = [part for part in parts if part.type != "text"]
    for part in others:
        text = text.replace(text_of([part]), "", 1)
    return text_parts(text) + others


def _call_text(call: ToolCall) -> tuple[str, str]:
    return call.function_name, call.arguments_raw


def _clean(text: str) -> str:
    return clean_text(text)[0]
