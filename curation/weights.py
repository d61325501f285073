"""Weights of training rows: by hand, or so that each band has the target's share of the supervised tokens. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from curation.bias import shares_of
from curation.recipe import DatasetRecipe


class BandSum(NamedTuple):
    """The training rows of a band, and their supervised tokens."""

    rows: int
    tokens: float


Sums = Mapping[int | None, BandSum]


def weigh_bands(recipe: DatasetRecipe, sums: Sums, target: Mapping[int, float] | None) -> dict[int | None, float]:
    """The weight of a training row of each band; the mean over all rows is 1.

    Where the target is reached by weights, each is between the recipe's least and greatest. Rows of unknown band
    count as a row does on average. `target` holds the shares of the known bands.
    """
    if target and "weights" in recipe.reach:
        return _reach_target(sums, target, least=recipe.least_weight, most=recipe.most_weight)
    chosen = {int(band): weight for band, weight in recipe.band_weights.items()}
    raw = {band: chosen.get(band, 1.0) if band else 1.0 for band in sums}
    rows = sum(part.rows for part in sums.values())
    mean = sum(raw[band] * part.rows for band, part in sums.items()) / rows if rows else 1.0
    return {band: weight / mean for band, weight in raw.items()}


def _reach_target(sums: Sums, target: Mapping[int, float], *, least: float, most: float) -> dict[int | None, float]:
    shares = shares_of({band: part.tokens for band, part in sums.items() if band})
    known = {band: part.rows for band, part in sums.items() if band and part.rows}
    wanted = [target.get(band, 0) / shares[band] if shares[band] else 1.0 for band in known]
    clipped = clip_to_mean_one(wanted, list(known.values()), least=least, most=most)
    return dict.fromkeys(sums, 1.0) | dict(zip(known, clipped, strict=True))


def clip_to_mean_one(weights: Sequence[float], rows: Sequence[int], *, least: float, most: float) -> list[float]:
    """Weights scaled by one factor and clipped, so that their mean over the rows is 1. least <= 1 <= most.

    The clipped mean grows with the factor, from `least` to `most`: it is 1 somewhere between. Where nothing is wanted
    of a band, it gets `least`, or what is left once the others have `most`; weights that are all 0 come out as 1 each.
    """
    total = sum(rows)
    if not total or not max(weights, default=0.0):
        return [1.0] * len(weights)
    largest = max(weights)
    weights = [max(weight / largest, 1e-9) for weight in weights]

    def clip(factor: float) -> list[float]:
        return [min(max(weight * factor, least), most) for weight in weights]

    def mean(factor: float) -> float:
        return sum(weight * number for weight, number in zip(clip(factor), rows, strict=True)) / total

    low, high = 0.0, most / min(weights)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) < 1 else (low, middle)
    return clip(high)
