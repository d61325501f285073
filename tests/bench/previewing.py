"""Previewing a recipe over 100,000 trajectories, against reading the narrow rows that it is told from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

from django.db import connection

from curation.models import Project
from curation.permissions import Access
from curation.recipe import DatasetRecipe, read_recipe
from curation.selectors.previews import preview_recipe
from tests.bench.figures import Figure
from tests.factories import make_project, make_user, owner_access

TASKS = 25_000
ATTEMPTS = 4
TIMES = 5
RECIPES: dict[str, dict[str, Any]] = {
    "preview_plain": {"kind": "sft"},
    "preview_target": {
        "kind": "sft",
        "most_per_task": 2,
        "target": "uniform",
        "reach": ["quotas", "weights"],
        "evaluation": {"tasks": [f"task-{number}" for number in range(1, 200)], "similarity": 0.8},
    },
}
FILL = """
INSERT INTO curation_task (project_id, key, dataset, fingerprint, instruction, attempts, successes, grades_apart,
    bands_apart, band, pass_rate)
SELECT %(project)s, 'task-' || n, '', encode(sha256(n::text::bytea), 'hex'),
    'Find order ' || n || ' of customer ' || md5(n::text) || ' and send it back to where it came from.', 4, 2, false,
    false, 1 + n %% 5, 0.5
FROM generate_series(1, %(tasks)s) AS n;
INSERT INTO curation_trajectory (project_id, task_id, source, model, success, completion, content_hash, step_count,
    tool_call_count, character_count, agent_character_count, error_count, unknown_tool_count, bad_argument_count,
    unreadable_count, loop_length, context_overflow, status, head_number, tags, created_at)
SELECT %(project)s, first.id + n %% %(tasks)s, 'self-exploration', 'policy', n %% 3 > 0, 'completed', n::text,
    14, 12, 2000, 500 + n %% 1000, 0, 0, 0, 0, 0, false,
    CASE WHEN n %% 4 = 0 THEN 'rejected' WHEN n %% 20 = 1 THEN 'unreviewed' ELSE 'accepted' END, 0, '{}', now()
FROM generate_series(1, %(tasks)s * %(attempts)s) AS n,
    (SELECT min(id) AS id FROM curation_task WHERE project_id = %(project)s) AS first;
ANALYZE;
"""
FLOOR = """
SELECT t.id, t.task_id, t.status, t.success, t.source, t.completion, t.head_number, t.agent_character_count, k.key,
    k.fingerprint, k.band
FROM curation_trajectory t JOIN curation_task k ON k.id = t.task_id WHERE t.project_id = %s
"""


def measure() -> Iterator[Figure]:
    project = make_project(make_user("lead"))
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"project": project.pk, "tasks": TASKS, "attempts": ATTEMPTS})
    access = owner_access(project)
    floor = time_often(lambda: read(project))
    for name, plain in RECIPES.items():
        recipe = read_recipe(plain)
        check(access, recipe)
        yield Figure(name, round(time_often(partial(preview_recipe, access, recipe)), 2), "s", floor)


def read(project: Project) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FLOOR, [project.pk])
        cursor.fetchall()


def time_often(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return round(median(taken), 3)


def check(access: Access, recipe: DatasetRecipe) -> None:
    """Every trajectory is either taken or left out."""
    told = preview_recipe(access, recipe)
    rows = told.train.rows + told.held_out.rows + sum(line.rows for line in told.left_out)
    if rows != TASKS * ATTEMPTS or told.problems or not told.train.rows:
        raise SystemExit(f"{rows} of {TASKS * ATTEMPTS} trajectories are accounted for; {told.problems}")
