"""Difficulty of tasks, and the bias of a selection against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

FOUR_FIFTHS = 0.8
"""A band whose retention ratio is below this is flagged."""

_LOWEST_PASS_RATE = {1: 0.90, 2: 0.75, 3: 0.40, 4: 0.15}
_INTERVAL = 0.80


@dataclass(frozen=True)
class PassRate:
    """Posterior pass rate of a task: `p` with an 80 % interval from `low` to `high`, all within 0..1."""

    p: float
    low: float
    high: float
    attempts: int


def pass_rate(successes: int, attempts: int) -> PassRate:
    """The pass rate under Jeffreys' prior: p = (s + 1/2) / (n + 1). Attempts that crashed are not to be counted in.

    Raises ValueError unless 0 <= successes <= attempts.
    """
    from scipy.special import betaincinv  # here and not above: slow to import, and most pages need no interval

    if not 0 <= successes <= attempts:
        raise ValueError(f"{successes} successes in {attempts} attempts is impossible")
    won, lost = successes + 0.5, attempts - successes + 0.5
    tail = (1 - _INTERVAL) / 2
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


def deficit_by_band(selected: Mapping[int, float], target: Mapping[int, float]) -> dict[int, float]:
    """How much of each band's target share the selection lacks, -1..1; positive where there is too little of it.

    Both hold amounts per band (tasks, trajectories or weighted tokens); each is scaled to sum to 1.
    """
    have, want = _shares(selected), _shares(target)
    return {band: want[band] - have[band] for band in BANDS}


def bias(selected: Mapping[int, float], target: Mapping[int, float]) -> float | None:
    """Half the summed difference of the bands' shares, 0 (as the target) to 1; None where either side is empty."""
    have, want = _shares(selected), _shares(target)
    if not sum(have.values()) or not sum(want.values()):
        return None
    return sum(abs(have[band] - want[band]) for band in BANDS) / 2


def retention_ratios(kept: Mapping[int, float], collected: Mapping[int, float]) -> dict[int, float | None]:
    """P(kept | band) / P(kept) for each band; None where nothing was collected or nothing kept at all."""
    total_kept, total = sum(kept.get(band, 0) for band in BANDS), sum(collected.get(band, 0) for band in BANDS)
    if not total_kept or not total:
        return dict.fromkeys(BANDS)
    overall = total_kept / total
    return {band: kept.get(band, 0) / collected[band] / overall if collected.get(band) else None for band in BANDS}


def _shares(amounts: Mapping[int, float]) -> dict[int, float]:
    total = sum(amounts.get(band, 0) for band in BANDS)
    return {band: amounts.get(band, 0) / total if total else 0.0 for band in BANDS}
