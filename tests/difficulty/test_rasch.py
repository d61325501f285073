from __future__ import annotations

import numpy as np
import pytest

from curation.difficulty import pass_rate
from curation.rasch import Cells, Floats, fit_rasch


def draw(difficulty: Floats, ability: Floats, pairs: list[tuple[int, int]], *, attempts: int, seed: int = 0) -> Cells:
    """Attempts of policies at tasks, as the model says that they come out."""
    task, policy = (np.array(column) for column in zip(*pairs, strict=True))
    chance = 1 / (1 + np.exp(difficulty[task] - ability[policy]))
    tried = np.full(len(task), attempts)
    return Cells(task, policy, tried, np.random.default_rng(seed).binomial(tried, chance))


def everybody(tasks: int, policies: int) -> list[tuple[int, int]]:
    return [(task, policy) for task in range(tasks) for policy in range(policies)]


def count_plainly(cells: Cells) -> Floats:
    attempts, successes = np.bincount(cells.task, cells.attempts), np.bincount(cells.task, cells.successes)
    return np.asarray((successes + 0.5) / (attempts + 1))


def test_difficulties_and_abilities_are_recovered_from_simulated_attempts() -> None:
    difficulty = np.random.default_rng(1).normal(0, 1.5, 1000)
    ability = np.array([2.0, 0.5, -0.5, -2.0])
    fit = fit_rasch(draw(difficulty, ability, everybody(1000, 4), attempts=10))
    assert fit.ability == pytest.approx(ability, abs=0.15)
    assert fit.ability.sum() == pytest.approx(0, abs=1e-9)
    assert np.corrcoef(fit.difficulty, difficulty)[0, 1] > 0.95
    chance = 1 / (1 + np.exp(difficulty))
    assert np.mean(np.abs(fit.p - chance)) < 0.08
    assert 0.75 < np.mean((fit.low <= chance) & (chance <= fit.high)) < 0.87  # an interval of 80 %


def test_plain_counts_are_fooled_by_a_strong_policy_at_the_hard_tasks_alone_and_the_model_is_not() -> None:
    difficulty = np.concatenate([np.full(200, -1.5), np.full(200, 1.5)])
    strong, fair, weak = 0, 1, 2
    ability = np.array([3.0, 0.0, -3.0])
    pairs = [(task, weak if task < 200 else strong) for task in range(400)] + [(task, fair) for task in range(400)]
    cells = draw(difficulty, ability, pairs, attempts=4)
    fit, plain = fit_rasch(cells), count_plainly(cells)
    chance = 1 / (1 + np.exp(difficulty))
    easy, hard = slice(0, 200), slice(200, 400)
    assert plain[easy].mean() - plain[hard].mean() < 0.1  # in truth .82 and .18
    assert fit.p[easy].mean() - fit.p[hard].mean() > 0.5
    assert np.sqrt(np.mean((fit.p - chance) ** 2)) < 0.6 * np.sqrt(np.mean((plain - chance) ** 2))
    assert np.mean((fit.low <= chance) & (chance <= fit.high)) > 0.75


def test_policies_of_equal_ability_give_the_plain_pass_rate() -> None:
    tasks = [(0, 3), (1, 1), (2, 2), (3, 0)]
    cells = Cells(*np.array([(task, policy, 3, won) for task, won in tasks for policy in range(3)]).T)
    fit = fit_rasch(cells)
    assert fit.ability == pytest.approx(np.zeros(3), abs=1e-4)
    assert fit.p == pytest.approx([pass_rate(3 * won, 9).p for _, won in tasks], abs=1e-3)


def test_tasks_and_policies_that_always_or_never_succeed_stay_finite() -> None:
    rows = [(task, policy, 5, 5 if policy == 0 or task == 0 else 0) for task in range(3) for policy in range(3)]
    fit = fit_rasch(Cells(*np.array(rows).T))
    for values in (fit.difficulty, fit.ability, fit.p, fit.low, fit.high):
        assert np.isfinite(values).all()
    assert (fit.low < fit.p).all()
    assert (fit.p < fit.high).all()
    assert fit.difficulty[0] == fit.difficulty.min()


def test_an_interval_is_narrower_the_more_attempts_there_are() -> None:
    rows = [(0, policy, 2, 1) for policy in range(3)] + [(1, policy, 50, 25) for policy in range(3)]
    fit = fit_rasch(Cells(*np.array(rows).T))
    assert (fit.high - fit.low)[1] < 0.5 * (fit.high - fit.low)[0]


def test_policies_that_share_no_task_are_not_compared() -> None:
    """Each group has its own average: nothing says which of them is the stronger one."""
    rows = [(0, 0, 4, 4), (0, 1, 4, 2), (1, 2, 4, 1), (2, 2, 4, 3)]
    fit = fit_rasch(Cells(*np.array(rows).T))
    assert fit.group.tolist() == [0, 0, 1]
    assert fit.ability[:2].sum() == pytest.approx(0, abs=1e-9)
    assert fit.ability[2] == pytest.approx(0, abs=1e-9)
    assert fit.p[1:] == pytest.approx([pass_rate(1, 4).p, pass_rate(3, 4).p], abs=1e-3)


def test_whoever_watches_is_called_while_it_fits() -> None:
    steps: list[int] = []
    ability = np.array([1.0, 0.0, -1.0])
    fit_rasch(draw(np.zeros(50), ability, everybody(50, 3), attempts=2), watch=lambda: steps.append(1))
    assert steps
