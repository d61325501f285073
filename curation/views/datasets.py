"""Datasets: recipes with a live preview, freezing them, and looking at what was frozen."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.dataset_forms import make_form
from curation.jobs import freeze_version
from curation.models import DatasetVersion, JobState, Role
from curation.models.dataset import Split
from curation.permissions import Access, access_project, get_dataset, get_version
from curation.recipe import DatasetRecipe, read_recipe
from curation.selectors.datasets import list_datasets, list_rows, list_versions, preview_recipe, summarize_version
from curation.selectors.pages import BadCursor, take_page
from curation.selectors.trajectories import list_models
from curation.services.datasets import create_dataset, create_version
from curation.services.jobs import request_stop


@require_GET
def dataset_list(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project)
    problem = ""
    try:
        page = take_page(list_datasets(access), order="-id", cursor=request.GET.get("after"))
    except (BadCursor, ValueError) as error:
        problem, page = str(error), take_page(list_datasets(access), order="-id", cursor=None)
    return render(request, "curation/dataset_list.html", {"page": page, "problem": problem})


@require_http_methods(["GET", "POST"])
def dataset_create(request: HttpRequest, project: str) -> HttpResponse:
    """The form of a recipe; `kind` chooses SFT or DPO, `from` a dataset whose recipe to begin with."""
    access = access_project(request, project, Role.CURATOR)
    recipe = _read_template(request, access)
    kind = recipe.kind if recipe else request.GET.get("kind", "sft")
    models = list_models(access)
    form = make_form(kind, data=request.POST or None, recipe=recipe, models=models)
    if request.method == "POST" and form.is_valid():
        try:
            dataset = create_dataset(access, name=form.cleaned_data["name"], recipe=form.recipe)
        except ValueError as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, f"{dataset.name} is ready. Freeze a version to train on it.")
            return redirect("curation:dataset-detail", project, dataset.pk)
    shown = form.recipe if form.is_bound and form.is_valid() else recipe or read_recipe({"kind": form.kind})
    context = {"form": form, "stats": preview_recipe(access, shown)}
    return render(request, "curation/dataset_create.html", context)


@require_GET
def dataset_preview(request: HttpRequest, project: str) -> HttpResponse:
    """What the recipe in the form would come to; asked for at every change of the form."""
    access = access_project(request, project, Role.CURATOR)
    fields = request.GET.copy()
    fields["name"] = fields.get("name") or "preview"  # not needed yet
    form = make_form(fields.get("kind", ""), data=fields, models=list_models(access))
    context: dict[str, Any] = {"form": form}
    if form.is_valid():
        context["stats"] = preview_recipe(access, form.recipe)
    return render(request, "curation/dataset_create.html#preview", context)


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


def _read_template(request: HttpRequest, access: Access) -> DatasetRecipe | None:
    chosen = request.GET.get("from", "")
    return read_recipe(get_dataset(access, int(chosen)).recipe) if chosen.isdecimal() and len(chosen) < 16 else None


def _describe_recipe(plain: dict[str, Any]) -> list[tuple[str, str]]:
    """Each field of a recipe by its title, in words."""
    recipe = read_recipe(plain)
    described = []
    for name, field in type(recipe).model_fields.items():
        value = getattr(recipe, name)
        if name == "kind":
            continue
        if isinstance(value, bool):
            words = "yes" if value else "no"
        elif isinstance(value, dict):
            words = ", ".join(f"{key}: {weight:g}" for key, weight in value.items()) or "all alike"
        elif isinstance(value, list):
            words = ", ".join(value) or "all"
        else:
            words = "no limit" if value is None else f"{value:g}"
        described.append((field.title or name, words))
    return described


def _export_addresses(request: HttpRequest, version: DatasetVersion) -> dict[str, str]:
    slug = version.dataset.project.slug
    return {
        split: request.build_absolute_uri(reverse("api-version-export", args=[slug, version.pk, split]))
        for split in Split.values
    }
