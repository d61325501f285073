"""Model judges: the list, a new one tried before it is made, one of them with what it cost. For curators."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.forms import first_error
from curation.judge_forms import JudgeForm
from curation.models import Judge, Role, Trajectory
from curation.permissions import Access, access_project, get_judge, get_trajectory
from curation.selectors.judges import list_judges, list_runs, sum_spent
from curation.selectors.pages import BadCursor, take_page
from curation.services.judges import archive_judge, check_draft, create_judge, try_judge


@require_GET
def judge_list(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    return render(request, "curation/judge_list.html", {"judges": list_judges(access)})


@sensitive_post_parameters("key")
@require_http_methods(["GET", "POST"])
def judge_create(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    form = JudgeForm(request.POST or None, access=access)
    if request.method == "POST" and form.is_valid():
        try:
            judge = create_judge(access, form.draft)
        except ValueError as error:
            form.add_error(None, str(error))
        else:
            return redirect("curation:judge-detail", project, judge.pk)
    context = {"form": form, "newest": _find_newest(access)}
    return render(request, "curation/judge_create.html", context, status=400 if request.method == "POST" else 200)


@sensitive_post_parameters("key")
@require_POST
def judge_try_draft(request: HttpRequest, project: str) -> HttpResponse:
    """Put the judge in the form to the trajectory whose number is in `trajectory`; nothing is kept."""
    access = access_project(request, project, Role.CURATOR)
    form = JudgeForm(request.POST, access=access)
    context: dict[str, Any] = {"form": form, "newest": request.POST.get("trajectory", "")}
    if form.is_valid():
        try:
            context |= _try(access, check_draft(access, form.draft), request)
        except ValueError as error:
            context["problem"] = str(error)
    else:
        context["problem"] = first_error(form)
    part = "#trial" if request.headers.get("HX-Request") else ""
    return render(request, f"curation/judge_create.html{part}", context)


@require_GET
def judge_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Its settings, runs and costs; how far it agrees with the people is fetched by htmx."""
    access = access_project(request, project, Role.CURATOR)
    judge = get_judge(access, pk)
    return render(request, "curation/judge_detail.html", _detail_context(request, access, judge))


def _detail_context(request: HttpRequest, access: Access, judge: Judge) -> dict[str, Any]:
    try:
        page = take_page(list_runs(judge), order="-id", cursor=request.GET.get("after"))
    except BadCursor as error:
        messages.error(request, str(error))
        page = take_page(list_runs(judge), order="-id", cursor=None)
    return {
        "judge": judge,
        "page": page,
        "spent": sum_spent(judge),
        "opinion_count": judge.opinions.count(),
        "newest": _find_newest(access),
    }


@require_POST
def judge_try(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Put a judge to the trajectory whose number is in `trajectory`; nothing is kept."""
    access = access_project(request, project, Role.CURATOR)
    judge = get_judge(access, pk)
    part = bool(request.headers.get("HX-Request"))
    context: dict[str, Any] = {"judge": judge} if part else _detail_context(request, access, judge)
    context["newest"] = request.POST.get("trajectory", "")
    try:
        context |= _try(access, judge, request)
    except ValueError as error:
        context["problem"] = str(error)
    return render(request, "parts/judge_trial.html" if part else "curation/judge_detail.html", context)


@require_POST
def judge_archive(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    judge = get_judge(access, pk)
    try:
        archive_judge(access, judge)
    except ValueError as error:
        messages.error(request, str(error))
        return redirect("curation:judge-detail", project, pk)
    messages.success(request, f"{judge.name} was put away. What it said stays.")
    return redirect("curation:judge-list", project)


def _try(access: Access, judge: Judge, request: HttpRequest) -> dict[str, Any]:
    """Raises ValueError, and Http404 for a trajectory of another project."""
    number = request.POST.get("trajectory", "")
    if not number.isdecimal() or len(number) > 18:
        raise ValueError("Say which trajectory, by its number.")
    trajectory = get_trajectory(access, int(number))
    trial = try_judge(access, judge, trajectory)
    cost = judge.price_tokens(trial.asked.prompt_tokens, trial.asked.answer_tokens)
    schema = json.dumps(trial.request.schema, indent=2)
    return {"trial": trial, "trajectory": trajectory, "cost": cost, "judge": judge, "schema": schema}


def _find_newest(access: Access) -> int | None:
    """A trajectory to try a judge on."""
    newest = Trajectory.objects.filter(project=access.project).order_by("-pk")
    return newest.values_list("pk", flat=True).first()
