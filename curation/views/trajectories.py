"""Trajectories: the list, one of them read step by step, its revisions and their differences."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from curation.filters import TrajectoryFilter
from curation.formats.document import Document
from curation.models import Revision, Trajectory
from curation.permissions import Access, access_project, get_revision, get_trajectory
from curation.revisions.diff import diff_steps
from curation.selectors.pages import BadCursor, take_page
from curation.selectors.trajectories import (
    ORDERS,
    STEPS_AT_ONCE,
    list_attempts,
    list_models,
    list_reviews,
    list_revisions,
    list_trajectories,
    outline_steps,
    read_head,
    read_steps,
)
from curation.selectors.trajectory_exports import WRITERS
from curation.views.remarks import thread_context

EXPORT_FORMATS = {name: label for name, (label, _) in WRITERS.items()}


@require_GET
def trajectory_list(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project)
    chosen = TrajectoryFilter(request.GET, queryset=list_trajectories(access))
    order = request.GET.get("order", "-id")
    problem = "" if chosen.is_valid() else "That filter does not exist; showing everything."
    rows = chosen.qs if chosen.is_valid() else list_trajectories(access)
    try:
        page = take_page(rows, order=order if order in ORDERS else "-id", cursor=request.GET.get("after"))
    except (BadCursor, ValueError) as error:
        problem, page = str(error), take_page(rows, order="-id", cursor=None)
    context = {
        "filter": chosen,
        "page": page,
        "count": rows.count(),
        "orders": ORDERS,
        "order": order,
        "problem": problem,
        "models": list_models(access),
        "export_formats": EXPORT_FORMATS,
    }
    return render(request, "curation/trajectory_list.html", context)


@require_GET
def trajectory_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project)
    trajectory = get_trajectory(access, pk)
    revision = _choose_revision(request, access, trajectory)
    context = {
        **reading_context(trajectory, revision),
        **thread_context(access, trajectory),
        "revisions": list_revisions(trajectory),
        "reviews": list_reviews(access, trajectory),
        "attempts": list_attempts(trajectory),
        "can_edit": access.is_curator and revision.number == trajectory.head_number,
        "export_formats": EXPORT_FORMATS,
    }
    return render(request, "curation/trajectory_detail.html", context)


@require_GET
def trajectory_steps(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """The next steps of a long trajectory, fetched as they are scrolled to."""
    access = access_project(request, project)
    trajectory = get_trajectory(access, pk)
    revision = _choose_revision(request, access, trajectory)
    first = request.GET.get("first", "1")
    context = reading_context(trajectory, revision, first=int(first) if first.isdecimal() and len(first) < 9 else 1)
    context["can_edit"] = access.is_curator and revision.number == trajectory.head_number
    context["reviewing"] = request.GET.get("reviewing", "")
    return render(request, "curation/trajectory_steps.html", context)


@require_GET
def trajectory_raw(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project)
    trajectory = get_trajectory(access, pk)
    revision = _choose_revision(request, access, trajectory)
    response = JsonResponse(revision.document, json_dumps_params={"indent": 2})
    response["Content-Disposition"] = f'inline; filename="trajectory-{trajectory.pk}-revision-{revision.number}.json"'
    return response


@require_GET
def revision_diff(request: HttpRequest, project: str, pk: int, older: int, newer: int) -> HttpResponse:
    access = access_project(request, project)
    trajectory = get_trajectory(access, pk)
    before, after = get_revision(access, trajectory, older), get_revision(access, trajectory, newer)
    changes = diff_steps(Document.model_validate(before.document), Document.model_validate(after.document))
    context = {"trajectory": trajectory, "before": before, "after": after, "changes": changes}
    return render(request, "curation/revision_diff.html", context)


def reading_context(trajectory: Trajectory, revision: Revision, *, first: int = 1) -> dict[str, object]:
    """What the templates of a trajectory's text need."""
    steps = read_steps(revision, first=first)
    more = first + STEPS_AT_ONCE if len(steps) == STEPS_AT_ONCE else None
    return {
        "trajectory": trajectory,
        "revision": revision,
        "head": read_head(revision) if first == 1 else None,
        "marks": outline_steps(revision) if first == 1 else [],
        "steps": steps,
        "more": more,
    }


def _choose_revision(request: HttpRequest, access: Access, trajectory: Trajectory) -> Revision:
    wanted = request.GET.get("revision", "")
    number = int(wanted) if wanted.isdecimal() and len(wanted) < 9 else trajectory.head_number
    return get_revision(access, trajectory, number)
