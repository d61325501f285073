"""The kinds of edits, typed. What they do to a document is in `edits`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from curation.formats.document import Source

MAX_TEXT = 2_000_000
"""Characters of one text that a person types or pastes; what was recorded may be longer and stays so."""


class EditError(ValueError):
    """An edit that cannot be made; the text says what is wrong and where."""


def _check_length(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise ValueError(f"{len(text):,} characters are more than a correction may type: {MAX_TEXT:,}")
    return text


# pydantic's own bound on the length refuses lone surrogates, which are replaced here.
Typed = Annotated[str, AfterValidator(_check_length), WithJsonSchema({"type": "string", "maxLength": MAX_TEXT})]


class _Edit(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ToolCallEdit(_Edit):
    """New name or arguments of a call; None leaves them. Arguments are the JSON text of an object."""

    tool_call_id: str
    function_name: Typed | None = None
    arguments_raw: Typed | None = None


class ObservationEdit(_Edit):
    """New text of one result of a step's observation, counted from 0; it is marked `extra.edited_by_hand`."""

    result: int = Field(ge=0)
    text: Typed


class NewToolCall(_Edit):
    """A call of an inserted step, with what it is to have returned, if anything."""

    function_name: Typed
    arguments_raw: Typed
    observation: Typed | None = None


class EditStep(_Edit):
    """New content of one step; None leaves a text as it is, and an empty `reasoning_content` removes it."""

    kind: Literal["edit"] = "edit"
    step_id: int
    message: Typed | None = None
    reasoning_content: Typed | None = None
    tool_calls: tuple[ToolCallEdit, ...] = ()
    observations: tuple[ObservationEdit, ...] = ()


class InsertStep(_Edit):
    """A new step after an existing one, 0 for the very beginning; it is marked `extra.inserted_by_hand`.

    What the source "environment" says reaches the model in the user's role.
    """

    kind: Literal["insert"] = "insert"
    after_step_id: int
    source: Source | Literal["environment"] = "agent"
    message: Typed = ""
    reasoning_content: Typed = ""
    tool_calls: tuple[NewToolCall, ...] = ()


class DeleteStep(_Edit):
    """Leave out one step."""

    kind: Literal["delete"] = "delete"
    step_id: int


class TruncateAfter(_Edit):
    """Leave out every step after this one."""

    kind: Literal["truncate"] = "truncate"
    step_id: int


class SplitHalf(_Edit):
    """The texts of one half of a step that is split."""

    message: Typed = ""
    reasoning_content: Typed = ""


class SplitStep(_Edit):
    """Two steps of one, both marked `extra.split_by_hand`.

    The first `calls_in_first` calls stay with the first half, each with its results; the others go to the second.
    """

    kind: Literal["split"] = "split"
    step_id: int
    first: SplitHalf
    second: SplitHalf
    calls_in_first: int = Field(default=0, ge=0)


Edit = Annotated[EditStep | InsertStep | DeleteStep | TruncateAfter | SplitStep, Field(discriminator="kind")]
"""Any edit; with pydantic's TypeAdapter it is read from {"kind": "edit", ...}."""
