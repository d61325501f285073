from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.bias import (
    FOUR_FIFTHS,
    Target,
    TargetError,
    TaskMass,
    bias,
    deficit_by_band,
    dump_target,
    measure_bias,
    read_target,
    retention_ratios,
    target_shares,
)
from curation.difficulty import BANDS

AMOUNTS = st.dictionaries(st.sampled_from(BANDS), st.floats(0, 1e6), max_size=5)
POOL = Target(kind="pool")
UNIFORM = Target(kind="uniform")


def test_a_planted_bias_is_measured() -> None:
    collected = {1: 100, 2: 100, 3: 100, 4: 100, 5: 100}
    kept = {1: 100, 2: 100, 3: 100}
    assert bias(kept, collected) == pytest.approx(0.4)
    assert deficit_by_band(kept, collected) == pytest.approx({1: -2 / 15, 2: -2 / 15, 3: -2 / 15, 4: 0.2, 5: 0.2})
    ratios = retention_ratios(kept, collected)
    assert ratios == pytest.approx({1: 5 / 3, 2: 5 / 3, 3: 5 / 3, 4: 0, 5: 0})
    assert [band for band, ratio in ratios.items() if ratio is not None and ratio < FOUR_FIFTHS] == [4, 5]


@given(AMOUNTS, AMOUNTS)
def test_bias_lies_between_0_and_1_and_is_symmetric(selected: dict[int, float], target: dict[int, float]) -> None:
    measured = bias(selected, target)
    if sum(selected.values()) and sum(target.values()):
        assert measured is not None
        assert 0 <= measured <= 1 + 1e-9
        assert measured == pytest.approx(bias(target, selected))
        assert sum(deficit_by_band(selected, target).values()) == pytest.approx(0, abs=1e-9)
    else:
        assert measured is None


@given(AMOUNTS.filter(lambda amounts: sum(amounts.values()) > 1e-3), st.floats(0.1, 10))
def test_only_shares_count(amounts: dict[int, float], factor: float) -> None:
    assert bias({band: amount * factor for band, amount in amounts.items()}, amounts) == pytest.approx(0, abs=1e-9)


def test_nothing_selected_lacks_the_whole_target() -> None:
    assert deficit_by_band({}, {1: 1, 5: 3}) == {1: 0.25, 2: 0, 3: 0, 4: 0, 5: 0.75}
    assert bias({}, {1: 1}) is None
    assert retention_ratios({}, {1: 1}) == dict.fromkeys(BANDS)
    assert retention_ratios({1: 1}, {1: 1}) == {1: 1.0, 2: None, 3: None, 4: None, 5: None}


def test_a_target_is_the_pool_where_nothing_was_chosen() -> None:
    assert read_target({}) == Target(kind="pool")
    assert target_shares(read_target({}), {1: 3, 5: 1}) == {1: 0.75, 2: 0, 3: 0, 4: 0, 5: 0.25}
    assert target_shares(UNIFORM, {1: 3}) == dict.fromkeys(BANDS, 0.2)


@given(st.lists(st.integers(0, 100), min_size=5, max_size=5).filter(lambda parts: sum(parts) > 0))
def test_a_target_set_by_hand_is_read_back_as_it_was_stored(parts: list[int]) -> None:
    shares = {band: part / sum(parts) for band, part in zip(BANDS, parts, strict=True)}
    target = Target(kind="manual", shares=shares)
    assert read_target(dump_target(target)) == target
    assert target_shares(target, {}) == pytest.approx(shares)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"kind": "manual", "shares": {"1": 0.5, "5": 0.4}}, "the shares add up to 0.9, and have to add up to 1"),
        ({"kind": "manual", "shares": {"1": 1.5, "5": -0.5}}, "each share is between 0 and 1"),
        ({"kind": "manual", "shares": {"1": float("nan"), "5": 1}}, "each share is between 0 and 1"),
        ({"kind": "manual", "shares": {"6": 1.0}}, "shares.6"),
        ({"kind": "manual", "shares": {"hard": 1.0}}, "shares.hard"),
        ({"kind": "manual"}, "the shares add up to 0"),
        ({"kind": "pool", "shares": {"1": 1.0}}, "shares are given for a target set by hand only"),
        ({"kind": "harder"}, "kind"),
        ({"bands": 5}, "bands"),
    ],
)
def test_a_target_that_does_not_hold_together_is_refused_with_the_reason(value: dict[str, object], words: str) -> None:
    with pytest.raises(TargetError, match=words):
        read_target(value)


def make_masses(*rows: tuple[int, int | None, float | None, float]) -> list[TaskMass]:
    return [TaskMass(*row) for row in rows]


def test_the_report_holds_every_figure_as_it_is_defined() -> None:
    pool = make_masses((1, 1, 0.9, 100), (2, 3, 0.5, 100), (3, 4, 0.2, 100), (4, 5, 0.1, 100), (5, None, None, 50))
    selected = make_masses((1, 1, 0.9, 60), (2, 3, 0.5, 20), (3, 4, 0.2, 20), (5, None, None, 10))
    report = measure_bias(selected, pool, POOL)
    assert report.selected == pytest.approx({1: 0.6, 2: 0, 3: 0.2, 4: 0.2, 5: 0})
    assert report.target == pytest.approx({1: 0.25, 2: 0, 3: 0.25, 4: 0.25, 5: 0.25})
    assert report.bias == pytest.approx((0.35 + 0 + 0.05 + 0.05 + 0.25) / 2)
    assert report.shift == pytest.approx((0.54 + 0.1 + 0.04) - (0.9 + 0.5 + 0.2 + 0.1) / 4)
    assert report.retention == pytest.approx({1: 0.6 / 0.25, 2: None, 3: 0.2 / 0.25, 4: 0.2 / 0.25, 5: 0.0})
    assert report.flagged == [5]
    assert (report.hard_covered, report.hard_tasks, report.hard_coverage) == (1, 2, 0.5)
    assert report.effective_tasks == pytest.approx(1 / (0.36 + 0.04 + 0.04))
    assert (report.tasks, report.unknown_tasks, report.unreachable) == (3, 1, ())


