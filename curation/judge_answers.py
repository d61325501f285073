"""Reading what a model judge answered: JSON, as it was asked for or somewhere in its text. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from curation.formats.cleaning import clean_text
from curation.judging import Question, Request

LONGEST_ANSWER = 200_000
_LONGEST_REASON = 4_000
_MOST_TRIES = 50
"""Braces of a text at which an object may begin."""


class AnswerError(ValueError):
    """An answer that cannot be used; the text says why, for the judge to do better and for people to read."""


def _clean_reason(value: object) -> object:
    return clean_text(value)[0].strip()[:_LONGEST_REASON] if isinstance(value, str) else value


Reason = Annotated[str, BeforeValidator(_clean_reason)]
FailureMode = Literal["hallucinated-tool", "wrong-arguments", "loop", "gave-up", "reward-hack", "unsafe", "other"]


class _StepAnswer(BaseModel):
    step: int
    label: Literal["correct", "neutral", "wrong"]
    reason: Reason = ""
    failure_mode: FailureMode | None = None


class _Answer(BaseModel):
    """Keys that nobody asked for are passed over."""

    reason: Reason
    verdict: Literal["accept", "reject", "unsure"]
    score: float = Field(ge=0, le=1, allow_inf_nan=False)
    scores: dict[str, int] = Field(default_factory=dict)
    steps: list[_StepAnswer] = Field(default_factory=list)


@dataclass(frozen=True)
class Judged:
    """An answer that fits the question. `steps` have "step", "label", "reason" and, of wrong ones, "failure_mode"."""

    verdict: str
    score: float
    reason: str
    scores: dict[str, int] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)


def read_answer(question: Question, request: Request, text: str) -> Judged:
    """What the judge said. Raises AnswerError for what is no answer to the question."""
    problem = AnswerError("there is no JSON object in the answer")
    for value in _find_objects(text):
        try:
            return _check(question, request, _Answer.model_validate(value))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            problem = AnswerError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        except AnswerError as error:
            problem = error
    raise problem


def _find_objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a text that stand in no other, last first: what a judge weighs up comes before its answer."""
    if len(text) > LONGEST_ANSWER:
        return
    decoder = json.JSONDecoder()
    found: list[dict[str, Any]] = []
    place = text.find("{")
    for _ in range(_MOST_TRIES):
        if place < 0:
            break
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            found.append(value)
        place = text.find("{", end)
    yield from reversed(found)


def _check(question: Question, request: Request, answer: _Answer) -> Judged:
    """Raises AnswerError where criteria or steps are not those that were asked about."""
    steps: list[dict[str, Any]] = []
    scores: dict[str, int] = {}
    if question.by_step:
        steps = _check_steps(request.steps, answer.steps)
    else:
        scores = _check_scores(question, answer.scores)
    return Judged(answer.verdict, answer.score, answer.reason, scores, steps)


def _check_steps(asked: tuple[int, ...], given: list[_StepAnswer]) -> list[dict[str, Any]]:
    labels = {label.step: label for label in given}
    if len(labels) < len(given):
        raise AnswerError("steps: a step is labelled twice")
    if missing := [step for step in asked if step not in labels]:
        raise AnswerError(f"steps: there is no label for step {missing[0]}")
    if unasked := sorted(set(labels) - set(asked)):
        raise AnswerError(f"steps: there is no step {unasked[0]} of the agent to label")
    told = []
    for step in asked:
        label = labels[step]
        plain: dict[str, Any] = {"step": step, "label": label.label, "reason": label.reason}
        if label.label == "wrong":
            plain["failure_mode"] = label.failure_mode or "other"
        told.append(plain)
    return told


def _check_scores(question: Question, given: dict[str, int]) -> dict[str, int]:
    scores = {}
    for criterion in question.criteria:
        key, levels = criterion["key"], [level["value"] for level in criterion["levels"]]
        if key not in given:
            raise AnswerError(f"scores: there is no score for {key}")
        if given[key] not in levels:
            raise AnswerError(f"scores.{key}: {given[key]} is none of its levels, {', '.join(map(str, levels))}")
        scores[key] = given[key]
    return scores
