"""The canonical document: what one attempt at a task is, as stored in a revision. A superset of ATIF v1.8."""

from __future__ import annotations

import hashlib
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

SCHEMA_VERSION: Final = "ATIF-v1.8"

_MAY_BE_FLOAT = re.compile(rb"[:,\[]-?[0-9]+[.eE]")


def _is_none(value: object) -> bool:
    return value is None


def _is_text(value: object) -> bool:
    return value == "text"


_LEFT_OUT: Any = Field(default=None, exclude_if=_is_none)
"""A key that is left out of the plain form where it holds nothing."""

ContentForm = Literal["text", "parts", "none"]
"""How content stood in the file: one string, a list of parts, or nothing. Kept so that ATIF goes out as it came in."""

Actor = Literal["assistant", "user", "environment"]
Status = Literal["completed", "crashed", "truncated", "unknown"]
Source = Literal["system", "user", "agent"]
SmallInt = Annotated[int, Field(ge=-(2**31), lt=2**31)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Part(BaseModel):
    """One piece of content. Text now; other types keep what they were recorded with."""

    model_config = ConfigDict(extra="allow")

    type: str
    text: str | None = _LEFT_OUT


class ToolCall(_Model):
    """One call. `arguments_raw` is the text as recorded; `arguments` is None where that text is not a JSON object."""

    tool_call_id: str
    native_id: str | None = None
    function_name: str
    arguments: dict[str, Any] | None = None
    arguments_raw: str
    extra: dict[str, Any] | None = _LEFT_OUT


class ObservationResult(_Model):
    """What came back. `source_call_id` is our own id of the call answered; None for what no call asked for."""

    source_call_id: str | None = None
    content: list[Part] = Field(default_factory=list)
    content_form: ContentForm = Field(default="text", exclude_if=_is_text)
    native_id: str | None = _LEFT_OUT
    subagent_trajectory_ref: list[dict[str, Any]] | None = _LEFT_OUT
    extra: dict[str, Any] | None = _LEFT_OUT


class Observation(_Model):
    results: list[ObservationResult] = Field(default_factory=list)


class Step(_Model):
    """One step. An agent's step is one assistant turn: its text, its tool calls, and what came back."""

    step_id: int = Field(ge=1)
    timestamp: str | None = _LEFT_OUT
    source: Source
    message: list[Part] = Field(default_factory=list)
    message_form: ContentForm = Field(default="text", exclude_if=_is_text)
    reasoning_content: str | None = _LEFT_OUT
    reasoning_effort: str | int | float | None = _LEFT_OUT
    model_name: str | None = _LEFT_OUT
    tool_calls: list[ToolCall] | None = _LEFT_OUT
    observation: Observation | None = _LEFT_OUT
    metrics: dict[str, Any] | None = _LEFT_OUT
    llm_call_count: int | None = _LEFT_OUT
    is_copied_context: bool | None = _LEFT_OUT
    role_raw: str | None = _LEFT_OUT
    actor: Actor
    trainable: bool = False
    extra: dict[str, Any] | None = _LEFT_OUT

    @model_validator(mode="after")
    def _check_calls(self) -> Self:
        if self.source != "agent" and (self.tool_calls or self.trainable):
            raise ValueError(f"step {self.step_id}: only an agent's step has tool calls or is trained on")
        known = [call.tool_call_id for call in self.tool_calls or []]
        if len(set(known)) < len(known):
            raise ValueError(f"step {self.step_id}: two tool calls have the same id")
        for result in self.observation.results if self.observation else []:
            if result.source_call_id is not None and result.source_call_id not in known:
                raise ValueError(
                    f"step {self.step_id}: a result answers {result.source_call_id!r}, which is no call of it"
                )
        return self


_STEPS = TypeAdapter(list[Step])
_STEPS_AT_ONCE = 500


class Agent(_Model):
    name: str
    version: str = "unknown"
    model_name: str | None = None
    tool_definitions: list[dict[str, Any]] | None = None
    extra: dict[str, Any] | None = _LEFT_OUT


class SourceFile(_Model):
    """Where the document was read from."""

    format: str
    version: str | None = None
    file_sha256: str | None = None
    member: str | None = _LEFT_OUT
    record_index: int = 0


class Task(_Model):
    """The problem: `fingerprint` tells apart tasks that share an id but not their text."""

    id: str = Field(min_length=1, max_length=200)
    dataset: str | None = Field(default=None, max_length=120)
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    instruction: str


class Trial(_Model):
    index: SmallInt | None = None
    seed: int | None = None
    group: str | None = None


class Outcome(_Model):
    """How it ended. `success` is None where the file does not say: the project's threshold on `reward` decides."""

    reward: float | None = Field(default=None, allow_inf_nan=False)
    success: bool | None = None
    rewards: dict[str, float] = Field(default_factory=dict)
    status: Status = "unknown"
    error: str | None = None
    scorer: str | None = None


class Document(_Model):
    """One attempt at a task. `model_dump(mode="json")` is the plain form that is stored."""

    schema_version: Literal["ATIF-v1.8"] = SCHEMA_VERSION
    session_id: str | None = None
    trajectory_id: str | None = _LEFT_OUT
    agent: Agent
    steps: list[Step] = Field(min_length=1)
    notes: str | None = _LEFT_OUT
    final_metrics: dict[str, Any] | None = _LEFT_OUT
    continued_trajectory_ref: str | None = _LEFT_OUT
    subagent_trajectories: list[dict[str, Any]] | None = _LEFT_OUT
    extra: dict[str, Any] | None = _LEFT_OUT
    source: SourceFile
    task: Task
    trial: Trial = Field(default_factory=Trial)
    outcome: Outcome = Field(default_factory=Outcome)

    @model_validator(mode="after")
    def _check_step_ids(self) -> Self:
        for number, step in enumerate(self.steps, start=1):
            if step.step_id != number:
                raise ValueError(f"steps[{number - 1}] has step_id {step.step_id}; expected {number}")
        return self


def text_part(text: str) -> Part:
    return Part(type="text", text=text)


def text_parts(text: str | None) -> list[Part]:
    """The parts of a plain string: one, or none where there is no text."""
    return [text_part(text)] if text else []


def text_of(parts: Iterable[Part | Mapping[str, Any]] | None) -> str:
    """All text of a content, in order; takes models and their plain form alike. Other parts are named, `[image]`."""
    pieces = []
    for part in parts or []:
        kind, text = (part.type, part.text) if isinstance(part, Part) else (part.get("type"), part.get("text"))
        pieces.append(text if text is not None else "" if kind == "text" else f"[{kind}]")
    return "".join(pieces)


def fingerprint_instruction(text: str) -> str:
    """sha256 (hex) of an instruction, its Unicode form and white space normalised."""
    normal = " ".join(unicodedata.normalize("NFC", text).split())
    return hashlib.sha256(normal.encode("utf-8", "replace")).hexdigest()


def hash_document(document: Document) -> str:
    """sha256 (hex) over what the trajectory is: agent, steps, task, trial and outcome, not where it was read from.

    A number hashes the same as 1 and as 1.0, and 1e30 as its digits, since a database may hand back either.
    """
    return write_document(document)[1]


def write_document(document: Document) -> tuple[bytes, str]:
    """A document's JSON and its hash; some steps at a time, since the whole may be a hundred megabytes."""
    rest = document.model_dump(mode="json", exclude={"steps"})
    canonical = {key: _Written(rest[key]).canonical for key in ("agent", "task", "trial", "outcome")}
    digest = hashlib.sha256(b'{"agent":' + canonical["agent"] + b',"steps":[')
    text = io.BytesIO()
    text.write(_Written(rest).text[:-1] + b',"steps":[')
    for first in range(0, len(document.steps), _STEPS_AT_ONCE):
        for index, step in enumerate(_STEPS.dump_python(document.steps[first : first + _STEPS_AT_ONCE], mode="json")):
            written, separator = _Written(step), b"," if first + index else b""
            text.write(separator + written.text)
            digest.update(separator + written.canonical)
    text.write(b"]}")
    digest.update(b'],"task":' + canonical["task"] + b',"trial":' + canonical["trial"] + b"}" + canonical["outcome"])
    return text.getvalue(), digest.hexdigest()


class _Written:
    """A plain value as JSON with sorted keys, and the same with its numbers written in one way."""

    def __init__(self, value: Any) -> None:
        try:
            self.text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        except TypeError:  # a whole number beyond 64 bits
            self.text = _write_slowly(value)
        odd = _MAY_BE_FLOAT.search(self.text) is not None
        self.canonical = _write_slowly(_unify_numbers(value)) if odd else self.text


def _write_slowly(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _unify_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unify_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unify_numbers(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(Decimal(repr(value)))
    return value