def test_a_uniform_target_names_the_bands_that_the_pool_cannot_give() -> None:
    pool = make_masses((1, 1, 0.95, 10), (2, 3, 0.5, 10))
    report = measure_bias(pool, pool, UNIFORM)
    assert report.unreachable == (2, 4, 5)
    assert report.bias == pytest.approx(0.6)
    assert report.shift == pytest.approx(0)  # the target's easy and middle share, as far as there is a pass rate


def test_shift_is_positive_where_the_selection_is_easier_than_the_target() -> None:
    pool = make_masses((1, 1, 0.95, 10), (2, 5, 0.05, 10))
    assert measure_bias(pool[:1], pool, POOL).shift == pytest.approx(0.45)
    assert measure_bias(pool[1:], pool, POOL).shift == pytest.approx(-0.45)


def test_nothing_selected_has_no_bias_and_covers_nothing() -> None:
    pool = make_masses((1, 5, 0.1, 10), (2, None, None, 10))
    report = measure_bias([], pool, POOL)
    assert (report.bias, report.low, report.high, report.shift, report.effective_tasks) == (None,) * 5
    assert (report.hard_covered, report.hard_tasks, report.deficit[5]) == (0, 1, 1.0)
    nothing = measure_bias([], [], POOL)
    assert (nothing.bias, nothing.hard_coverage) == (None, None)


def test_a_selection_that_is_the_whole_pool_has_a_bias_of_0_for_certain() -> None:
    pool = make_masses(*[(n, 1 + n % 5, 0.5, 10 + n) for n in range(50)])
    report = measure_bias(pool, pool, POOL)
    assert (report.bias, report.low, report.high) == pytest.approx((0, 0, 0))


MASSES = st.lists(st.tuples(st.sampled_from([*BANDS, None]), st.floats(0, 1e4), st.booleans()), min_size=1, max_size=30)


@given(MASSES, st.sampled_from([POOL, UNIFORM]))
def test_the_interval_holds_the_estimate_and_stays_within_0_and_1(
    rows: list[tuple[int | None, float, bool]], target: Target
) -> None:
    pool = [TaskMass(n, band, 0.5, mass) for n, (band, mass, _) in enumerate(rows)]
    selected = [mass for mass, (_, _, kept) in zip(pool, rows, strict=True) if kept]
    report = measure_bias(selected, pool, target, resamples=50)
    if report.bias is None or report.low is None or report.high is None:
        assert report.low is report.high is None
    else:
        assert 0 <= report.low <= report.bias + 1e-9
        assert report.bias <= report.high + 1e-9 <= 1 + 1e-6


@pytest.mark.parametrize("kept", [(0.5, 0.5, 0.5, 0.5, 0.5), (0.6, 0.55, 0.5, 0.45, 0.4), (0.9, 0.7, 0.5, 0.3, 0.1)])
def test_the_interval_covers_a_planted_bias_as_often_as_it_says(kept: tuple[float, ...]) -> None:
    chances = np.array(kept)
    planted = np.abs(chances / chances.sum() - 0.2).sum() / 2
    random = np.random.default_rng(5)
    covered = 0
    for trial in range(100):
        bands = random.integers(1, 6, 200)
        pool = [TaskMass(n, int(band), 0.5, random.lognormal()) for n, band in enumerate(bands)]
        selected = [mass for mass in pool if random.random() < chances[(mass.band or 0) - 1]]
        report = measure_bias(selected, pool, POOL, resamples=200, seed=trial)
        assert report.low is not None
        assert report.high is not None
        covered += report.low <= planted <= report.high
    assert 87 <= covered <= 100  # 95 expected; fewer than 87 has a chance below 1 in 1,000


def test_the_same_seed_gives_the_same_interval() -> None:
    pool = make_masses(*[(n, 1 + n % 5, 0.5, 10 + n) for n in range(50)])
    assert measure_bias(pool[::3], pool, POOL, seed=1) == measure_bias(pool[::3], pool, POOL, seed=1)


def test_what_is_drawn_in_one_go_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = make_masses(*[(n, 1 + n % 5, 0.5, 10 + n) for n in range(50)])
    at_once = measure_bias(pool[::3], pool, POOL, resamples=9)
    sizes: list[int] = []
    bincount = np.bincount

    def note_size(places: np.ndarray[Any, np.dtype[np.int64]], **options: int) -> Any:
        sizes.append(len(places))
        return bincount(places, **options)

    monkeypatch.setattr("curation.bias.CELLS", 120)
    monkeypatch.setattr(np, "bincount", note_size)
    assert measure_bias(pool[::3], pool, POOL, resamples=9) == at_once
    assert sizes == [100, 100, 100, 100, 50]
