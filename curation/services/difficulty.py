"""Keeping each task's attempts, successes, human grade and band true to its attempts and reviews."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection, transaction

from curation.difficulty import combine_band
from curation.models import Project

# The rows are locked first, so that of two reviews submitted at once the later one counts with the earlier in view.
# Not FOR UPDATE: that would wait for imports that add attempts at these tasks, and they for it. An array stands in a
# subselect as in decisions.py.
LOCK = """
SELECT id FROM curation_task
WHERE project_id = %s AND id = ANY ((SELECT %s::bigint[])::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""

COUNT = """
SELECT task.id, counted.attempts, counted.successes, coalesce(decided.grade, graded.grade)
FROM unnest((SELECT %s::bigint[])) AS task(id)
CROSS JOIN LATERAL (
    SELECT count(*) AS attempts, count(*) FILTER (WHERE success) AS successes
    FROM curation_trajectory
    WHERE task_id = task.id AND success IS NOT NULL AND completion <> 'crashed'
) AS counted
CROSS JOIN LATERAL (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY review.grade) AS grade
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
"""

WRITE = """
UPDATE curation_task AS task
SET attempts = fresh.attempts, successes = fresh.successes, human_grade = fresh.grade, band = fresh.band
FROM unnest(%s::bigint[], %s::int[], %s::int[], %s::float8[], %s::smallint[])
    AS fresh(id, attempts, successes, grade, band)
WHERE task.id = fresh.id AND (task.attempts, task.successes, task.human_grade, task.band)
    IS DISTINCT FROM (fresh.attempts, fresh.successes, fresh.grade, fresh.band)
"""


def update_difficulty(project: Project, task_ids: Iterable[int]) -> None:
    """Recompute the difficulty of these tasks of a project whole; ids of other projects are passed over.

    Attempts that crashed, or whose outcome is unknown, do not count; the human grade is what a curator decided last,
    else the median of the submitted grades of all attempts at the task. Grades of gold items do not count.
    """
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute(LOCK, [project.pk, sorted(set(task_ids))])
        locked = [pk for (pk,) in cursor.fetchall()]
        if not locked:
            return
        cursor.execute(COUNT, [locked])
        rows = [
            (pk, attempts, successes, grade, combine_band(grade, (successes + 0.5) / (attempts + 1), attempts))
            for pk, attempts, successes, grade in cursor.fetchall()
        ]
        cursor.execute(WRITE, [list(column) for column in zip(*rows, strict=True)])
