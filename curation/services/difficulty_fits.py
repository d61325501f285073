"""The job that fits the difficulty of a project's tasks after attempts arrived.

Up to two policies, a pass rate is a matter of each task alone. From three on they are compared in a Rasch model, in
which every attempt may move every task.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef

from curation.formats.cleaning import clean_text
from curation.models import DifficultyFit, JobState, Project, Task, User
from curation.rasch import FEWEST_POLICIES, Cells, fit_rasch
from curation.services.difficulty import COUNTED, Measured, write_changes
from curation.services.jobs import JobLost, JobStopped, beat_job, beat_now_and_then, claim_job, end_job

logger = logging.getLogger(__name__)

BATCH = 1000
"""Tasks written in one transaction: a reviewer who grades one of them waits for it."""
TRIES = 10

COUNT_CELLS = f"""
SELECT task_id, model, count(*), count(*) FILTER (WHERE success) FROM curation_trajectory
WHERE project_id = %s AND {COUNTED} GROUP BY task_id, model
"""  # noqa: S608  # made of a constant


@dataclass(frozen=True)
class Counts:
    """Attempts and successes of each policy at each task. A policy is a model's name; attempts without one are together
    one policy."""

    tasks: list[int]
    policies: list[str]
    cells: Cells


def queue_fit(project: Project, user: User | None = None) -> DifficultyFit:
    """The fit that will take in what was written so far, the caller's own transaction included.

    At most one of a project waits. It is locked, so that a worker takes it up after this transaction only, and then
    sees what it wrote.
    """
    for _ in range(TRIES):
        with transaction.atomic():
            waiting = DifficultyFit.objects.select_for_update().filter(project=project, state=JobState.QUEUED).first()
            if waiting is not None:
                return waiting
            try:
                with transaction.atomic():
                    return DifficultyFit.objects.create(project=project, created_by=user)
            except IntegrityError:
                continue  # somebody else's was first, and may be taken up by now
    raise RuntimeError(f"The fit of {project} was queued and taken up {TRIES} times at once.")


def queue_missing_fits() -> int:
    """Queue a fit for each project whose attempts were counted before pass rates were kept; returns how many."""
    tasks = Task.objects.filter(project=OuterRef("pk"), attempts__gt=0, pass_rate=None)
    projects = list(Project.objects.filter(Exists(tasks)))
    for project in projects:
        queue_fit(project)
    return len(projects)


def run_fit(pk: int) -> None:
    """Do a queued fit. Does nothing where another worker has it, or it has ended."""
    job = claim_job(DifficultyFit, pk)
    if job is None:
        return
    try:
        _fit(job)
    except JobLost:
        logger.warning("fit %s is another worker's now", pk)
    except JobStopped:
        end_job(job, JobState.STOPPED, stage="", advice="Tasks that it did not reach keep what was known of them.")
    except Exception as error:
        logger.exception("fit %s failed", pk)
        words = clean_text(f"{type(error).__name__}: {error}")[0]
        end_job(job, JobState.FAILED, stage="", error=words, advice="Every task keeps what was known of it.")


def _fit(job: DifficultyFit) -> None:
    beat_job(job, stage="counting attempts", changed=0)
    counts = count_cells(job.project)
    beat_job(job, stage="comparing policies")
    fitted, policies = _measure(job, counts)
    tasks = list(Task.objects.filter(project=job.project_id).order_by("pk").values_list("pk", flat=True))
    beat_job(job, stage="writing", policies=policies, progress=0, progress_total=len(tasks))
    changed = 0
    for first in range(0, len(tasks), BATCH):
        changed += write_changes(job.project, tasks[first : first + BATCH], fitted)
        beat_job(job, progress=min(first + BATCH, len(tasks)), changed=changed)
    end_job(job, JobState.DONE, stage="")


def count_cells(project: Project) -> Counts:
    """Count the attempts that say something of a policy, by task and policy."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT_CELLS, [project.pk])
        rows = cursor.fetchall()
    tasks = {pk: place for place, pk in enumerate(sorted({row[0] for row in rows}))}
    policies = {name: place for place, name in enumerate(sorted({row[1] for row in rows}))}
    places = np.array([(tasks[task], policies[name], n, won) for task, name, n, won in rows], np.int64).reshape(-1, 4)
    return Counts(list(tasks), list(policies), Cells(*places.T))


def _measure(job: DifficultyFit, counts: Counts) -> tuple[dict[int, Measured], list[dict[str, Any]]]:
    """The fitted tasks, none where there are too few policies to compare, and what is known of each policy."""
    cells, number = counts.cells, len(counts.policies)
    attempts = np.bincount(cells.policy, cells.attempts, number).astype(int).tolist()
    successes = np.bincount(cells.policy, cells.successes, number).astype(int).tolist()
    policies: list[dict[str, Any]] = [
        {"name": name, "attempts": tried, "successes": won, "ability": None, "group": None}
        for name, tried, won in zip(counts.policies, attempts, successes, strict=True)
    ]
    if number < FEWEST_POLICIES:
        return {}, policies
    fit = fit_rasch(cells, watch=beat_now_and_then(job))
    for place, policy in enumerate(policies):
        policy |= {"ability": round(float(fit.ability[place]), 3), "group": int(fit.group[place])}
    columns = zip(*(column.round(4).tolist() for column in (fit.p, fit.low, fit.high, fit.difficulty)), strict=True)
    return {task: Measured(*values) for task, values in zip(counts.tasks, columns, strict=True)}, policies
