"""How many rows of each band a target asks for, and what is missing. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import NamedTuple

from curation.bias import shares_of
from curation.difficulty import BANDS
from curation.recipe import DatasetRecipe


class Lack(NamedTuple):
    """A band that has fewer rows than the target asks for."""

    band: int
    wanted: int
    there: int


class Quotas(NamedTuple):
    """Rows wanted of each band, what is missing of them, and the band that keeps the set small, or None."""

    rows: dict[int, int]
    lacks: list[Lack]
    scarcest: int | None


def divide_rows(there: Mapping[int, int], shares: Mapping[int, float], *, size: int | None) -> Quotas:
    """Rows of each band for a set of `size`, or for the largest that there are rows for.

    A band that is wanted and has no row does not make the set empty: it is a lack, of one row at least, and the set is
    the largest that the other bands allow.
    """
    wanted = {band: shares[band] for band in BANDS if shares.get(band, 0) > 0}
    scarcest = None
    if size is None:
        limits = {band: there[band] / share for band, share in wanted.items() if there.get(band)}
        if limits:
            scarcest = min(limits, key=lambda band: limits[band])
            size = floor(limits[scarcest] + 1e-9)
    rows = _round(wanted, max(size or 0, 1))
    lacks = [Lack(band, max(number, 1), there.get(band, 0)) for band, number in rows.items()]
    return Quotas(rows, [lack for lack in lacks if lack.there < (lack.wanted if rows[lack.band] else 0)], scarcest)


def _round(shares: Mapping[int, float], size: int) -> dict[int, int]:
    """Whole numbers in these shares that add up to the size: the largest remainders are rounded up."""
    exact = {band: share * size for band, share in shares.items()}
    rows = {band: floor(amount + 1e-9) for band, amount in exact.items()}
    for band in sorted(exact, key=lambda band: (rows[band] - exact[band], band))[: size - sum(rows.values())]:
        rows[band] += 1
    return rows


def word_lack(recipe: DatasetRecipe, lack: Lack, *, size: int) -> str:
    """As "Difficulty 5 needs 120 rows for a uniform set of 600, and 14 are there."""
    names = {"uniform": "a uniform set", "pool": "a set like the pool"}
    name = names.get(recipe.target, "a set as the target wants it")
    there = "none is there" if not lack.there else f"{lack.there:,} {'is' if lack.there == 1 else 'are'} there"
    rows = f"{lack.wanted:,} row{'' if lack.wanted == 1 else 's'}"
    return f"Difficulty {lack.band} needs {rows} for {name} of {size:,}, and {there}."


def list_unreachable(there: Mapping[int, float], shares: Mapping[int, float]) -> list[int]:
    """The bands that the target asks for, and of which nothing is there."""
    return [band for band in BANDS if shares.get(band, 0) > 0 and not there.get(band)]


def word_shortfalls(reached: Mapping[int, float], shares: Mapping[int, float]) -> str:
    """What bands lack of their share after weighting, in words; empty where none that is there lacks a hundredth."""
    have = shares_of(reached)
    short = [band for band in BANDS if have[band] and shares.get(band, 0) - have[band] >= 0.01]
    return ", ".join(f"difficulty {band} comes to {have[band]:.2f} instead of {shares[band]:.2f}" for band in short)
