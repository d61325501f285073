"""Datasets: recipes with a live preview, freezing them, and looking at what was frozen."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from curation.jobs import freeze_version
from curation.models import JobState, Role
from curation.permissions import access_project, get_dataset
from curation.recipe_words import describe_recipe
from curation.selectors.datasets import list_datasets, list_versions, summarize_version
from curation.services.datasets import create_version
from curation.views.pages import page_context
from curation.views.versions import list_exports


@require_GET
def dataset_list(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project)
    context = page_context(request, list_datasets(access), order="-id")
    return render(request, "curation/dataset_list.html", context)


@require_GET
def dataset_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project)
    dataset = get_dataset(access, pk)
    versions = list(list_versions(dataset)[:100])
    newest = next((version for version in versions if version.state == JobState.DONE), None)
    context: dict[str, Any] = {
        "dataset": dataset,
        "versions": versions,
        "newest": newest,
        "recipe": describe_recipe(dataset.recipe),
        "working": any(version.is_active for version in versions),
        "stats": summarize_version(newest) if newest else None,
    }
    if newest:
        context |= list_exports(request, newest)
    partial = "#versions" if request.headers.get("HX-Request") else ""
    return render(request, f"curation/dataset_detail.html{partial}", context)


@require_POST
def dataset_freeze(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    dataset = get_dataset(access, pk)
    try:
        version = create_version(access, dataset)
    except ValueError as error:
        messages.error(request, str(error))
    else:
        freeze_version.delay_on_commit(version.pk)
        messages.success(request, f"Version {version.number} is being frozen.")
    return redirect("curation:dataset-detail", project, pk)
