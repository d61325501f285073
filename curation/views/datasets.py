"""Datasets: recipes with a live preview, freezing them, and looking at what was frozen."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from curation.jobs import freeze_version
from curation.models import Dataset, DatasetVersion, JobState, Role
from curation.models.dataset import Split
from curation.permissions import access_project, get_dataset, get_version
from curation.recipe import Evaluation, read_recipe
from curation.rules import dump_rule
from curation.selectors.datasets import list_datasets, list_rows, list_versions, summarize_version
from curation.selectors.pages import BadCursor, take_page
from curation.services.datasets import create_version
from curation.services.jobs import request_stop

TRAINABLE = (Dataset.Kind.SFT, Dataset.Kind.DPO)
"""What the engine of this product trains on; the other kinds are exported."""


@require_GET
def dataset_list(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project)
    problem = ""
    try:
        page = take_page(list_datasets(access), order="-id", cursor=request.GET.get("after"))
    except (BadCursor, ValueError) as error:
        problem, page = str(error), take_page(list_datasets(access), order="-id", cursor=None)
    return render(request, "curation/dataset_list.html", {"page": page, "problem": problem})


@require_GET
def dataset_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project)
    dataset = get_dataset(access, pk)
    versions = list(list_versions(dataset)[:100])
    newest = next((version for version in versions if version.state == JobState.DONE), None)
    context = {
        "dataset": dataset,
        "versions": versions,
        "newest": newest,
        "recipe": _describe_recipe(dataset.recipe),
        "working": any(version.is_active for version in versions),
        "stats": summarize_version(newest) if newest else None,
        "exports": _export_addresses(request, newest) if newest else {},
    }
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


@require_GET
def version_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project)
    version = get_version(access, pk)
    split = Split.EVAL if request.GET.get("split") == Split.EVAL else Split.TRAIN
    rows = list_rows(version).filter(split=split)
    problem = ""
    try:
        page = take_page(rows, order="position", cursor=request.GET.get("after"))
    except (BadCursor, ValueError) as error:
        problem, page = str(error), take_page(rows, order="position", cursor=None)
    context = {
        "version": version,
        "dataset": version.dataset,
        "trainable": version.state == JobState.DONE and version.dataset.kind in TRAINABLE,
        "page": page,
        "problem": problem,
        "split": split,
        "splits": Split.choices,
        "stats": summarize_version(version),
        "recipe": json.dumps(version.recipe, indent=2),
        "exports": _export_addresses(request, version) if version.state == JobState.DONE else {},
    }
    return render(request, "curation/version_detail.html", context)


@require_POST
def version_stop(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    version = get_version(access, pk)
    if not request_stop(version):
        messages.warning(request, f"Version {version.number} had ended already.")
    return redirect("curation:dataset-detail", project, version.dataset_id)


def _describe_recipe(plain: dict[str, Any]) -> list[tuple[str, str]]:
    """The filter, the split, and each other field that is not as in a new recipe, by its title and in words."""
    recipe = read_recipe(plain)
    usual = read_recipe({"kind": recipe.kind})
    described = [("Filter", json.dumps(dump_rule(recipe.where)))]
    if recipe.filter:
        described.append(("Saved filter", f"{recipe.filter.name} v{recipe.filter.version}"))
    for name, field in type(recipe).model_fields.items():
        value = getattr(recipe, name)
        if field.title and name != "where" and (value != getattr(usual, name) or name in ("held_out", "seed")):
            described.append((field.title, _word(value)))
    for name, field in Evaluation.model_fields.items():
        value = getattr(recipe.evaluation, name)
        if recipe.evaluation.is_named and value != []:
            described.append((f"Kept out: {(field.title or name).lower()}", _word(value)))
    return described


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {part:g}" for key, part in sorted(value.items())) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, int | float):
        return f"{value:,}"
    return "no limit" if value is None else str(value)


def _export_addresses(request: HttpRequest, version: DatasetVersion) -> dict[str, str]:
    slug = version.dataset.project.slug
    return {
        split: request.build_absolute_uri(reverse("api-version-export", args=[slug, version.pk, split]))
        for split in Split.values
    }
