"""Celery jobs of curation: each one call of a service."""

from __future__ import annotations

from celery import shared_task
from celery.contrib.django.task import DjangoTask

from curation.filters import choose_trajectories
from curation.models import Import
from curation.services import (
    bulk_runs,
    datasets,
    difficulty_fits,
    import_runs,
    indexing,
    judge_runs,
    pair_proposals,
    uploads,
)


@shared_task(base=DjangoTask)
def run_import(pk: int) -> None:
    fit = import_runs.run_import(pk)
    if fit is not None:
        fit_difficulty.delay_on_commit(fit.pk)
    for project in Import.objects.filter(pk=pk).values_list("project_id", flat=True):
        index_project.delay_on_commit(project)


@shared_task(base=DjangoTask)
def fit_difficulty(pk: int) -> None:
    difficulty_fits.run_fit(pk)


@shared_task(base=DjangoTask)
def index_project(project: int) -> None:
    """Index what is left in a project, unless a job that has not ended sees to it."""
    job = indexing.queue_indexing(project)
    if job is not None:
        indexing.run_indexing(job.pk)


@shared_task(base=DjangoTask)
def run_indexing(pk: int) -> None:
    indexing.run_indexing(pk)


@shared_task(base=DjangoTask)
def fetch_upload(pk: int) -> None:
    uploads.fetch_upload(pk)


@shared_task(base=DjangoTask)
def freeze_version(pk: int) -> None:
    datasets.freeze_version(pk)


@shared_task(base=DjangoTask)
def run_bulk_action(pk: int) -> None:
    bulk_runs.run_bulk_action(pk, choose_trajectories)


@shared_task(base=DjangoTask)
def search_pairs(pk: int) -> None:
    pair_proposals.run_search(pk)


@shared_task(base=DjangoTask)
def run_judge(pk: int) -> None:
    judge_runs.run_judge(pk, choose_trajectories)
