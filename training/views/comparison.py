"""Comparing checkpoints, and the evaluations a comparison is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_POST

from curation.models import DatasetVersion, Role
from curation.models.dataset import Split
from curation.permissions import Access, access_project, get_version
from curation.views.charts import Line, draw_lines
from training.forms import read_id
from training.jobs import supervise_evaluation
from training.models import Checkpoint, Run
from training.permissions import get_checkpoint, get_evaluation
from training.run_dir import tail_log
from training.selectors.comparison import (
    ACTIONS_AT_ONCE,
    FEWEST,
    MOST,
    MOST_VERSIONS,
    find_differences,
    get_training_run,
    measure_all,
)
from training.selectors.runs import list_checkpoints, list_versions, read_values, sample_metrics
from training.services.evaluations import evaluate_checkpoints, stop_evaluation

MOST_CHOICES = 100


@require_GET
def compare(request: HttpRequest, project: str) -> HttpResponse:
    """The chooser, and under it the comparison once two to four checkpoints are chosen."""
    access = access_project(request, project)
    checkpoints, versions = read_choice(access, request.GET)
    context: dict[str, Any] = {
        "checkpoints": checkpoints,
        "versions": versions,
        "all_checkpoints": list_checkpoints(access).order_by("-pk")[:MOST_CHOICES],
        "all_versions": list_versions(access, with_rows_in=Split.EVAL)[:MOST_CHOICES],
        "most": MOST,
        "is_chosen": FEWEST <= len(checkpoints) <= MOST and len(versions) <= MOST_VERSIONS,
        "suggestion": None if checkpoints else _suggest(access),
    }
    if context["is_chosen"]:
        context |= _compare(checkpoints, versions, offset=read_id(request.GET.get("actions")) or 0)
    elif checkpoints:
        messages.error(request, f"Choose {FEWEST} to {MOST} models and at most {MOST_VERSIONS} dataset versions.")
    return render(request, "training/compare.html", context)


@require_GET
def compare_progress(request: HttpRequest, project: str) -> HttpResponse:
    """The evaluations still at work; when the last one has ended the page is asked to load itself again."""
    access = access_project(request, project)
    checkpoints, versions = read_choice(access, request.GET)
    active = [evaluation for measured in measure_all(checkpoints, versions) for evaluation in measured.active]
    response = render(request, "training/compare.html#progress", {"active": active})
    if not active:
        response["HX-Refresh"] = "true"
    return response


@require_POST
def evaluation_create(request: HttpRequest, project: str) -> HttpResponse:
    """Evaluate what a comparison lacks, and go back to it."""
    access = access_project(request, project, Role.ENGINEER)
    checkpoints, versions = read_choice(access, request.POST)
    try:
        for version in versions:
            for evaluation in evaluate_checkpoints(access, checkpoints, version):
                if evaluation.is_active:
                    supervise_evaluation.delay_on_commit(evaluation.pk)
    except ValueError as error:
        messages.error(request, str(error))
    return _go_to_comparison(access, checkpoints, versions)


@require_GET
def evaluation_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    evaluation = get_evaluation(access_project(request, project), pk)
    template = "training/evaluation_detail.html" + ("#progress" if request.htmx else "")  # type: ignore[attr-defined]  # set by django_htmx
    return render(request, template, {"evaluation": evaluation, "log": tail_log(evaluation.directory, lines=60)})


@require_POST
def evaluation_stop(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.ENGINEER)
    evaluation = get_evaluation(access, pk)
    try:
        stop_evaluation(access, evaluation)
        messages.success(request, f"The evaluation of {evaluation} stops.")
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("training:evaluation-detail", project, pk)


def read_choice(access: Access, given: QueryDict) -> tuple[list[Checkpoint], list[DatasetVersion]]:
    """The checkpoints and versions that a query names, in its order. Raises Http404 for those of other projects."""
    checkpoints = [get_checkpoint(access, pk) for pk in _read_ids(given.getlist("checkpoint"), MOST + 1)]
    versions = [get_version(access, pk) for pk in _read_ids(given.getlist("version"), MOST_VERSIONS + 1)]
    return checkpoints, versions


def _read_ids(values: Sequence[str], most: int) -> list[int]:
    return list(dict.fromkeys(pk for value in values if (pk := read_id(value))))[:most]


def _go_to_comparison(
    access: Access, checkpoints: Sequence[Checkpoint], versions: Sequence[DatasetVersion]
) -> HttpResponseRedirect:
    query = [("checkpoint", checkpoint.pk) for checkpoint in checkpoints]
    query += [("version", version.pk) for version in versions]
    return HttpResponseRedirect(f"{reverse('training:compare', args=[access.project.slug])}?{urlencode(query)}")


def _suggest(access: Access) -> str | None:
    """The query for the newest model beside all it was made from, with the data that each was trained on."""
    newest = list_checkpoints(access).exclude(kind=Checkpoint.Kind.BASE).order_by("-pk").first()
    line: list[Checkpoint] = []
    while newest is not None and len(line) < MOST:
        line.append(newest)
        newest = newest.parent
    if len(line) < FEWEST:
        return None
    runs = [run for checkpoint in reversed(line) if (run := get_training_run(checkpoint))]
    versions = list(dict.fromkeys(run.dataset_version_id for run in runs))[-MOST_VERSIONS:]
    query = [("checkpoint", checkpoint.pk) for checkpoint in reversed(line)]
    return urlencode(query + [("version", version) for version in versions])


def _compare(checkpoints: Sequence[Checkpoint], versions: Sequence[DatasetVersion], *, offset: int) -> dict[str, Any]:
    measured = measure_all(checkpoints, versions)
    end = offset + ACTIONS_AT_ONCE
    longest = max((len(one.actions) for one in measured), default=0)
    return {
        "differences": find_differences(checkpoints),
        "charts": _draw_curves(checkpoints),
        "measured": [
            (one, [(line, list(zip(checkpoints, line.actions, strict=True))) for line in one.actions[offset:end]])
            for one in measured
        ],
        "missing": [
            (checkpoints[place], one.version, one.evaluations[place]) for one in measured for place in one.missing
        ],
        "active": [evaluation for one in measured for evaluation in one.active],
        "before": max(0, offset - ACTIONS_AT_ONCE) if offset else None,
        "after": end if end < longest else None,
    }


def _draw_curves(checkpoints: Sequence[Checkpoint]) -> list[SafeString]:
    """A chart for each method and value: the losses of two methods are different quantities on different rows."""
    runs = [(checkpoint.name, run) for checkpoint in checkpoints if (run := get_training_run(checkpoint)) is not None]
    logged = [(name, run.method, sample_metrics(run.directory)) for name, run in runs]
    charts = []
    for method in Run.Method:
        for value, title in (("loss", "training loss"), ("eval_loss", "held-out loss")):
            own = [(name, metrics) for name, of, metrics in logged if of == method]
            lines = [Line(name, points) for name, metrics in own if (points := read_values(metrics, value))]
            if lines:
                charts.append(draw_lines(lines, x_label="update", y_label=f"{method.label} {title}"))
    return charts
