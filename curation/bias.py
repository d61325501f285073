"""The difficulty bias of a selection: what is measured in it, and against which target. Pure.

Amounts by band are tasks, attempts or, as defined, what is really trained on: weight times supervised tokens, after
truncation and dropping. Tasks of unknown band have no share of anything; they are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from curation.difficulty import BANDS

FOUR_FIFTHS = 0.8
"""A band whose retention ratio is below this is flagged."""

HARD = (4, 5)
CONFIDENCE = 0.95
CELLS = 2_000_000
"""Numbers drawn at once: of 100,000 tasks, 20 resamples."""

ByBand = Mapping[int, float]
Floats = np.ndarray[Any, np.dtype[np.float64]]


class TargetError(ValueError):
    """A target that does not hold together; the text says what is wrong."""


class Target(BaseModel):
    """The shares of the bands that a selection is measured against; `shares` for a target that was set by hand."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["pool", "uniform", "manual"] = "pool"
    shares: dict[Literal[1, 2, 3, 4, 5], float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def check_shares(self) -> Self:
        if self.kind != "manual":
            if self.shares:
                raise ValueError("shares are given for a target set by hand only")
            return self
        if any(not 0 <= share <= 1 for share in self.shares.values()):
            raise ValueError("each share is between 0 and 1")
        total = sum(self.shares.values())
        if abs(total - 1) > 0.0005:
            raise ValueError(f"the shares add up to {total:.4g}, and have to add up to 1")
        return self


def read_target(value: Mapping[str, Any] | Target) -> Target:
    """The target in `value`, as stored or as sent by somebody; nothing given means the pool. Raises TargetError."""
    try:
        return value if isinstance(value, Target) else Target.model_validate(_with_numbers(value))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]")
        message = first["msg"].removeprefix("Value error, ")
        raise TargetError(f"{place}: {message}" if place else f"Target: {message}.") from None


def dump_target(target: Target) -> dict[str, Any]:
    """The plain form that is stored."""
    return {"kind": target.kind, "shares": {str(band): share for band, share in sorted(target.shares.items())}}


