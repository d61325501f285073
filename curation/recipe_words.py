"""A recipe in words. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from curation.recipe import Evaluation, read_recipe
from curation.recipe_checks import RecipeError
from curation.rules import dump_rule


def describe_recipe(plain: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The filter, the split, and each other field that is not as in a new recipe, by its title and in words.

    Nothing for a recipe that is no longer understood.
    """
    try:
        recipe = read_recipe(plain)
    except RecipeError:  # of a version that an earlier release froze
        return []
    usual = read_recipe({"kind": recipe.kind})
    described = [("Filter", json.dumps(dump_rule(recipe.where)))]
    if recipe.filter:
        described.append(("Saved filter", f"{recipe.filter.name} v{recipe.filter.version}"))
    for name, field in type(recipe).model_fields.items():
        value = getattr(recipe, name)
        if field.title and name != "where" and (value != getattr(usual, name) or name in ("held_out", "seed")):
            described.append((field.title, _word(value)))
    for name, field in Evaluation.model_fields.items():
        value = getattr(recipe.evaluation, name)
        if recipe.evaluation.is_named and value != []:
            described.append((f"Kept out: {(field.title or name).lower()}", _word(value)))
    return described


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {part:g}" for key, part in sorted(value.items())) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, int | float):
        return f"{value:,}"
    return "no limit" if value is None else str(value)
