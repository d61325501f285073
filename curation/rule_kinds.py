"""The rules that a filter is made of, each a question to one trajectory. Pure; curation.rules joins them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from curation.judge_rule import JudgeRule

TrajectoryStatus = Literal["unreviewed", "accepted", "rejected", "unsure", "disputed"]
TrajectorySource = Literal["expert", "strong-model", "self-exploration", "multi-agent", "human", "instruction"]
Band = Literal["1", "2", "3", "4", "5", "unknown"]
Number = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
Id = Annotated[int, Field(ge=1, lt=2**63)]
Text = Annotated[str, Field(min_length=1, max_length=200)]


class RuleKind(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class OutcomeRule(RuleKind):
    rule: Literal["outcome"] = "outcome"
    values: list[Literal["success", "failure", "none"]] = Field(min_length=1)


class StatusRule(RuleKind):
    rule: Literal["status"] = "status"
    values: list[TrajectoryStatus] = Field(min_length=1)


class SourceRule(RuleKind):
    rule: Literal["source"] = "source"
    values: list[TrajectorySource] = Field(min_length=1)


class CompletionRule(RuleKind):
    rule: Literal["completion"] = "completion"
    values: list[Literal["completed", "truncated", "crashed", "unknown"]] = Field(min_length=1)


class ModelRule(RuleKind):
    rule: Literal["model"] = "model"
    values: list[Annotated[str, Field(max_length=120)]] = Field(min_length=1, max_length=100)


class TagRule(RuleKind):
    """One of these tags."""

    rule: Literal["tag"] = "tag"
    values: list[Annotated[str, Field(min_length=1, max_length=40)]] = Field(min_length=1, max_length=100)


class BandRule(RuleKind):
    rule: Literal["band"] = "band"
    values: list[Band] = Field(min_length=1)


class TaskRule(RuleKind):
    """A task whose key begins with this, whatever its case."""

    rule: Literal["task"] = "task"
    begins: Text


class TaskIdRule(RuleKind):
    """One task."""

    rule: Literal["task_id"] = "task_id"
    task: Id


class ImportRule(RuleKind):
    rule: Literal["import"] = "import"
    values: list[Id] = Field(min_length=1, max_length=100)


class QueueRule(RuleKind):
    rule: Literal["queue"] = "queue"
    queue: Id


class DateRule(RuleKind):
    """Imported on one of the days from `since` to `until`, in UTC."""

    rule: Literal["date"] = "date"
    since: date | None = None
    until: date | None = None

    @model_validator(mode="after")
    def _check_days(self) -> Self:
        if self.since is None and self.until is None:
            raise ValueError("it needs since, until, or both")
        if self.since and self.until and self.since > self.until:
            raise ValueError("since is after until, so nothing would pass")
        return self


class NumberRule(RuleKind):
    """What was counted or given is within the bounds, both included. Where there is no number nothing passes.

    `tokens` are estimated as a quarter of the characters; `similarity` is that to the trajectory it repeats.
    """

    rule: Literal[
        "reward", "grade", "steps", "tool_calls", "characters", "tokens", "errors", "unknown_tools", "bad_arguments",
        "unreadable", "loop", "similarity",
    ]  # fmt: skip
    at_least: Number | None = None
    at_most: Number | None = None

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("it needs at_least, at_most, or both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("at_least is above at_most, so nothing would pass")
        return self


class FlagRule(RuleKind):
    """Something that is so, or is not.

    `duplicate`: it repeats an older trajectory, or nearly so. `corrected`: a person changed it. `context_overflow`: the
    agent's context window was exceeded. `hacked`: the environment says success, and a decision that stands, or else a
    submitted review, says reject or names a reward hack.
    """

    rule: Literal["duplicate", "corrected", "context_overflow", "hacked"]


class TextRule(RuleKind):
    """Words in its instruction and steps: `words` as in a search engine, with quotes, "or" and a minus."""

    rule: Literal["text"] = "text"
    words: Text


class VerdictRule(RuleKind):
    """So many submitted reviews with one of these verdicts; those of gold items do not count."""

    rule: Literal["verdict"] = "verdict"
    values: list[Literal["accept", "reject", "unsure"]] = Field(min_length=1)
    at_least: int = Field(default=1, ge=1, le=1000)


class AgreementRule(RuleKind):
    """Two submitted reviews or more with the same verdict, or with different ones; those of gold items do not count."""

    rule: Literal["agreement"] = "agreement"
    values: Literal["agree", "disagree"]


class LabelRule(RuleKind):
    """A step with one of these labels in a submitted review, and with one of the failure modes where any is given."""

    rule: Literal["label"] = "label"
    values: list[Literal["correct", "neutral", "wrong"]] = Field(default=["wrong"], min_length=1)
    failure_modes: list[Annotated[str, Field(max_length=20)]] = Field(default_factory=list, max_length=20)


Leaf = (
    OutcomeRule
    | StatusRule
    | SourceRule
    | CompletionRule
    | ModelRule
    | TagRule
    | BandRule
    | TaskRule
    | TaskIdRule
    | ImportRule
    | QueueRule
    | DateRule
    | NumberRule
    | FlagRule
    | TextRule
    | VerdictRule
    | AgreementRule
    | LabelRule
    | JudgeRule
)
