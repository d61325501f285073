"""What a recipe must not ask for at once. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curation.recipe import DatasetRecipe


class RecipeError(ValueError):
    """A recipe that does not hold together; the text names the field and what is wrong."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(f"{field}: {words}")
        self.field, self.words = field, words


def check_recipe(recipe: DatasetRecipe) -> None:
    """Raises RecipeError where choices that hold each by itself contradict one another."""
    if recipe.target == "by-hand":
        total = sum(recipe.target_shares.values())
        if not math.isclose(total, 1, abs_tol=0.0005):
            raise RecipeError("target_shares", f"The shares add up to {total:.4g}, and have to add up to 1.")
    elif recipe.target_shares:
        raise RecipeError("target_shares", "Shares are given for a target by hand only.")
    if recipe.target == "none" and recipe.reach:
        raise RecipeError("reach", "There is no target to reach: choose one, or leave this empty.")
    if "quotas" in recipe.reach and recipe.quotas:
        raise RecipeError("quotas", "Quotas come from the target or are set by hand: choose one of the two.")
    if "weights" in recipe.reach and recipe.band_weights:
        raise RecipeError("band_weights", "Weights come from the target or are set by hand: choose one of the two.")
    _check_quotas(recipe)


def _check_quotas(recipe: DatasetRecipe) -> None:
    if len(recipe.quotas) == 5 and not any(recipe.quotas.values()):
        raise RecipeError("quotas", "No difficulty may have a row, which leaves nothing.")
    wanted = {"uniform": "12345", "by-hand": [band for band, share in recipe.target_shares.items() if share]}
    for band in wanted.get(recipe.target, ()):
        if recipe.quotas.get(band) == 0:  # type: ignore[call-overload]  # a letter of "12345" is a band
            raise RecipeError("quotas", f"Difficulty {band} may have no row, and the target wants a share of it.")
