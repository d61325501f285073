"""Celery jobs of training, each one call of a service; and the sweep over the jobs of the whole product."""

from __future__ import annotations

from celery import current_app, shared_task
from celery.contrib.django.task import DjangoTask

from curation.models import BulkAction, DatasetVersion, DifficultyFit, Import, Indexing, JudgeRun, PairSearch
from curation.services.import_files import clear_files
from curation.services.indexing import queue_forgotten
from curation.services.jobs import sweep_jobs as sweep
from curation.services.uploads import clear_uploads, find_stalled_fetches
from training.models import Evaluation, Run
from training.services import supervision

# By name: curation's jobs are reached through the broker alone.
SWEPT = (
    (Import, "curation.jobs.run_import"),
    (BulkAction, "curation.jobs.run_bulk_action"),
    (DifficultyFit, "curation.jobs.fit_difficulty"),
    (DatasetVersion, "curation.jobs.freeze_version"),
    (PairSearch, "curation.jobs.search_pairs"),
    (JudgeRun, "curation.jobs.run_judge"),
    (Indexing, "curation.jobs.run_indexing"),
    (Run, "training.jobs.supervise_run"),
    (Evaluation, "training.jobs.supervise_evaluation"),
)


@shared_task(base=DjangoTask)
def supervise_run(pk: int) -> None:
    supervision.supervise_run(pk)


@shared_task(base=DjangoTask)
def supervise_evaluation(pk: int) -> None:
    supervision.supervise_evaluation(pk)


@shared_task(base=DjangoTask)
def sweep_jobs() -> None:
    """Send again what nobody works on: jobs whose worker died, or whose message was lost. Drop files nobody needs."""
    for model, task in SWEPT:
        for pk in sweep(model):
            current_app.send_task(task, [pk])
    for pk in queue_forgotten():
        current_app.send_task("curation.jobs.run_indexing", [pk])
    for pk in find_stalled_fetches():
        current_app.send_task("curation.jobs.fetch_upload", [pk])
    clear_uploads()
    clear_files()
