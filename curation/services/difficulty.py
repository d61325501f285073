"""Keeping each task's attempts, pass rate, human grade and band true to its attempts and reviews."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connection, transaction

from curation.difficulty import DEMONSTRATIONS, bands_disagree, combine_band, pass_rate
from curation.models import Project

# Crashed attempts and those of unknown outcome say nothing of a policy, and demonstrations are no policy's attempts.
COUNTED = f"success IS NOT NULL AND completion <> 'crashed' AND source NOT IN {DEMONSTRATIONS}"

# The rows are locked first, so that of two reviews submitted at once the later one counts with the earlier in view.
# Not FOR UPDATE: that would wait for imports that add attempts at these tasks, and they for it. An array stands in a
# subselect as in decisions.py.
LOCK = """
SELECT id FROM curation_task
WHERE project_id = %s AND id = ANY ((SELECT %s::bigint[])::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""

COUNT = f"""
SELECT task.id, task.attempts, task.successes, task.pass_rate, task.pass_low, task.pass_high, task.logit,
    task.human_grade, task.grades_apart, task.bands_apart, task.band,
    counted.attempts, counted.successes, coalesce(decided.grade, graded.grade),
    decided.grade IS NULL AND coalesce(graded.most - graded.least >= 2, false)
FROM curation_task AS task
CROSS JOIN LATERAL (
    SELECT count(*) AS attempts, count(*) FILTER (WHERE success) AS successes
    FROM curation_trajectory WHERE task_id = task.id AND {COUNTED}
) AS counted
CROSS JOIN LATERAL (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY review.grade) AS grade,
        min(review.grade) AS least, max(review.grade) AS most
    FROM curation_review AS review JOIN curation_trajectory AS attempt ON attempt.id = review.trajectory_id
    LEFT JOIN curation_queueitem AS item ON item.id = review.item_id
    WHERE attempt.task_id = task.id AND review.submitted_at IS NOT NULL AND review.grade IS NOT NULL
        AND item.gold IS NOT TRUE
) AS graded
LEFT JOIN LATERAL (
    SELECT decision.grade
    FROM curation_decision AS decision JOIN curation_trajectory AS attempt ON attempt.id = decision.trajectory_id
    WHERE attempt.task_id = task.id AND decision.withdrawn_at IS NULL AND decision.grade IS NOT NULL
    ORDER BY decision.id DESC LIMIT 1
) AS decided ON true
WHERE task.project_id = %s AND task.id = ANY ((SELECT %s::bigint[])::bigint[])
"""  # noqa: S608  # made of constants

WRITE = """
UPDATE curation_task AS task
SET attempts = fresh.attempts, successes = fresh.successes, pass_rate = fresh.pass_rate, pass_low = fresh.pass_low,
    pass_high = fresh.pass_high, logit = fresh.logit, human_grade = fresh.grade, grades_apart = fresh.grades_apart,
    bands_apart = fresh.bands_apart, band = fresh.band
FROM unnest(%s::bigint[], %s::int[], %s::int[], %s::float8[], %s::float8[], %s::float8[], %s::float8[], %s::float8[],
    %s::bool[], %s::bool[], %s::smallint[])
    AS fresh(id, attempts, successes, pass_rate, pass_low, pass_high, logit, grade, grades_apart, bands_apart, band)
WHERE task.id = fresh.id
"""


class Measured(NamedTuple):
    """The pass rate of a task, its 80 % interval, and its difficulty where a Rasch model gave them."""

    p: float
    low: float
    high: float
    logit: float | None


class Row(NamedTuple):
    """What is stored of a task's difficulty, in the order of WRITE."""

    pk: int
    attempts: int
    successes: int
    pass_rate: float | None
    pass_low: float | None
    pass_high: float | None
    logit: float | None
    human_grade: float | None
    grades_apart: bool
    bands_apart: bool
    band: int | None


def update_difficulty(project: Project, task_ids: Iterable[int]) -> None:
    """Recompute the difficulty of these tasks of a project whole; ids of other projects are passed over.

    The human grade is what a curator decided last, else the median of the submitted grades of all attempts at the
    task; grades of gold items do not count. A pass rate that a Rasch model gave stays until the job fits it anew, since
    it depends on all other tasks.
    """
    with transaction.atomic(savepoint=False):
        lock_and_write(project, task_ids, None)


def write_changes(project: Project, task_ids: Sequence[int], fitted: Mapping[int, Measured]) -> int:
    """The same for some tasks whose pass rates were fitted; only those that changed are locked. Returns their number.

    A task without a fitted rate has the plain one.
    """
    changed = [new.pk for new, old in _compute(project, task_ids, fitted) if new != old]
    if not changed:
        return 0
    with transaction.atomic():
        return lock_and_write(project, changed, fitted)


def lock_and_write(project: Project, task_ids: Iterable[int], fitted: Mapping[int, Measured] | None) -> int:
    """Recompute tasks with their rows locked, and write those that changed; returns how many. In a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [project.pk, sorted(set(task_ids))])
        locked = [pk for (pk,) in cursor.fetchall()]
        changed = [new for new, old in _compute(project, locked, fitted) if new != old]
        if changed:
            cursor.execute(WRITE, [list(column) for column in zip(*changed, strict=True)])
    return len(changed)


def _compute(project: Project, task_ids: Sequence[int], fitted: Mapping[int, Measured] | None) -> list[tuple[Row, Row]]:
    """What each task should say, and what it says."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [project.pk, list(task_ids)])
        return [_judge(row, fitted) for row in cursor.fetchall()]


def _judge(row: tuple[Any, ...], fitted: Mapping[int, Measured] | None) -> tuple[Row, Row]:
    old = Row(*row[:11])
    attempts, successes, grade, grades_apart = row[11:]
    measured = _measure(old, attempts, successes, fitted)
    p = measured.p if measured else 0.0
    new = Row(
        pk=old.pk,
        attempts=attempts,
        successes=successes,
        pass_rate=measured.p if measured else None,
        pass_low=measured.low if measured else None,
        pass_high=measured.high if measured else None,
        logit=measured.logit if measured else None,
        human_grade=grade,
        grades_apart=grades_apart,
        bands_apart=bands_disagree(grade, p, attempts),
        band=combine_band(grade, p, attempts),
    )
    return new, old


def _measure(old: Row, attempts: int, successes: int, fitted: Mapping[int, Measured] | None) -> Measured | None:
    if not attempts:
        return None
    if fitted is not None and old.pk in fitted:
        return fitted[old.pk]
    if fitted is None and old.logit is not None:
        p, low, high = old.pass_rate, old.pass_low, old.pass_high
        if p is not None and low is not None and high is not None:
            return Measured(p, low, high, old.logit)
    plain = pass_rate(successes, attempts)
    return Measured(plain.p, plain.low, plain.high, None)
