"""Runs: the list, the launch, and one run live."""

from __future__ import annotations

import json
import math
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.forms import first_error
from curation.models import Role
from curation.models.dataset import Split
from curation.permissions import access_project
from curation.selectors.pages import BadCursor, take_page
from curation.views.charts import Line, draw_lines
from training.forms import Launch, LaunchForm, read_launch
from training.jobs import supervise_run
from training.models import Run
from training.permissions import get_run
from training.recipes import PRESETS
from training.run_dir import tail_log
from training.selectors.runs import (
    estimate_cost,
    estimate_time_left,
    list_checkpoints,
    list_runs,
    list_versions,
    read_token_lines,
    read_values,
    sample_metrics,
)
from training.services.outcomes import find_last_checkpoint
from training.services.runs import launch_run, parse_recipe, resume_run, stop_run

LOG_LINES = 10
MOST_CHOICES = 200
# Charts of a run: title, and the values drawn into it with their names.
CHARTS = (
    ("loss", (("loss", "training"), ("eval_loss", "held out"))),
    ("reward accuracy", (("rewards/accuracies", "training"), ("eval_preference_accuracy", "held out"))),
    ("reward", (("rewards/chosen", "chosen"), ("rewards/rejected", "rejected"))),
    ("learning rate", (("learning_rate", "learning rate"),)),
)


@require_GET
def run_list(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project)
    try:
        page = take_page(list_runs(access), order="-id", cursor=request.GET.get("after"))
    except BadCursor as error:
        raise Http404(str(error)) from error
    context = {"page": page, "is_busy": any(run.is_active for run in page.rows)}
    return render(request, "training/run_list.html" + ("#rows" if request.htmx else ""), context)  # type: ignore[attr-defined]  # set by django_htmx


@require_http_methods(["GET", "POST"])
def run_create(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project, Role.ENGINEER)
    given = (request.POST if request.method == "POST" else request.GET).dict()
    launch = read_launch(access, given)
    form = LaunchForm(access, launch, given, is_sent=request.method == "POST")
    if request.method == "POST":
        try:
            if launch.version is None:
                raise ValueError("Choose a dataset version.")
            if not form.is_valid():
                raise ValueError(first_error(form))
            run = launch_run(
                access,
                name=form.cleaned_data["name"],
                method=launch.method,
                version=launch.version,
                base=launch.base,
                recipe=parse_recipe(launch.method, form.read_changes(), preset=launch.preset),
                key=form.cleaned_data["key"],
            )
        except ValueError as error:
            messages.error(request, str(error))
        else:
            supervise_run.delay_on_commit(run.pk)
            return redirect("training:run-detail", project, run.pk)
    context = {
        "form": form,
        "launch": launch,
        "presets": [(preset, preset.sft if launch.method == "sft" else preset.dpo) for preset in PRESETS],
        "versions": list_versions(access, with_rows_in=Split.TRAIN)[:MOST_CHOICES],
        "bases": list_checkpoints(access).order_by("-pk")[:MOST_CHOICES],
        **_describe_cost(launch),
    }
    return render(request, "training/run_create.html" + ("#launch" if request.htmx else ""), context)  # type: ignore[attr-defined]  # set by django_htmx


def _describe_cost(launch: Launch) -> dict[str, Any]:
    if launch.version is None:
        return {"costs": []}
    costs, recipe = estimate_cost(launch.version), launch.basis
    rows = sum(cost.rows for cost in costs)
    batch = recipe.batch_size * recipe.gradient_accumulation
    return {
        "costs": costs,
        "rows": rows,
        "tokens": sum(cost.tokens for cost in costs),
        "updates": recipe.max_steps or math.ceil(math.ceil(rows / batch) * recipe.epochs),
        "shares": [(cost.band, cost.tokens) for cost in costs],
    }


@require_GET
def run_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project)
    run = get_run(access, pk)
    context = {
        **_describe_progress(run),
        **_describe_curves(run),
        "log": tail_log(run.directory, lines=LOG_LINES),
        "configuration": _describe_configuration(run),
    }
    return render(request, "training/run_detail.html", context)


@require_GET
def run_progress(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """The part of a run's page that changes every second."""
    run = get_run(access_project(request, project), pk)
    return render(request, "training/run_detail.html#progress", _describe_progress(run))


@require_GET
def run_curves(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    run = get_run(access_project(request, project), pk)
    return render(request, "training/run_detail.html#curves", _describe_curves(run))


@require_GET
def run_log(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """The log's end as a part of the run's page; its last half megabyte as plain text for a reader without script."""
    run = get_run(access_project(request, project), pk)
    if not request.htmx:  # type: ignore[attr-defined]  # set by django_htmx
        text = "\n".join(tail_log(run.directory, lines=10_000))
        return HttpResponse(text, content_type="text/plain; charset=utf-8")
    return render(
        request, "training/run_detail.html#log", {"run": run, "log": tail_log(run.directory, lines=LOG_LINES)}
    )


@require_POST
def run_stop(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.ENGINEER)
    run = get_run(access, pk)
    try:
        stop_run(access, run)
        messages.success(request, f"{run} saves a checkpoint and stops.")
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("training:run-detail", project, pk)


@require_POST
def run_resume(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.ENGINEER)
    run = get_run(access, pk)
    try:
        resume_run(access, run)
        supervise_run.delay_on_commit(run.pk)
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("training:run-detail", project, pk)


def _describe_progress(run: Run) -> dict[str, Any]:
    lines, total = read_token_lines(run.directory)
    return {
        "run": run,
        "time_left": estimate_time_left(run, sample_metrics(run.directory)) if run.is_active else None,
        "token_lines": lines,
        "token_total": total,
        "checkpoints": run.checkpoints.order_by("pk"),
        "last_checkpoint": find_last_checkpoint(run.directory),
    }


def _describe_curves(run: Run) -> dict[str, Any]:
    metrics = sample_metrics(run.directory)
    charts = []
    for title, values in CHARTS:
        lines = [Line(name, points) for key, name in values if (points := read_values(metrics, key))]
        if lines or title == "loss":
            charts.append(draw_lines(lines, x_label="update", y_label=title))
    return {"run": run, "charts": charts}


def _describe_configuration(run: Run) -> str:
    configuration = {
        "name": run.name,
        "method": run.method,
        "version": run.dataset_version_id,
        "base": run.base_id,
        "recipe": run.recipe,
    }
    return json.dumps(configuration, indent=2)
