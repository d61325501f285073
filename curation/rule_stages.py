"""At which stage of the waterfall a rule leaves something out, and in which words. Pure."""

from __future__ import annotations

from curation.rules import AllOf, AnyOf, Not, OutcomeRule, Rule, list_leaves

STAGES: dict[str, str] = {
    "rule": "Rule filter",
    "success": "Success filter",
    "model": "Model filter",
    "human": "Human review",
}
_STAGE_OF: dict[str, str] = {
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
    "corrected": "human",
    "queue": "human",
}
_REASONS = {
    "outcome": "another outcome than asked for",
    "status": "another review status than asked for",
    "source": "another source",
    "model": "another model",
    "band": "another difficulty",
}


def stage_of(part: Rule) -> str:
    """The stage of one part of a filter: of joined rules, the last of theirs."""
    order = list(STAGES)
    return max((_STAGE_OF.get(leaf.rule, "rule") for leaf in list_leaves(part)), key=order.index, default="rule")


def reason_of(part: Rule) -> str:
    """Why what fails this part of a filter is left out."""
    if isinstance(part, OutcomeRule) and part.values == ["success"]:
        return "no recorded success"
    kinds = list(dict.fromkeys(leaf.rule for leaf in list_leaves(part)))
    if len(kinds) == 1 and kinds[0] in _REASONS and not isinstance(part, AllOf | AnyOf | Not):
        return _REASONS[kinds[0]]
    return f"fails the rule on {' and '.join(kinds)}" if kinds else "fails the filter"


def list_parts(where: Rule) -> list[Rule]:
    """The parts of a filter that are applied one after the other: those that an "all" joins, in the stages' order."""
    parts = [inner for part in where.all for inner in list_parts(part)] if isinstance(where, AllOf) else [where]
    return sorted(parts, key=lambda part: list(STAGES).index(stage_of(part)))
