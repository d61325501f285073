"""Fitting the difficulty of 100,000 tasks, against the plain count of their attempts in the same database."""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.db import connection

from curation.models import DifficultyFit, JobState, Project, Task
from curation.services.difficulty_fits import COUNT_CELLS, queue_fit, run_fit
from tests.bench.figures import Figure
from tests.factories import make_project, make_user

TASKS = 100_000
POLICIES = 4
ATTEMPTS = 5
"""Of each policy at each task."""

# The easier the task and the stronger the policy, the more attempts succeed.
FILL = """
INSERT INTO curation_task (project_id, key, dataset, fingerprint, instruction, attempts, successes, grades_apart,
    bands_apart)
SELECT %(project)s, 'task-' || n, '', repeat('f', 64), 'Do the thing.', 0, 0, false, false
FROM generate_series(1, %(tasks)s) AS n;
INSERT INTO curation_trajectory (project_id, task_id, source, model, success, completion, content_hash, step_count,
    tool_call_count, character_count, agent_character_count, error_count, unknown_tool_count, bad_argument_count,
    unreadable_count, loop_length, context_overflow, status, head_number, tags, created_at)
SELECT %(project)s, first.id + n %% %(tasks)s, 'self-exploration', 'policy-' || policy,
    random() < 1 / (1 + exp((n %% %(tasks)s) * 6.0 / %(tasks)s - 3 - policy)), 'completed', n || ':' || policy,
    14, 12, 2000, 500, 0, 0, 0, 0, 0, false, 'unreviewed', 0, '{}', now()
FROM generate_series(1, %(tasks)s * %(attempts)s) AS n, generate_series(-1, %(policies)s - 2) AS policy,
    (SELECT min(id) AS id FROM curation_task WHERE project_id = %(project)s) AS first;
ANALYZE;
"""


def measure() -> Iterator[Figure]:
    project = make_project(make_user("lead"))
    with connection.cursor() as cursor:
        size = {"project": project.pk, "tasks": TASKS, "attempts": ATTEMPTS, "policies": POLICIES}
        cursor.execute(FILL, size)
    floor = count(project)
    job = queue_fit(project)
    begun = time.perf_counter()
    run_fit(job.pk)
    taken = time.perf_counter() - begun
    check(job)
    yield Figure("fit_100k", round(taken, 2), "s", round(floor, 2))


def count(project: Project) -> float:
    """Seconds that the plain aggregate of the counts takes, when what it reads has been read before."""
    taken = 0.0
    for _ in range(2):
        begun = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute(COUNT_CELLS, [project.pk])
            cursor.fetchall()
        taken = time.perf_counter() - begun
    return taken


def check(job: DifficultyFit) -> None:
    """Every task has what the model says."""
    job.refresh_from_db()
    rows = Task.objects.filter(project=job.project, logit__isnull=False, band__isnull=False)
    fitted = rows.filter(attempts=POLICIES * ATTEMPTS).count()
    if job.state != JobState.DONE or (job.changed, fitted) != (TASKS, TASKS):
        raise SystemExit(f"{job.state}: {job.error}; {job.changed} of {TASKS} tasks changed, {fitted} are fitted")
