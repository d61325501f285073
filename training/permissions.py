"""Who may touch what of training: one function per noun, in the style of curation.permissions."""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Model, QuerySet
from django.http import Http404

from curation.permissions import Access
from training.models import Checkpoint, Evaluation, Run

Noun = TypeVar("Noun", bound=Model)


def _get(queryset: QuerySet[Noun], pk: int, noun: str) -> Noun:
    found = queryset.filter(pk=pk).first()
    if found is None:
        raise Http404(f"No {noun} {pk} in this project.")
    return found


def get_run(access: Access, pk: int) -> Run:
    runs = Run.objects.filter(project=access.project)
    return _get(runs.select_related("dataset_version__dataset", "base", "created_by"), pk, "run")


def get_checkpoint(access: Access, pk: int) -> Checkpoint:
    return _get(Checkpoint.objects.filter(project=access.project).select_related("run"), pk, "checkpoint")


def get_evaluation(access: Access, pk: int) -> Evaluation:
    evaluations = Evaluation.objects.filter(project=access.project)
    return _get(evaluations.select_related("checkpoint", "dataset_version__dataset"), pk, "evaluation")
