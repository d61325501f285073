"""At which stage of the waterfall a rule leaves something out, and in which words. Pure."""

from __future__ import annotations

from typing import Literal

from curation.rules import AllOf, Rule, list_leaves

FilterStage = Literal["rule", "success", "model", "human"]
STAGES: dict[FilterStage, str] = {
    "rule": "Rule filter",
    "success": "Success filter",
    "model": "Model filter",
    "human": "Human review",
}
_STAGE_OF: dict[str, FilterStage] = {
    "outcome": "success",
    "reward": "success",
    "replay": "success",
    "judge": "model",
    "status": "human",
    "verdict": "human",
    "grade": "human",
    "label": "human",
    "agreement": "human",
    "hacked": "human",
}
_REASONS = {
    "outcome": "another outcome than asked for",
    "status": "another review status than asked for",
    "source": "another source",
    "model": "another model",
    "band": "another difficulty",
}


def stage_of(part: Rule) -> FilterStage:
    """The stage of one part of a filter: of joined rules, the last of theirs."""
    order = list(STAGES)
    return max((_STAGE_OF.get(leaf.rule, "rule") for leaf in list_leaves(part)), key=order.index, default="rule")


def reason_of(part: Rule) -> str:
    """Why what fails this part of a filter is left out."""
    kinds = list(dict.fromkeys(leaf.rule for leaf in list_leaves(part)))
    if hasattr(part, "rule") and part.rule in _REASONS:
        return _REASONS[part.rule]
    return f"fails the rule on {' and '.join(kinds)}" if kinds else "fails the filter"


def list_parts(where: Rule) -> list[Rule]:
    """The parts of a filter that are applied one after the other: those that an "all" joins, in the stages' order."""
    parts = [inner for part in where.all for inner in list_parts(part)] if isinstance(where, AllOf) else [where]
    return sorted(parts, key=lambda part: list(STAGES).index(stage_of(part)))
