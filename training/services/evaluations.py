"""Measuring checkpoints on the held-out rows of dataset versions."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from curation.models import DatasetVersion, JobState, Role
from curation.models.dataset import Split
from curation.permissions import Access
from curation.services.audit import record_action
from curation.services.jobs import request_stop, requeue_job
from training import run_dir
from training.models import Checkpoint, Evaluation, Run
from training.services.checkpoints import locate_model


def evaluate_checkpoints(
    access: Access, checkpoints: Sequence[Checkpoint], version: DatasetVersion
) -> list[Evaluation]:
    """The evaluations of `checkpoints` on a version, in their order; missing, failed and stopped ones are queued.

    The caller sends training.jobs.supervise_evaluation for those that are queued. Raises ValueError where they cannot
    work: nothing held out, files gone, another project's.
    """
    access.require(Role.ENGINEER)
    if version.dataset.project_id != access.project.pk:
        raise ValueError("The dataset is not one of this project.")
    if version.state != JobState.DONE:
        raise ValueError(f"{version} is not frozen yet; wait until it is done.")
    if version.dataset.kind not in Run.Method.values:
        raise ValueError(f"{version} is to be exported: models are measured on sft and dpo rows only.")
    if not version.rows.filter(split=Split.EVAL).exists():
        raise ValueError(f"{version} holds no rows out, so there is nothing to measure on.")
    for checkpoint in checkpoints:
        if checkpoint.project_id != access.project.pk:
            raise ValueError("The model is not one of this project.")
        locate_model(checkpoint)
    evaluations = []
    with transaction.atomic():
        for checkpoint in checkpoints:
            evaluation, created = Evaluation.objects.get_or_create(
                checkpoint=checkpoint,
                dataset_version=version,
                defaults={"project": access.project, "created_by": access.user},
            )
            if created or requeue_job(evaluation):
                Evaluation.objects.filter(pk=evaluation.pk, state=JobState.QUEUED).update(pid=None)
                evaluation.refresh_from_db()
                record_action(access, "evaluation.launch", evaluation, evaluation=evaluation.pk)
            evaluations.append(evaluation)
    return evaluations


def stop_evaluation(access: Access, evaluation: Evaluation) -> None:
    """Raises ValueError where it has ended already."""
    access.require(Role.ENGINEER)
    with transaction.atomic():
        if not request_stop(evaluation):
            raise ValueError(f"{evaluation} has ended already.")
        record_action(access, "evaluation.stop", evaluation, evaluation=evaluation.pk)
    if evaluation.directory.is_dir():
        run_dir.request_stop(evaluation.directory)
