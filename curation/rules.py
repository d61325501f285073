"""Rules, and what joins them: a filter as JSON. Pure; curation.selectors.rules puts them to the database.

A filter is {"all": [...]}, {"any": [...]}, {"not": ...} or one rule, {"rule": its name, ...}; an empty "all" passes
everything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from curation.rule_kinds import (
    BandRule,
    ImportRule,
    Leaf,
    ModelRule,
    OutcomeRule,
    QueueRule,
    SourceRule,
    StatusRule,
    TagRule,
    TaskRule,
)

__all__ = [
    "AllOf", "AnyOf", "BandRule", "ImportRule", "Leaf", "ModelRule", "Not", "OutcomeRule", "QueueRule", "Rule",
    "RuleError", "SourceRule", "StatusRule", "TagRule", "TaskRule", "dump_rule", "list_leaves", "parse_rule",
    "read_rule", "write_rule",
]  # fmt: skip

MOST_RULES = 100
DEEPEST = 8
LONGEST = 20_000
NAMES = frozenset(
    name for kind in get_args(Leaf) for name in get_args(kind.model_fields["rule"].annotation)
)  # as in the JSON


class _Join(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class AllOf(_Join):
    all: list[Rule]


class AnyOf(_Join):
    any: list[Rule] = Field(min_length=1)


class Not(_Join):
    negated: Rule = Field(alias="not")


Rule = AllOf | AnyOf | Not | Annotated[Leaf, Field(discriminator="rule")]
_LEAF: TypeAdapter[Leaf] = TypeAdapter(Annotated[Leaf, Field(discriminator="rule")])


class RuleError(ValueError):
    """Rules that do not hold together; the text says which and what is wrong."""


def read_rule(value: Any) -> Rule:
    """The rule in `value`, as stored or as sent by somebody. Raises RuleError, which names the place in words."""
    rule = _read(value, "The filter", 1)
    number = sum(1 for _ in list_leaves(rule))
    if number > MOST_RULES:
        raise RuleError(f"The filter has {number} rules; {MOST_RULES} are allowed.")
    return rule


def parse_rule(text: str) -> Rule:
    """The rule in a text of JSON. Raises RuleError."""
    if len(text) > LONGEST:
        raise RuleError(f"The filter is longer than {LONGEST} characters.")
    try:
        return read_rule(json.loads(text))
    except (json.JSONDecodeError, RecursionError) as error:
        raise RuleError(f"The filter is no JSON: {error}.") from None


def dump_rule(rule: Rule) -> dict[str, Any]:
    """The plain form that is stored; what is not given is left out."""
    return rule.model_dump(mode="json", by_alias=True, exclude_none=True)


def write_rule(rule: Rule) -> str:
    """A rule as one line of JSON: the form in which it stands in an address."""
    return json.dumps(dump_rule(rule), separators=(",", ":"), ensure_ascii=False)


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


def _read(value: Any, place: str, depth: int) -> Rule:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if not isinstance(value, Mapping):
        raise RuleError(f'{place} has to be an object with "all", "any", "not" or "rule".')
    if depth > DEEPEST:
        raise RuleError(f"{place} lies deeper than {DEEPEST} levels.")
    joins = [name for name in ("all", "any", "not") if name in value]
    if not joins:
        return _read_leaf(value, place)
    if len(value) > 1:
        raise RuleError(f"{place} has {', '.join(map(repr, sorted(map(str, value))))}: only one of them can be there.")
    inner, inside = value[joins[0]], f"{place}, in its {joins[0]}" if place == "The filter" else f"{place}, {joins[0]}"
    if joins[0] == "not":
        return Not(negated=_read(inner, inside, depth + 1))
    if not isinstance(inner, list):
        raise RuleError(f"{inside}: a list of rules is needed.")
    if joins[0] == "any" and not inner:
        raise RuleError(f"{inside}: an empty list passes nothing.")
    parts = [_read(part, f"{inside}, number {number}", depth + 1) for number, part in enumerate(inner, 1)]
    return AllOf(all=parts) if joins[0] == "all" else AnyOf(any=parts)


def _read_leaf(value: Mapping[str, Any], place: str) -> Leaf:
    name = value.get("rule")
    if not isinstance(name, str) or name not in NAMES:
        said = f"there is no rule {name!r}" if "rule" in value else 'it has no "all", "any", "not" or "rule"'
        raise RuleError(f"{place}: {said}. Rules: {', '.join(sorted(NAMES))}.")
    try:
        return _LEAF.validate_python(dict(value))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = " ".join(str(part) for part in first["loc"][1:])
        message = first["msg"].removeprefix("Value error, ")
        raise RuleError(f"{place}, rule {name}: {f'{field}: ' if field else ''}{message}") from None
