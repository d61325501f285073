"""Agreement of people who answered the same items: published values, what must not matter, and what is undefined."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Iterator
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.agreement import Answer, Measured, compare_reviewers, cross_answers, cross_everybody, measure_agreement

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", page 8: 4 observers, 12 units.
PUBLISHED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


@pytest.fixture(autouse=True)
def no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def read_table(rows: list[list[int | None]]) -> list[Answer]:
    return [
        Answer(item, reviewer, value - 1)
        for reviewer, row in enumerate(rows)
        for item, value in enumerate(row)
        if value is not None
    ]


def fill_table(table: list[list[int]]) -> list[Answer]:
    """Items of two people as a confusion table counts them."""
    cells = [(a, b) for a, row in enumerate(table) for b, number in enumerate(row) for _ in range(number)]
    return [answer for item, (a, b) in enumerate(cells) for answer in (Answer(item, 1, a), Answer(item, 2, b))]


def test_alpha_is_the_published_one() -> None:
    nominal = measure_agreement(read_table(PUBLISHED), scale=5, ordinal=False)
    ordinal = measure_agreement(read_table(PUBLISHED), scale=5, ordinal=True)
    assert (nominal.method, nominal.items) == ("alpha", 11)
    assert nominal.value == pytest.approx(0.743, abs=5e-4)
    assert ordinal.value == pytest.approx(0.815, abs=5e-4)


def test_kappa_is_the_published_one() -> None:
    # Cohen's example of two readers of 50 grant proposals: 20 and 15 agreed, 5 and 10 not.
    found = measure_agreement(fill_table([[20, 5], [10, 15]]), scale=2, ordinal=False)
    assert (found.method, found.items, found.same) == ("kappa", 50, 0.7)
    assert found.value == pytest.approx(0.4)
    assert found.low is not None
    assert found.high is not None
    # The large-sample 95 % interval of this table is 0.4 +- 0.25.
    assert (found.low, found.high) == pytest.approx((0.15, 0.65), abs=0.04)


def test_quadratic_kappa_forgives_neighbours() -> None:
    near = fill_table([[10, 5, 0], [5, 10, 5], [0, 5, 10]])
    far = fill_table([[10, 0, 5], [0, 20, 0], [5, 0, 10]])
    weighted = measure_agreement(near, scale=3, ordinal=True).value
    assert weighted is not None
    assert weighted > (measure_agreement(near, scale=3, ordinal=False).value or 0)
    assert weighted > (measure_agreement(far, scale=3, ordinal=True).value or 0)
    # 1 - sum(w O) / sum(w E), by hand: 1 - 20 / (15*15*2*4 + 20*15*4) * 50
    assert weighted == pytest.approx(1 - 20 * 50 / (15 * 15 * 2 * 4 + 15 * 20 * 4))


@pytest.mark.parametrize("people", [2, 4])
def test_planted_disagreement_is_found_again(people: int) -> None:
    """Where everybody errs at random with chance e, the expected agreement beyond chance is (1 - e) squared."""
    chance = random.Random(7)
    answers = []
    for item in range(3000):
        truth = chance.randrange(4)
        for person in range(people):
            answers.append(Answer(item, person, truth if chance.random() > 0.2 else chance.randrange(4)))
    found = measure_agreement(answers, scale=4, ordinal=False)
    assert found.value == pytest.approx(0.64, abs=0.02)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.64 < found.high
    assert found.high - found.low < 0.06


Cells = st.tuples(st.integers(0, 7), st.integers(0, 4), st.integers(0, 3))


@settings(max_examples=40, deadline=None)
@given(st.lists(Cells, max_size=40), st.booleans(), st.permutations(range(5)))
def test_who_is_called_what_changes_nothing_and_nothing_is_ever_nan(
    cells: list[tuple[int, int, int]], ordinal: bool, names: list[int]
) -> None:
    answers = [Answer(*cell) for cell in {cell[:2]: cell for cell in cells}.values()]
    renamed = [Answer(answer.item, names[answer.reviewer], answer.place) for answer in answers]
    one = measure_agreement(answers, scale=4, ordinal=ordinal)
    other = measure_agreement(renamed, scale=4, ordinal=ordinal)
    for name in ("value", "low", "high", "same"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert (mine is None) == (theirs is None)
        assert mine is None or (math.isfinite(mine) and mine == pytest.approx(theirs))
    assert one.value is not None or one.reason
    table = cross_everybody(answers, 4)
    assert (table == table.T).all()
    assert (table == cross_everybody(renamed, 4)).all()


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([], "Fewer than two items"),
        ([Answer(1, 1, 0), Answer(2, 2, 0)], "Fewer than two items"),
        ([Answer(1, 1, 0), Answer(1, 2, 1)], "Fewer than two items"),
        ([Answer(item, person, 1) for item in range(9) for person in range(2)], "Every answer is the same"),
        ([Answer(item, person, 1) for item in range(9) for person in range(3)], "Every answer is the same"),
    ],
)
def test_what_cannot_be_computed_says_why(answers: list[Answer], words: str) -> None:
    found = measure_agreement(answers, scale=3, ordinal=True)
    assert isinstance(found, Measured)
    assert (found.value, found.low, found.high) == (None, None, None)
    assert words in found.reason


def test_two_people_who_never_say_the_same_have_no_agreement_beyond_chance() -> None:
    found = measure_agreement(fill_table([[0, 9], [0, 0]]), scale=2, ordinal=False)
    assert found.value == pytest.approx(0.0)


def test_any_two_of_many_are_compared_and_perfect_friends_stand_out() -> None:
    chance = random.Random(3)
    answers = []
    for item in range(200):
        place = chance.randrange(3)
        answers += [Answer(item, 1, place), Answer(item, 2, place), Answer(item, 3, chance.randrange(3))]
    people, found = compare_reviewers(answers, scale=3, ordinal=False)
    assert people == [1, 2, 3]
    assert found[1, 2][0] == pytest.approx(1.0)
    assert found[1, 2][1] == 200
    assert abs(found[1, 3][0] or 0) < 0.2
    assert int(cross_answers(answers, first=1, second=2, scale=3).trace()) == 200


def test_ten_thousand_items_take_less_than_a_second() -> None:
    chance = random.Random(1)
    answers = [Answer(item, person, chance.randrange(5)) for item in range(10_000) for person in range(3)]
    measure_agreement(answers[:30], scale=5, ordinal=True)  # the packages are loaded
    began = perf_counter()
    measure_agreement(answers, scale=5, ordinal=True)
    assert perf_counter() - began < 1
