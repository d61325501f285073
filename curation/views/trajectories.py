"""Trajectories: the list, one of them with all that is known of it, and what differs between its revisions."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from curation.filters import TrajectoryFilter, describe_problem, read_conditions
from curation.formats.document import Document
from curation.models import BulkAction
from curation.permissions import access_project, get_revision, get_trajectory, may_see_outcome
from curation.revisions.diff import diff_steps
from curation.selectors.bulk import list_single_queues, list_tags
from curation.selectors.judges import list_opinions
from curation.selectors.pages import BadCursor, take_page
from curation.selectors.trajectories import (
    ORDERS,
    find_decision,
    list_attempts,
    list_models,
    list_reviews,
    list_revisions,
    list_trajectories,
)
from curation.selectors.trajectory_exports import WRITERS
from curation.views.filters import link_filters
from curation.views.reading import open_revision, read_number, reading_context
from curation.views.remarks import thread_context

EXPORT_FORMATS = {name: label for name, (label, _) in WRITERS.items()}


@require_GET
def trajectory_list(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project)
    chosen = TrajectoryFilter(request.GET, queryset=list_trajectories(access))
    order = request.GET.get("order", "-id")
    problem = "" if chosen.is_valid() else f"{describe_problem(chosen).rstrip('.')}. Showing everything."
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
        "tags": list_tags(access),
        "queues": list_single_queues(access),
        "saved_filters": link_filters(access),
        "conditions": read_conditions(request.GET),
        "actions": BulkAction.Action.choices,
        "export_formats": EXPORT_FORMATS,
    }
    return render(request, "curation/trajectory_list.html", context)


@require_GET
def trajectory_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access, trajectory, revision = open_revision(request, project, pk)
    blind = not may_see_outcome(access, trajectory)
    context = {
        **reading_context(trajectory, revision, query=request.GET),
        **thread_context(access, trajectory),
        "revisions": list_revisions(trajectory),
        "reviews": list_reviews(access, trajectory),
        "attempts": list_attempts(access, trajectory),
        "opinions": [] if blind else list_opinions(trajectory),
        "blind": blind,
        "decision": find_decision(trajectory),
        "can_edit": access.is_curator and revision.number == trajectory.head_number,
        "export_formats": EXPORT_FORMATS,
    }
    return render(request, "curation/trajectory_detail.html", context)


@require_GET
def revision_compare(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Leads from the menu with two revisions to what differs between them, the older one first."""
    access = access_project(request, project)
    trajectory = get_trajectory(access, pk)
    numbers = [read_number(request.GET.get(name, ""), default=trajectory.head_number) for name in ("a", "b")]
    older, newer = sorted(get_revision(access, trajectory, number).number for number in numbers)
    return redirect("curation:revision-diff", project, pk, older, newer)


@require_GET
def revision_diff(request: HttpRequest, project: str, pk: int, older: int, newer: int) -> HttpResponse:
    access = access_project(request, project)
    trajectory = get_trajectory(access, pk)
    before, after = get_revision(access, trajectory, older), get_revision(access, trajectory, newer)
    changes = diff_steps(Document.model_validate(before.document), Document.model_validate(after.document))
    context = {
        "trajectory": trajectory,
        "before": before,
        "after": after,
        "changes": changes,
        "same": all(change.kind == "same" for change in changes),
        "revisions": list_revisions(trajectory),
    }
    return render(request, "curation/revision_diff.html", context)
