"""A Rasch model of tasks and policies: what an attempt says of a task, given who made it. Pure.

The chance that policy j solves task i is 1 / (1 + exp(difficulty_i - ability_j)); so the success of a strong agent says
less than that of a weak one. A task's pass rate is then the chance of the average policy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.difficulty import INTERVAL

FEWEST_POLICIES = 3
CELLS = 2_000_000
"""Numbers held at once where each task meets each policy."""

Floats = np.ndarray[Any, np.dtype[np.float64]]
Whole = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Cells:
    """Who attempted what how often: one row for each task and policy that met.

    `task` and `policy` are places from 0 on, every one of which occurs; `attempts` are at least 1 and `successes` at
    most as many.
    """

    task: Whole
    policy: Whole
    attempts: Whole
    successes: Whole


@dataclass(frozen=True)
class Fit:
    """Difficulties and abilities in logits, 0 the average policy; the chance of that policy at each task, and the 80 %
    interval of it from `low` to `high`.

    `group` says of each policy which others it can be compared with: those it is joined to by tasks that both
    attempted. Each group has its own average.
    """

    difficulty: Floats
    p: Floats
    low: Floats
    high: Floats
    ability: Floats
    group: Whole


def fit_rasch(cells: Cells, *, watch: Callable[[], None] | None = None) -> Fit:
    """Fit by penalised maximum likelihood, with L-BFGS; `watch` is called at every step of it.

    The penalty adds half a success and half a failure to each task, spread over its policies as its attempts are: as
    Jeffreys' prior does, so that policies of equal ability give (s + 1/2) / (n + 1), and a task that everybody or
    nobody solved stays finite. Abilities have the mean 0 in each group of policies that can be compared. The intervals
    come from the curvature, with what is not known of the abilities counted in.
    """
    from scipy.optimize import minimize  # slow to import: only jobs need it

    tasks, policies = int(cells.task.max()) + 1, int(cells.policy.max()) + 1
    tried = np.bincount(cells.task, cells.attempts, tasks)
    extra = cells.attempts / tried[cells.task]
    won, total = cells.successes + extra / 2, cells.attempts + extra
    group, centre = _find_groups(cells, tasks, policies)

    def loss(values: Floats) -> tuple[float, Floats]:
        logits = centre(values[tasks:])[cells.policy] - values[:tasks][cells.task]
        chance = _chance(logits)
        off = total * chance - won
        slopes = np.bincount(cells.task, -off, tasks), centre(np.bincount(cells.policy, off, policies).astype(float))
        return float(np.sum(total * np.logaddexp(0, logits) - won * logits)), np.concatenate(slopes)

    rate = (np.bincount(cells.task, cells.successes, tasks) + 0.5) / (tried + 1)
    start = np.concatenate([np.log1p(-rate) - np.log(rate), np.zeros(policies)])
    step = (lambda _: watch()) if watch else None
    options = {"maxiter": 2000, "maxfun": 4000, "gtol": 1e-6, "ftol": 1e-13, "maxcor": 20}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", callback=step, options=options)
    difficulty, ability = found.x[:tasks], centre(found.x[tasks:])
    spread = _measure_spread(cells, difficulty, ability, total)
    return Fit(
        difficulty=difficulty,
        p=_chance(-difficulty),
        low=_chance(-difficulty - spread),
        high=_chance(-difficulty + spread),
        ability=ability,
        group=group,
    )


def _chance(logits: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(logits / 2)))  # without overflow


def _find_groups(cells: Cells, tasks: int, policies: int) -> tuple[Whole, Callable[[Floats], Floats]]:
    """The group of each policy, and a function that takes the mean of each group off."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = tasks + policies
    graph = coo_array((np.ones(len(cells.task)), (cells.task, tasks + cells.policy)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    _, group = np.unique(labels[tasks:], return_inverse=True)
    members = np.bincount(group)

    def centre(values: Floats) -> Floats:
        return np.asarray(values - (np.bincount(group, values) / members)[group])

    return group, centre


def _measure_spread(cells: Cells, difficulty: Floats, ability: Floats, total: Floats) -> Floats:
    """Half the width of the 80 % interval of each difficulty, from the inverse of the curvature.

    Tasks meet only policies, so the curvature is two diagonals and what lies between them: its inverse needs no more
    than that of a square of policies.
    """
    from scipy.sparse import csr_array
    from scipy.special import ndtri

    tasks, policies = len(difficulty), len(ability)
    chance = _chance(ability[cells.policy] - difficulty[cells.task])
    weight = total * chance * (1 - chance)
    of_task = np.bincount(cells.task, weight, tasks)
    meets = csr_array((weight, (cells.task, cells.policy)), shape=(tasks, policies))
    scaled = csr_array((weight / of_task[cells.task], (cells.task, cells.policy)), shape=(tasks, policies))
    square = np.diag(np.bincount(cells.policy, weight, policies)) - (meets.T @ scaled).toarray()
    unknown = np.linalg.pinv(square, hermitian=True)
    variance = 1 / of_task
    step = max(1, CELLS // policies)
    for first in range(0, tasks, step):
        part = scaled[first : first + step]
        variance[first : first + step] += np.maximum(0, np.sum((part @ unknown) * part.toarray(), axis=1))
    return np.asarray(ndtri((1 + INTERVAL) / 2) * np.sqrt(variance))
