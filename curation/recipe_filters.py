"""The filter of a recipe as a form has it: a saved filter, four common conditions, and more rules. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from curation.rules import AllOf, ModelRule, OutcomeRule, Rule, SourceRule, StatusRule

QUICK: dict[str, type[StatusRule | SourceRule | ModelRule]] = {
    "statuses": StatusRule,
    "sources": SourceRule,
    "models": ModelRule,
}


def join_rules(
    saved: Rule | None,
    more: Rule | None,
    *,
    statuses: Sequence[str],
    only_successes: bool,
    sources: Sequence[str],
    models: Sequence[str],
) -> AllOf:
    """All of them together, the saved filter's first."""
    parts: list[Rule] = [part for part in (saved,) if part is not None]
    for name, values in (("statuses", statuses), ("sources", sources), ("models", models)):
        if values:
            parts.append(QUICK[name].model_validate({"values": list(values)}))
    if only_successes:
        parts.append(OutcomeRule(values=["success"]))
    if isinstance(more, AllOf):
        parts += more.all
    elif more is not None:
        parts.append(more)
    return AllOf(all=parts)


def split_rules(where: Rule, saved: Rule | None) -> tuple[dict[str, Any], Rule | None]:
    """The four common conditions of a filter, and what else it asks for, None where nothing.

    Where it does not begin with the saved filter that it is said to come from, all that is left is the rest.
    """
    parts = list(where.all) if isinstance(where, AllOf) else [where]
    if saved is not None:
        if not parts or parts[0] != saved:
            return {"statuses": []}, where
        parts = parts[1:]
    quick: dict[str, Any] = {"statuses": [], "only_successes": False, "sources": [], "models": []}
    rest: list[Rule] = []
    for part in parts:
        name = next((name for name, rule in QUICK.items() if isinstance(part, rule)), "")
        if name and not quick[name]:
            quick[name] = list(cast(StatusRule, part).values)
        elif isinstance(part, OutcomeRule) and part.values == ["success"]:
            quick["only_successes"] = True
        else:
            rest.append(part)
    return quick, (rest[0] if len(rest) == 1 else AllOf(all=rest)) if rest else None