def _with_numbers(value: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has strings for keys."""
    shares = value.get("shares")
    if not isinstance(shares, Mapping):
        return dict(value)
    return {**value, "shares": {int(k) if str(k).isdecimal() else k: share for k, share in shares.items()}}


def target_shares(target: Target, pool_amounts: ByBand) -> dict[int, float]:
    """The share of each band that a target asks for; all 0 where it is the pool and there is none."""
    if target.kind == "pool":
        return shares_of(pool_amounts)
    if target.kind == "uniform":
        return dict.fromkeys(BANDS, 1 / len(BANDS))
    return shares_of({int(band): share for band, share in target.shares.items()})


def shares_of(amounts: ByBand) -> dict[int, float]:
    """Each band's share of the amounts of known bands, adding up to 1; all 0 where there is nothing."""
    total = sum(amounts.get(band, 0) for band in BANDS)
    return {band: amounts.get(band, 0) / total if total else 0.0 for band in BANDS}


def deficit_by_band(selected: ByBand, target: ByBand) -> dict[int, float]:
    """How much of each band's target share the selection lacks, -1..1; positive where there is too little of it."""
    have, want = shares_of(selected), shares_of(target)
    return {band: want[band] - have[band] for band in BANDS}


def bias(selected: ByBand, target: ByBand) -> float | None:
    """Half the summed difference of the bands' shares, 0 (as the target) to 1; None where either side is empty."""
    have, want = shares_of(selected), shares_of(target)
    if not sum(have.values()) or not sum(want.values()):
        return None
    return sum(abs(have[band] - want[band]) for band in BANDS) / 2


def retention_ratios(kept: ByBand, collected: ByBand) -> dict[int, float | None]:
    """P(kept | band) / P(kept) for each band; None where nothing was collected or nothing kept at all."""
    total_kept, total = sum(kept.get(band, 0) for band in BANDS), sum(collected.get(band, 0) for band in BANDS)
    if not total_kept or not total:
        return dict.fromkeys(BANDS)
    overall = total_kept / total
    return {band: kept.get(band, 0) / collected[band] / overall if collected.get(band) else None for band in BANDS}


class TaskMass(NamedTuple):
    """What one task contributes: `mass` is weight times supervised tokens, after truncation and dropping.

    `band` is None where it is unknown, `p` (the pass rate) where the task has no attempt that counts.
    """

    task_id: int
    band: int | None
    p: float | None
    mass: float


@dataclass(frozen=True)
class BiasReport:
    """A selection against its target.

    `selected` and `target` are shares by band (q and r). `bias` is None where either is empty, and `low` to `high` its
    95 % interval over tasks. `shift` is E_q[p] - E_r[p]: positive means easier than the target. `retention` is
    P(kept | band) / P(kept), and `flagged` the bands below four fifths. `hard_tasks` are those of bands 4 and 5 in the
    pool, and `hard_covered` of them have something in the selection. `unreachable` bands are asked for by the target,
    and the pool has none of them.
    """

    selected: dict[int, float]
    target: dict[int, float]
    bias: float | None
    low: float | None
    high: float | None
    shift: float | None
    retention: dict[int, float | None]
    hard_tasks: int
    hard_covered: int
    tasks: int
    effective_tasks: float | None
    unknown_tasks: int
    unreachable: tuple[int, ...]

    @property
    def flagged(self) -> list[int]:
        return [band for band, ratio in self.retention.items() if ratio is not None and ratio < FOUR_FIFTHS]

    @property
    def deficit(self) -> dict[int, float]:
        """What each band lacks of its target share."""
        return {band: self.target[band] - self.selected[band] for band in BANDS}

    @property
    def hard_coverage(self) -> float | None:
        return self.hard_covered / self.hard_tasks if self.hard_tasks else None


def measure_bias(
    selected: Sequence[TaskMass], pool: Sequence[TaskMass], target: Target, *, resamples: int = 1000, seed: int = 0
) -> BiasReport:
    """Measure a selection against a target. `pool` is what was collected, in the same unit as `selected`.

    `resamples` are drawn for the interval, in memory that does not grow with their number.
    """
    known, collected = _keep_known(selected), _keep_known(pool)
    amounts, pool_amounts = amounts_by_band(known), amounts_by_band(collected)
    wanted = target_shares(target, pool_amounts)
    low, high = _resample(known, collected, target, resamples=resamples, seed=seed)
    present = {mass.task_id for mass in known if mass.mass > 0}
    hard = {mass.task_id for mass in collected if mass.band in HARD}
    return BiasReport(
        selected=shares_of(amounts),
        target=wanted,
        bias=bias(amounts, wanted),
        low=low,
        high=high,
        shift=_measure_shift(known, collected, wanted),
        retention=retention_ratios(amounts, pool_amounts),
        hard_tasks=len(hard),
        hard_covered=len(hard & present),
        tasks=len(present),
        effective_tasks=count_effective(known),
        unknown_tasks=len({mass.task_id for mass in selected if mass.band is None and mass.mass > 0}),
        unreachable=tuple(band for band in BANDS if wanted[band] and not pool_amounts.get(band)),
    )


def amounts_by_band(masses: Iterable[TaskMass]) -> dict[int, float]:
    """The summed mass of each known band."""
    amounts = dict.fromkeys(BANDS, 0.0)
    for mass in masses:
        if mass.band is not None:
            amounts[mass.band] += mass.mass
    return amounts


def count_effective(masses: Iterable[TaskMass]) -> float | None:
    """1 / sum (task share)^2: as many tasks of equal mass would be as varied. None where there is nothing."""
    of_task: dict[int, float] = {}
    for mass in masses:
        of_task[mass.task_id] = of_task.get(mass.task_id, 0) + mass.mass
    squares = sum(amount * amount for amount in of_task.values())
    return sum(of_task.values()) ** 2 / squares if squares else None


def _keep_known(masses: Iterable[TaskMass]) -> list[TaskMass]:
    return [mass for mass in masses if mass.band is not None]


def _measure_shift(selected: Sequence[TaskMass], pool: Sequence[TaskMass], wanted: ByBand) -> float | None:
    """E_q[p] - E_r[p], over tasks with a pass rate. Inside a band the target is spread as the pool is.

    So where the target is the pool, E_r[p] is the pool's mean. A band that the pool has nothing of has no pass rate:
    the target's other bands are taken.
    """
    have = _mean_p(selected)
    means = {band: _mean_p([mass for mass in pool if mass.band == band]) for band in BANDS}
    if wanted == shares_of(amounts_by_band(pool)):
        want = _mean_p(pool)
    else:
        found = [(wanted[band], mean) for band, mean in means.items() if mean is not None]
        total = sum(share for share, _ in found)
        want = sum(share * mean for share, mean in found) / total if total else None
    return None if have is None or want is None else have - want


def _mean_p(masses: Iterable[TaskMass]) -> float | None:
    pairs = [(mass.mass, mass.p) for mass in masses if mass.p is not None]
    total = sum(amount for amount, _ in pairs)
    return sum(amount * p for amount, p in pairs) / total if total else None


def _resample(
    selected: Sequence[TaskMass], pool: Sequence[TaskMass], target: Target, *, resamples: int, seed: int
) -> tuple[float | None, float | None]:
    """The 95 % bootstrap interval of the bias, over tasks.

    Where the target is the pool, a task is drawn with all it has in both, since they are drawn together in truth.
    Where chance alone moves the shares as far from one another as they are (half the summed difference, 95 % of the
    resamples), the interval begins at 0: near 0 a bias that is measured is never too small, so that its percentiles
    would leave out the truth. Elsewhere it begins at the lower of the percentile and the reversed percentile, and it
    ends at the percentile. Coverage was simulated: 93 to 97 % for 60 to 2,000 tasks and biases from 0 to .44.
    """
    joint = target.kind == "pool"
    table = _tabulate(selected, pool if joint else [])
    size = len(BANDS)
    fixed = None if joint else np.array([target_shares(target, {})[band] for band in BANDS])
    measured = _difference(table.sum(axis=0), fixed)
    if not len(table) or np.isnan(measured).any():
        return None, None
    random, tasks = np.random.default_rng(seed), len(table)
    drawn = np.empty((resamples, size))
    step = max(1, CELLS // tasks)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        chosen = random.integers(0, tasks, (rows, tasks)) + np.arange(rows)[:, None] * tasks
        times = np.bincount(chosen.ravel(), minlength=rows * tasks).reshape(rows, tasks)
        drawn[start : start + rows] = _difference(times @ table, fixed)
    drawn = drawn[~np.isnan(drawn).any(axis=1)]
    if not len(drawn):
        return None, None
    estimate = float(np.abs(measured).sum() / 2)
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(value) for value in np.quantile(np.abs(drawn).sum(axis=1) / 2, [tail, 1 - tail]))
    by_chance = float(np.quantile(np.abs(drawn - measured).sum(axis=1) / 2, CONFIDENCE))
    begins = 0.0 if estimate <= by_chance else max(0.0, min(low, 2 * estimate - high))
    return begins, max(high, estimate)


def _tabulate(selected: Sequence[TaskMass], pool: Sequence[TaskMass]) -> Floats:
    """A row for each task: what it has in each band of the selection, then in each band of the pool."""
    places: dict[int, int] = {}
    for mass in (*selected, *pool):
        places.setdefault(mass.task_id, len(places))
    table = np.zeros((len(places), 2 * len(BANDS)))
    for offset, masses in ((0, selected), (len(BANDS), pool)):
        if masses:
            rows = [places[mass.task_id] for mass in masses]
            columns = [offset + (mass.band or 0) - 1 for mass in masses]
            np.add.at(table, (rows, columns), [mass.mass for mass in masses])
    return table


def _difference(sums: Floats, fixed: Floats | None) -> Floats:
    """q - r by band along the last axis, from the sums of both; NaN where either is empty."""
    size = len(BANDS)
    with np.errstate(invalid="ignore", divide="ignore"):
        have, want = (part / part.sum(axis=-1, keepdims=True) for part in (sums[..., :size], sums[..., size:]))
    return np.asarray(have - (want if fixed is None else fixed))
