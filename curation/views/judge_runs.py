"""Runs of a judge: starting one, watching it, stopping it and going on. For curators."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.filters import TrajectoryFilter, choose_trajectories, describe_conditions, read_conditions
from curation.forms import first_error
from curation.jobs import run_judge
from curation.judge_forms import LimitForm
from curation.models import JobState, Role, Trajectory
from curation.permissions import access_project, get_judge, get_judge_run
from curation.selectors.bulk import list_single_queues, list_tags
from curation.selectors.judges import count_values, expect_cost, list_failures, list_run_opinions
from curation.selectors.pages import BadCursor, take_page
from curation.selectors.trajectories import list_models
from curation.services.judges import create_judge_run, resume_judge_run, stop_judge_run


@require_http_methods(["GET", "POST"])
def judge_run_create(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Which trajectories, how many these are and what they may cost (GET); POST starts the run.

    The form's `token` makes a form that is sent twice one run.
    """
    access = access_project(request, project, Role.CURATOR)
    judge = get_judge(access, pk)
    values = request.POST or request.GET
    conditions = read_conditions(values)
    limit = LimitForm(request.POST or None)
    try:
        chosen = choose_trajectories(access.project, conditions)
    except ValueError as error:
        messages.error(request, str(error))
        return redirect("curation:judge-run-create", project, pk)
    if request.method == "POST" and limit.is_valid():
        try:
            run = create_judge_run(
                access,
                judge,
                conditions=conditions,
                chosen=chosen,
                most_cost=limit.cleaned_data["most_cost"],
                idempotency_key=values.get("token", ""),
            )
        except ValueError as error:
            limit.add_error(None, str(error))
        else:
            if run.state == JobState.QUEUED:
                run_judge.delay_on_commit(run.pk)
            return redirect("curation:judge-run-detail", project, run.pk)
    count = chosen.count()
    context = {
        "judge": judge,
        "filter": TrajectoryFilter(conditions, queryset=Trajectory.objects.none()),
        "models": list_models(access),
        "tags": list_tags(access),
        "queues": list_single_queues(access),
        "conditions": conditions,
        "count": count,
        "expected": expect_cost(judge, count),
        "limit": limit,
        "token": uuid.uuid4(),
    }
    return render(request, "curation/judge_run_create.html", context, status=400 if request.method == "POST" else 200)


@require_GET
def judge_run_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Progress, cost so far and failures, polled by htmx until the run has ended; then what it said."""
    access = access_project(request, project, Role.CURATOR)
    run = get_judge_run(access, pk)
    rows: Any = list_failures(run) if "failures" in request.GET else list_run_opinions(run)
    try:
        page = take_page(rows, order="-id", cursor=request.GET.get("after"))
    except BadCursor as error:
        messages.error(request, str(error))
        return redirect("curation:judge-run-detail", project, pk)
    context = {
        "job": run,
        "judge": run.judge,
        "described": describe_conditions(run.conditions),
        "query": urlencode(run.conditions),
        "values": count_values(run),
        "page": page,
        "failures": "failures" in request.GET,
    }
    template = "curation/judge_run_detail.html" + ("#report" if request.headers.get("HX-Request") else "")
    return render(request, template, context)


@require_POST
def judge_run_stop(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    try:
        stop_judge_run(access, get_judge_run(access, pk))
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("curation:judge-run-detail", project, pk)


@require_POST
def judge_run_resume(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Let it go on; with `most_cost`, up to this limit."""
    access = access_project(request, project, Role.CURATOR)
    run = get_judge_run(access, pk)
    limit = LimitForm(request.POST)
    if not limit.is_valid():
        messages.error(request, first_error(limit))
        return redirect("curation:judge-run-detail", project, pk)
    try:
        resume_judge_run(access, run, most_cost=limit.cleaned_data["most_cost"])
    except ValueError as error:
        messages.error(request, str(error))
    else:
        run_judge.delay_on_commit(pk)
    return redirect("curation:judge-run-detail", project, pk)
