"""Confidence from judgements (curation.preferences)."""

from __future__ import annotations

import math
import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.preferences import Comparison, fit_strengths, posterior_share, win_probability


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_order_is_found_again(seed: int) -> None:
    draw = random.Random(seed)
    planted = {number * 7: number * 1.2 for number in range(6)}
    comparisons = []
    for one, other in combinations(planted, 2):
        for _ in range(40):
            won = draw.random() < 1 / (1 + math.exp(planted[other] - planted[one]))
            comparisons.append(Comparison(one, other) if won else Comparison(other, one))
    fitted = fit_strengths(comparisons)
    assert sorted(fitted, key=lambda thing: fitted[thing]) == list(planted)
    for one, other in combinations(planted, 2):
        expected = 1 / (1 + math.exp(planted[one] - planted[other]))
        assert win_probability(fitted, other, one) == pytest.approx(expected, abs=0.2)


def test_what_was_never_compared_with_one_another_is_ordered_by_what_both_met() -> None:
    fitted = fit_strengths([Comparison(1, 2)] * 3 + [Comparison(2, 3)] * 3)
    over = win_probability(fitted, 1, 3)
    assert over is not None
    assert over > (win_probability(fitted, 1, 2) or 0) > 0.5
    assert win_probability(fitted, 1, 4) is None


def test_one_judgement_says_about_the_same_alone_and_fitted() -> None:
    alone = posterior_share([Comparison(1, 2)], 1)
    assert alone == pytest.approx(2 / 3)
    assert win_probability(fit_strengths([Comparison(1, 2)]), 1, 2) == pytest.approx(2 / 3, abs=0.01)
    assert posterior_share([], 1) is None
    assert fit_strengths([]) == {}


def test_ties_alone_leave_it_open() -> None:
    ties = [Comparison(1, 2, tie=True), Comparison(3, 1, tie=True)]
    assert win_probability(fit_strengths(ties), 1, 2) == pytest.approx(0.5)
    assert posterior_share(ties[:1], 1) == 0.5


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(5, 9), st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_any_judgements_give_probabilities_that_add_up(judged: list[tuple[int, int, bool, bool]]) -> None:
    comparisons = [
        Comparison(one, other, tie) if won else Comparison(other, one, tie) for one, other, won, tie in judged
    ]
    fitted = fit_strengths(comparisons)
    mirrored = fit_strengths([Comparison(loser, winner, tie) for winner, loser, tie in comparisons])
    for comparison in comparisons:
        over = win_probability(fitted, comparison.winner, comparison.loser)
        under = win_probability(fitted, comparison.loser, comparison.winner)
        assert over is not None
        assert under is not None
        assert 0 < over < 1
        assert over + under == pytest.approx(1)
        assert win_probability(mirrored, comparison.winner, comparison.loser) == pytest.approx(under, abs=1e-3)
