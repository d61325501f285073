"""Difficulty of tasks: their pass rates, grades and bands. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import floor

BANDS = (1, 2, 3, 4, 5)
"""1 is the easiest. None stands for unknown: no grade and no attempt that counts."""

ANCHORS = {
    1: "Trivial: one obvious action or answer; nearly every attempt succeeds.",
    2: "Easy: a few steps in a known order, everything needed is in view; a slip is quickly put right.",
    3: "Moderate: several steps that depend on one another, or something to find first; a careful agent succeeds.",
    4: "Hard: a long plan, a hidden condition or an obstacle that has to be noticed; most attempts fail somewhere.",
    5: "Expert: deep planning or special knowledge, early mistakes cannot be undone; success is rare.",
}
"""What reviewers grade against."""

DEMONSTRATIONS = ("expert", "human", "instruction")
"""Sources of trajectories that show how something is done: no attempts of a policy, so they say nothing of a task."""

_LOWEST_PASS_RATE = {1: 0.90, 2: 0.75, 3: 0.40, 4: 0.15}
INTERVAL = 0.80
"""The share of the intervals of pass rates."""


@dataclass(frozen=True)
class PassRate:
    """Posterior pass rate of a task: `p` with an 80 % interval from `low` to `high`, all within 0..1."""

    p: float
    low: float
    high: float
    attempts: int


@lru_cache(maxsize=4096)
def pass_rate(successes: int, attempts: int) -> PassRate:
    """The pass rate under Jeffreys' prior: p = (s + 1/2) / (n + 1). Attempts that crashed are not to be counted in.

    Raises ValueError unless 0 <= successes <= attempts.
    """
    from scipy.special import betaincinv  # here and not above: slow to import, and most pages need no interval

    if not 0 <= successes <= attempts:
        raise ValueError(f"{successes} successes in {attempts} attempts is impossible")
    won, lost = successes + 0.5, attempts - successes + 0.5
    tail = (1 - INTERVAL) / 2
    low, high = (float(betaincinv(won, lost, quantile)) for quantile in (tail, 1 - tail))
    return PassRate(p=won / (attempts + 1), low=low, high=high, attempts=attempts)


def band_of(p: float) -> int:
    """The band of a pass rate: 1 >= .90 > 2 >= .75 > 3 >= .40 > 4 >= .15 > 5."""
    return next((band for band, lowest in _LOWEST_PASS_RATE.items() if p >= lowest), 5)


def combine_band(human_grade: float | None, p: float, n: int) -> int | None:
    """A task's band: the human grade where there is one, else from the pass rate of n attempts, else None.

    A median between two grades counts as the harder one.
    """
    if human_grade is not None:
        return min(max(floor(human_grade + 0.5), 1), 5)
    return band_of(p) if n else None


def grades_disagree(grades: Sequence[int]) -> bool:
    """Whether two of the reviewers' grades are 2 or more apart, so that somebody has to adjudicate."""
    return len(grades) > 1 and max(grades) - min(grades) >= 2


def bands_disagree(human_grade: float | None, p: float, n: int) -> bool:
    """Whether the human grade and the pass rate are 2 bands or more apart: a broken task, luck, or a wrong grade."""
    if human_grade is None or not n:
        return False
    human = combine_band(human_grade, p, n)
    return human is not None and abs(human - band_of(p)) >= 2
