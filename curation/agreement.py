"""How far people who answered the same items agree: Cohen's kappa for two of them, Krippendorff's alpha for more.

Answers are given as whole numbers, the place of the value in its scale. Whatever cannot be computed is None with a
reason in words, never NaN. numpy and the packages are imported where they are used: no page waits for them in vain.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Counts = np.ndarray[Any, np.dtype[np.int64]]

RESAMPLES = 1000
"""Bootstrap samples over items behind each 95 % interval."""

_AT_ONCE = 100
_TOO_FEW = "Fewer than two items have two answers."
_ONE_VALUE = "Every answer is the same, so nothing tells agreement from chance."


@dataclass(frozen=True)
class Answer:
    """What one reviewer (any number that tells people apart) said of one item: the place of the value in its scale."""

    item: int
    reviewer: int
    place: int


@dataclass(frozen=True)
class Measured:
    """Agreement on one scale.

    `method` is "kappa" or "alpha", 1 is perfect and 0 what chance would give; `low` and `high` hold 95 % of the
    bootstrap. `same` is the share of pairs of answers to one item that are equal, 0 to 1. `reason` says in words why
    a number is missing. `reviewers` are those who met somebody at an item, smallest first.
    """

    method: str
    value: float | None
    low: float | None
    high: float | None
    same: float | None
    items: int
    reviewers: tuple[int, ...]
    reason: str = ""


def measure_agreement(answers: Iterable[Answer], *, scale: int, ordinal: bool, seed: int = 0) -> Measured:
    """Agreement on a scale of `scale` values, lowest first where it is ordinal.

    Kappa where exactly two people met at items (quadratic weights for ordinal scales), else alpha.
    """
    import numpy as np

    met = keep_met(answers)
    reviewers = tuple(sorted({answer.reviewer for answer in met}))
    counts = count_values(met, scale)
    method = "kappa" if len(reviewers) == 2 else "alpha"
    given = counts.sum(axis=1)
    pairs = float((given * (given - 1)).sum())
    same = float((counts * (counts - 1)).sum()) / pairs if pairs else None

    def without(reason: str) -> Measured:
        return Measured(method if len(reviewers) > 1 else "", None, None, None, same, len(counts), reviewers, reason)

    if len(counts) < 2:
        return without(_TOO_FEW)
    if int((counts.sum(axis=0) > 0).sum()) < 2:
        return without(_ONE_VALUE)
    chance = np.random.default_rng(seed)
    if method == "kappa":
        table = cross_answers(met, first=reviewers[0], second=reviewers[1], scale=scale)
        value, samples = _kappa(table, ordinal), _resample_kappa(table, ordinal, chance)
    else:
        value, samples = _alpha(counts, ordinal), _resample_alpha(counts, ordinal, chance)
    known = samples[~np.isnan(samples)]
    if len(known) < RESAMPLES / 2:
        return Measured(method, value, None, None, same, len(counts), reviewers, "Too few items for an interval.")
    low, high = (float(bound) for bound in np.quantile(known, [0.025, 0.975]))
    return Measured(method, value, min(low, value), max(high, value), same, len(counts), reviewers)


def keep_met(answers: Iterable[Answer]) -> list[Answer]:
    """The answers to items that two people or more answered, by item and reviewer."""
    by_item: dict[int, dict[int, Answer]] = defaultdict(dict)
    for answer in answers:
        by_item[answer.item][answer.reviewer] = answer
    return [
        by_reviewer[reviewer]
        for _, by_reviewer in sorted(by_item.items())
        if len(by_reviewer) > 1
        for reviewer in sorted(by_reviewer)
    ]


def count_values(answers: Sequence[Answer], scale: int) -> Counts:
    """How often each value was given to each item: items x scale."""
    import numpy as np

    rows = {item: row for row, item in enumerate(dict.fromkeys(answer.item for answer in answers))}
    counts = np.zeros((len(rows), scale), dtype=np.int64)
    if answers:
        np.add.at(counts, ([rows[answer.item] for answer in answers], [answer.place for answer in answers]), 1)
    return counts


def cross_answers(answers: Iterable[Answer], *, first: int, second: int, scale: int) -> Counts:
    """Items by what one person said (rows) and what another said (columns): scale x scale."""
    by_person = _sort_by_person(answers)
    return _cross(by_person.get(first, {}), by_person.get(second, {}), scale)


def _sort_by_person(answers: Iterable[Answer]) -> dict[int, dict[int, int]]:
    """The place that each person gave to each item."""
    by_person: dict[int, dict[int, int]] = defaultdict(dict)
    for answer in answers:
        by_person[answer.reviewer][answer.item] = answer.place
    return by_person


def _cross(ours: dict[int, int], theirs: dict[int, int], scale: int) -> Counts:
    import numpy as np

    table = np.zeros((scale, scale), dtype=np.int64)
    both = ours.keys() & theirs.keys()
    if both:
        np.add.at(table, ([ours[item] for item in both], [theirs[item] for item in both]), 1)
    return table


def cross_everybody(answers: Sequence[Answer], scale: int) -> Counts:
    """Items on which somebody gave the row's value and somebody else the column's: scale x scale, symmetric."""
    counts = count_values(keep_met(answers), scale)
    given = (counts > 0).astype("int64")
    table: Counts = given.T @ given
    for value in range(scale):
        table[value, value] = int((counts[:, value] > 1).sum())
    return table


def compare_reviewers(
    answers: Sequence[Answer], *, scale: int, ordinal: bool, most: int = 12
) -> tuple[list[int], dict[tuple[int, int], tuple[float | None, int]]]:
    """Kappa, and the number of items both answered, for any two of the `most` people with the most answers."""
    by_person = _sort_by_person(keep_met(answers))
    people = sorted(sorted(by_person, key=lambda person: (-len(by_person[person]), person))[:most])
    found = {}
    for first, second in combinations(people, 2):
        table = _cross(by_person[first], by_person[second], scale)
        items = int(table.sum())
        defined = items > 1 and int(((table.sum(axis=0) + table.sum(axis=1)) > 0).sum()) > 1
        found[first, second] = (float(_weigh_tables(table[None], ordinal)[0]) if defined else None, items)
    return people, found


def _kappa(table: Counts, ordinal: bool) -> float:
    import numpy as np
    from sklearn.metrics import cohen_kappa_score

    rows, columns = np.nonzero(table)
    kappa = cohen_kappa_score(
        rows,
        columns,
        labels=np.arange(len(table)),
        weights="quadratic" if ordinal else None,
        sample_weight=table[rows, columns],
    )
    return float(kappa)


def _resample_kappa(table: Counts, ordinal: bool, chance: np.random.Generator) -> Floats:
    """Kappa of resampled items; NaN where a sample holds one value only."""
    size = len(table)
    plain = min(table, table.T, key=lambda one: one.tolist())  # whoever is called first, the samples are the same
    drawn = chance.multinomial(int(plain.sum()), plain.ravel() / plain.sum(), RESAMPLES)
    return _weigh_tables(drawn.reshape(RESAMPLES, size, size), ordinal)


def _weigh_tables(tables: Counts, ordinal: bool) -> Floats:
    """Kappa of each of many tables; NaN where both sides gave one and the same value."""
    import numpy as np

    places = np.arange(tables.shape[1])
    apart = (places[:, None] - places[None, :]) ** 2
    weights = apart if ordinal else (apart > 0).astype(int)
    rows, columns, total = tables.sum(axis=2), tables.sum(axis=1), tables.sum(axis=(1, 2))
    seen = (tables * weights).sum(axis=(1, 2)) * total
    expected = np.einsum("bi,bj,ij->b", rows, columns, weights)
    return _one_minus(seen, expected)


def _alpha(counts: Counts, ordinal: bool) -> float:
    import krippendorff

    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="ordinal" if ordinal else "nominal"))


def _resample_alpha(counts: Counts, ordinal: bool, chance: np.random.Generator) -> Floats:
    """Alpha of resampled items; NaN where a sample holds one value only.

    Items with the same answers are drawn together, as often as they would be one by one, so that 10,000 items cost
    little more than the few ways in which they were answered.
    """
    import numpy as np

    patterns, often = np.unique(counts, axis=0, return_counts=True)
    given = patterns.sum(axis=1)
    size = counts.shape[1]
    met = patterns[:, :, None] * patterns[:, None, :] - patterns[:, :, None] * np.eye(size, dtype=np.int64)
    met = (met / (given - 1)[:, None, None]).reshape(len(patterns), size * size)
    samples = []
    for _ in range(0, RESAMPLES, _AT_ONCE):
        drawn = chance.multinomial(int(often.sum()), often / often.sum(), _AT_ONCE)
        coincidences = (drawn @ met).reshape(_AT_ONCE, size, size)
        totals = coincidences.sum(axis=2)
        apart = _order_distances(totals) if ordinal else np.broadcast_to(1 - np.eye(size), coincidences.shape)
        seen = (coincidences * apart).sum(axis=(1, 2)) * (totals.sum(axis=1) - 1)
        expected = np.einsum("bi,bj,bij->b", totals, totals, apart)
        samples.append(_one_minus(seen, expected))
    return np.concatenate(samples)


def _order_distances(totals: Floats) -> Floats:
    """Krippendorff's squared distance of ordinal values, by the answers between them: samples x scale x scale."""
    import numpy as np

    summed = np.cumsum(totals, axis=1)
    middle = summed - totals / 2
    distances: Floats = (middle[:, :, None] - middle[:, None, :]) ** 2
    return distances


def _one_minus(seen: Any, expected: Any) -> Floats:
    import numpy as np

    ratio = np.full(len(expected), np.nan)
    np.divide(seen, expected, out=ratio, where=expected > 1e-12)
    return 1 - ratio
