from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curation.difficulty import BANDS
from curation.recipe import read_recipe
from curation.weights import BandSum, clip_to_mean_one, weigh_bands

bands = st.sampled_from([None, 1, 2, 3, 4, 5])
sums = st.dictionaries(bands, st.builds(BandSum, st.integers(1, 10_000), st.floats(1, 1e7)), min_size=1)
targets = st.dictionaries(st.sampled_from(BANDS), st.floats(0, 1), min_size=1)


def mean(weights: dict[int | None, float], rows: dict[int | None, BandSum]) -> float:
    return sum(weights[band] * part.rows for band, part in rows.items()) / sum(part.rows for part in rows.values())


@given(rows=sums, chosen=st.dictionaries(st.sampled_from("12345"), st.floats(0.1, 10)))
def test_the_mean_weight_of_the_rows_is_one_where_weights_are_set_by_hand(
    rows: dict[int | None, BandSum], chosen: dict[str, float]
) -> None:
    weights = weigh_bands(read_recipe({"kind": "sft", "band_weights": chosen}), rows, None)
    assert mean(weights, rows) == pytest.approx(1)


@example(rows={4: BandSum(1, 1.0)}, target={4: 2e-313}, least=1.0, most=2.0)
@given(rows=sums, target=targets, least=st.floats(0.01, 1), most=st.floats(1, 100))
def test_weights_that_reach_a_target_have_mean_one_and_stay_within_their_limits(
    rows: dict[int | None, BandSum], target: dict[int, float], least: float, most: float
) -> None:
    plain = {"kind": "sft", "target": "pool", "reach": ["weights"], "least_weight": least, "most_weight": most}
    weights = weigh_bands(read_recipe(plain), rows, target)
    assert mean(weights, rows) == pytest.approx(1)
    assert all(least <= weight <= most for weight in weights.values())


@given(rows=sums, target=targets)
def test_weights_without_tight_limits_give_each_band_its_share_of_the_tokens(
    rows: dict[int | None, BandSum], target: dict[int, float]
) -> None:
    there = {band: target.get(band, 0) for band in rows if band}
    if not sum(there.values()) or min(value for value in there.values()) < 0.01:
        return
    plain = {"kind": "sft", "target": "pool", "reach": ["weights"], "least_weight": 0.01, "most_weight": 100}
    weights = weigh_bands(read_recipe(plain), rows, target)
    if any(not 0.0101 < weights[band] < 99.9 for band in there):
        return
    amounts = {band: weights[band] * rows[band].tokens for band in there}
    for band, wanted in there.items():
        assert amounts[band] / sum(amounts.values()) == pytest.approx(wanted / sum(there.values()), rel=1e-6)


def test_a_scarce_band_weighs_no_more_than_the_limit() -> None:
    assert clip_to_mean_one([0.5, 50.0], [98, 2], least=0.25, most=4.0) == pytest.approx([92 / 98, 4.0])


def test_weights_that_are_all_nothing_change_nothing() -> None:
    assert clip_to_mean_one([0.0, 0.0], [1, 5], least=0.25, most=4.0) == [1.0, 1.0]
    assert clip_to_mean_one([], [], least=0.25, most=4.0) == []
