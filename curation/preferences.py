"""How sure a preference is, told from what people judged. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

PRIOR = 0.5
"""Of the strengths: Gaussian with variance 1 / (2 * PRIOR). One judgement alone then gives 2 to 1, as Laplace's rule
does where a pair is judged by itself."""


class Comparison(NamedTuple):
    """One judgement of two things, named by numbers: `winner` over `loser`, or, where `tie`, neither over the other.

    How much better the winner is does not count: a strong preference is one vote, as a slight one is.
    """

    winner: int
    loser: int
    tie: bool = False


def fit_strengths(comparisons: Sequence[Comparison]) -> dict[int, float]:
    """Bradley-Terry strengths of everything that was compared: one more is e times the odds to win.

    A tie is half a win for each. The estimate exists for any comparisons, since the prior holds it together.
    """
    import choix  # here and not above: slow to import, and few requests need it

    things = sorted({thing for comparison in comparisons for thing in comparison[:2]})
    if not things:
        return {}
    number = {thing: index for index, thing in enumerate(things)}
    # Each judgement is two halves, so that a tie can be one for each side; the prior is doubled with them.
    halves = []
    for comparison in comparisons:
        winner, loser = number[comparison.winner], number[comparison.loser]
        halves += [(winner, loser), (loser, winner) if comparison.tie else (winner, loser)]
    fitted = choix.opt_pairwise(len(things), halves, alpha=2 * PRIOR)
    return {thing: float(strength) for thing, strength in zip(things, fitted, strict=True)}


def win_probability(strengths: dict[int, float], thing: int, other: int) -> float | None:
    """That `thing` is the better one; None where either was never compared."""
    if thing not in strengths or other not in strengths:
        return None
    return 1 / (1 + math.exp(strengths[other] - strengths[thing]))


def posterior_share(comparisons: Sequence[Comparison], thing: int) -> float | None:
    """The same from the judgements of one pair alone: the mean of its share of wins, all shares equally likely before.

    None where nothing was judged.
    """
    if not comparisons:
        return None
    wins = sum(0.5 if comparison.tie else float(comparison.winner == thing) for comparison in comparisons)
    return (wins + 1) / (len(comparisons) + 2)
