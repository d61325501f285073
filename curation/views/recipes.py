"""The form of a recipe, and what it would come to."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.dataset_forms import RecipeForm, make_form
from curation.models import Dataset, PreferencePair, Role, Trajectory
from curation.permissions import Access, access_project, get_dataset
from curation.recipe import DatasetRecipe, PairRecipe, read_recipe
from curation.selectors.action_samples import Sample, count_sampled_actions, draw_sample
from curation.selectors.candidates import select_candidates
from curation.selectors.datasets import list_measuring, list_newest_filters
from curation.selectors.previews import describe_selection, list_left_out
from curation.selectors.trajectories import list_models
from curation.services.datasets import create_dataset
from curation.views.difficulty import draw_stages

MOST_LEFT_OUT = 200


@require_http_methods(["GET", "POST"])
def dataset_create(request: HttpRequest, project: str) -> HttpResponse:
    """The form; `kind` chooses what is made, `from` a dataset whose recipe to begin with, `target` a difficulty."""
    access = access_project(request, project, Role.CURATOR)
    recipe = _read_template(request, access)
    form = _make_form(request, access, recipe)
    if request.method == "POST" and form.is_valid():
        try:
            dataset = create_dataset(access, name=form.cleaned_data["name"], recipe=form.recipe)
        except ValueError as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, f"{dataset.name} is ready. Freeze a version to train on it.")
            return redirect("curation:dataset-detail", project, dataset.pk)
    return render(
        request,
        "curation/dataset_create.html",
        {"form": form, "kinds": [(kind, label.split(":")[0]) for kind, label in Dataset.Kind.choices]},
    )


@require_POST
def dataset_preview(request: HttpRequest, project: str) -> HttpResponse:
    """What the recipe in the form would come to; asked for at every change of the form."""
    access = access_project(request, project, Role.CURATOR)
    form = _make_form(request, access)
    context: dict[str, Any] = {"form": form}
    if form.is_valid():
        selection = select_candidates(access.project, form.recipe, with_revisions=False)
        preview = describe_selection(access.project, form.recipe, selection)
        context |= {"preview": preview, "sample": _write_sample(draw_sample(form.recipe, selection.candidates))}
        context["reports"] = [("As the filter takes it", preview.before), ("As it is trained on", preview.after)]
        context["stages"] = draw_stages(preview.stages, linked=False)
    return render(request, "curation/dataset_preview.html", context)


@require_POST
def dataset_left_out(request: HttpRequest, project: str) -> HttpResponse:
    """The trajectories or pairs behind one reason; `why` holds its stage and its words."""
    access = access_project(request, project, Role.CURATOR)
    form = _make_form(request, access)
    stage, _, reason = request.POST.get("why", "").partition("|")
    context: dict[str, Any] = {"form": form, "reason": reason, "most": MOST_LEFT_OUT}
    if form.is_valid():
        selection = select_candidates(access.project, form.recipe, with_revisions=False)
        ids = list_left_out(selection, stage=stage, reason=reason, after=0, size=MOST_LEFT_OUT)
        pairs = isinstance(form.recipe, PairRecipe)
        rows: Any = (
            PreferencePair.objects.filter(project=access.project)
            if pairs
            else Trajectory.objects.filter(project=access.project)
        )
        context["rows"] = rows.filter(pk__in=ids).select_related("task").defer("task__instruction").order_by("pk")
        context["total"] = selection.left_out_at(stage, reason)
        context["pairs"] = pairs
    return render(request, "curation/dataset_left_out.html", context)


@require_GET
def dataset_actions(request: HttpRequest, project: str) -> HttpResponse:
    """How often each action is taught in the rows that the preview drew."""
    access = access_project(request, project, Role.CURATOR)
    sample = Sample(*(_read_ids(request.GET.get(name, "")) for name in Sample._fields))
    counted = count_sampled_actions(access.project, sample)
    context = {"counted": counted, "sided": bool(sample.pairs or sample.undesirable)}
    return render(request, "curation/dataset_actions.html", context)


def _make_form(request: HttpRequest, access: Access, recipe: DatasetRecipe | None = None) -> RecipeForm:
    data = request.POST.copy() if request.method == "POST" else None
    if data is not None and request.resolver_match and request.resolver_match.url_name != "dataset-create":
        data["name"] = data.get("name") or "preview"  # not needed yet
    chosen = request.POST.get("kind") or request.GET.get("kind", "")
    return make_form(
        recipe.kind if recipe and data is None else chosen,
        data=data,
        recipe=recipe,
        target=request.GET.get("target", ""),
        models=list_models(access),
        filters=list_newest_filters(access),
        datasets=list_measuring(access),
    )


def _read_template(request: HttpRequest, access: Access) -> DatasetRecipe | None:
    chosen = request.GET.get("from", "")
    return read_recipe(get_dataset(access, int(chosen)).recipe) if chosen.isdecimal() and len(chosen) < 16 else None


def _write_sample(sample: Sample) -> str:
    """The parameters of `dataset_actions`."""
    ids = sample._asdict().items()
    return urlencode({name: ",".join(map(str, part)) for name, part in ids if part}, safe=",")


def _read_ids(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part.isdecimal() and len(part) < 16]
