from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.difficulty import (
    ANCHORS,
    BANDS,
    band_of,
    bands_disagree,
    combine_band,
    grades_disagree,
    pass_rate,
)


def share_below(limit: float, *, won: float, lost: float) -> float:
    """How much of Beta(won, lost) lies below a limit, by adding it up over x = sin(t) ** 2, where it has no poles."""
    width = math.pi / 2 / 20_000
    middles = [(number + 0.5) * width for number in range(20_000)]
    density = [math.pow(math.sin(t), 2 * won - 1) * math.pow(math.cos(t), 2 * lost - 1) for t in middles]
    below = sum(value for t, value in zip(middles, density, strict=True) if math.sin(t) ** 2 < limit)
    return below / sum(density)


@pytest.mark.parametrize(
    ("successes", "attempts", "p"), [(0, 0, 0.5), (4, 4, 0.9), (3, 4, 0.7), (0, 4, 0.1), (7, 30, 7.5 / 31)]
)
def test_the_pass_rate_lies_in_the_middle_four_fifths_of_its_posterior(successes: int, attempts: int, p: float) -> None:
    rate = pass_rate(successes, attempts)
    won, lost = successes + 0.5, attempts - successes + 0.5
    assert rate.p == pytest.approx(p)
    assert rate.attempts == attempts
    assert share_below(rate.low, won=won, lost=lost) == pytest.approx(0.1, abs=1e-3)
    assert share_below(rate.high, won=won, lost=lost) == pytest.approx(0.9, abs=1e-3)


@given(st.integers(0, 200), st.integers(0, 200))
def test_the_interval_holds_the_middle_and_mirrors(won: int, lost: int) -> None:
    rate, mirrored = pass_rate(won, won + lost), pass_rate(lost, won + lost)
    assert 0 <= rate.low < rate.high <= 1
    assert rate.low == pytest.approx(1 - mirrored.high, abs=1e-9)
    assert 1 <= band_of(rate.p) <= 5


def test_more_attempts_narrow_the_interval() -> None:
    widths = [pass_rate(n // 2, n).high - pass_rate(n // 2, n).low for n in (2, 8, 32, 128)]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(("successes", "attempts"), [(-1, 2), (3, 2), (1, 0)])
def test_impossible_counts_are_refused(successes: int, attempts: int) -> None:
    with pytest.raises(ValueError, match="is impossible"):
        pass_rate(successes, attempts)


@pytest.mark.parametrize(
    ("p", "band"),
    [(1, 1), (0.9, 1), (0.8999, 2), (0.75, 2), (0.7499, 3), (0.4, 3), (0.3999, 4), (0.15, 4), (0.1499, 5), (0, 5)],
)
def test_a_band_begins_where_the_one_before_ends(p: float, band: int) -> None:
    assert band_of(p) == band


@pytest.mark.parametrize(("successes", "attempts", "band"), [(4, 4, 1), (2, 2, 2), (1, 2, 3), (1, 9, 4), (0, 3, 5)])
def test_counts_on_a_boundary_fall_on_its_easier_side(successes: int, attempts: int, band: int) -> None:
    assert band_of(pass_rate(successes, attempts).p) == band


@pytest.mark.parametrize(
    ("grade", "p", "n", "band"),
    [(None, 0.95, 3, 1), (4, 0.95, 3, 4), (None, 0.5, 0, None), (2, 0.5, 0, 2), (2.5, 0.5, 0, 3), (4.5, 0.9, 9, 5)],
)
def test_a_human_grade_goes_before_the_pass_rate(grade: float | None, p: float, n: int, band: int | None) -> None:
    assert combine_band(grade, p, n) == band


def test_grades_two_apart_need_a_decision() -> None:
    assert grades_disagree([1, 2, 3])
    assert not grades_disagree([1, 2, 2])
    assert not grades_disagree([5])
    assert not grades_disagree([])


def test_a_grade_two_bands_from_the_pass_rate_is_flagged() -> None:
    assert bands_disagree(1, 0.5, 8)
    assert bands_disagree(5, 0.5, 8)
    assert not bands_disagree(2, 0.5, 8)
    assert not bands_disagree(5, 0.95, 0)
    assert not bands_disagree(None, 0.95, 8)


def test_every_band_has_its_anchor() -> None:
    assert tuple(ANCHORS) == BANDS
