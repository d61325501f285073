"""Rules, and what joins them: a filter as JSON. Pure; curation.selectors.rules puts them to the database.

A filter is {"all": [...]}, {"any": [...]}, {"not": ...} or one rule, {"rule": its name, ...}; an empty "all" passes
everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from curation.judge_rule import JudgeRule

MOST_RULES = 100
DEEPEST = 8

TrajectoryStatus = Literal["unreviewed", "accepted", "rejected", "unsure", "disputed"]
TrajectorySource = Literal["expert", "strong-model", "self-exploration", "multi-agent", "human", "instruction"]
Band = Literal["1", "2", "3", "4", "5", "unknown"]


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class OutcomeRule(_Rule):
    rule: Literal["outcome"] = "outcome"
    values: list[Literal["success", "failure", "none"]] = Field(min_length=1)


class StatusRule(_Rule):
    rule: Literal["status"] = "status"
    values: list[TrajectoryStatus] = Field(min_length=1)


class SourceRule(_Rule):
    rule: Literal["source"] = "source"
    values: list[TrajectorySource] = Field(min_length=1)


class ModelRule(_Rule):
    rule: Literal["model"] = "model"
    values: list[Annotated[str, Field(max_length=120)]] = Field(min_length=1, max_length=100)


class BandRule(_Rule):
    rule: Literal["band"] = "band"
    values: list[Band] = Field(min_length=1)


Leaf = OutcomeRule | StatusRule | SourceRule | ModelRule | BandRule | JudgeRule


class AllOf(_Rule):
    all: list[Rule]


class AnyOf(_Rule):
    any: list[Rule] = Field(min_length=1)


class Not(_Rule):
    negated: Rule = Field(alias="not")


Rule = AllOf | AnyOf | Not | Annotated[Leaf, Field(discriminator="rule")]
_RULE: TypeAdapter[Rule] = TypeAdapter(Rule)


class RuleError(ValueError):
    """Rules that do not hold together; the text says which and what is wrong."""


def read_rule(value: Mapping[str, Any]) -> Rule:
    """The rule in `value`, as stored or as sent by somebody. Raises RuleError."""
    try:
        rule = _RULE.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise RuleError(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
    return rule


def dump_rule(rule: Rule) -> dict[str, Any]:
    """The plain form that is stored."""
    return rule.model_dump(mode="json", by_alias=True)


def list_leaves(rule: Rule) -> Iterator[Leaf]:
    """The rules that are joined, from left to right."""
    if isinstance(rule, AllOf):
        for part in rule.all:
            yield from list_leaves(part)
    elif isinstance(rule, AnyOf):
        for part in rule.any:
            yield from list_leaves(part)
    elif isinstance(rule, Not):
        yield from list_leaves(rule.negated)
    else:
        yield rule
