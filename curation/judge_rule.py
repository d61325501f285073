"""The rule that asks what a model judge said. Pure; curation.selectors.judge_rule puts it to the database."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class JudgeRule(BaseModel):
    """What a judge said of the newest revision: one of `values`, its score within the bounds. Without an opinion on
    that revision a trajectory does not pass."""

    model_config = ConfigDict(extra="forbid")

    rule: Literal["judge"] = "judge"
    judge: int = Field(ge=1, lt=2**63)
    values: list[Literal["accept", "reject", "unsure"]] = Field(default=["accept", "reject", "unsure"], min_length=1)
    at_least: float | None = Field(default=None, ge=0, le=1)
    at_most: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("at_least is above at_most, so nothing would pass")
        return self
