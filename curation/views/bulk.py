"""Bulk actions: what one would do, starting it, watching it, undoing it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.bulk_forms import BulkForm
from curation.filters import choose_trajectories, describe_conditions, read_conditions
from curation.jobs import run_bulk_action
from curation.models import BulkAction, JobState, Role
from curation.permissions import Access, access_project, get_bulk_action
from curation.selectors.bulk import explain_left_out, list_bulk_actions, list_tags, name_target, preview_bulk_action
from curation.selectors.pages import BadCursor
from curation.services.bulk import create_bulk_action, resume_bulk_action, stop_bulk_action, undo_bulk_action

UNTOLD = (BulkAction.Action.ACCEPT, BulkAction.Action.REJECT)
"""Actions that need to be told nothing."""


@require_http_methods(["GET", "POST"])
def bulk_create(request: HttpRequest, project: str) -> HttpResponse:
    """What an action on the trajectories that fit would do (GET); POST starts it.

    The form's `token` makes a form that is sent twice one action.
    """
    access = access_project(request, project, Role.CURATOR)
    values = request.POST or request.GET
    action = values.get("action", "")
    if action not in BulkAction.Action.values:
        raise Http404("There is no such action.")
    conditions = read_conditions(values)
    told = action in UNTOLD or any(name.startswith(f"{BulkForm.prefix}-") for name in values)
    form = BulkForm(values if told else None, access=access, action=action)
    try:
        chosen = choose_trajectories(access.project, conditions)
    except ValueError as error:
        messages.error(request, str(error))
        return redirect("curation:trajectory-list", project)
    if request.method == "POST" and form.is_valid():
        try:
            job = create_bulk_action(
                access, form.order, conditions=conditions, chosen=chosen, idempotency_key=values.get("token", "")
            )
        except ValueError as error:
            form.add_error(None, str(error))
        else:
            if job.state == JobState.QUEUED:
                run_bulk_action.delay_on_commit(job.pk)
            return redirect("curation:bulk-detail", project, job.pk)
    preview = preview_bulk_action(chosen, form.order) if form.is_bound and form.is_valid() else None
    context = {
        "form": form,
        "action": BulkAction.Action(action),
        "conditions": conditions,
        "query": urlencode(conditions),
        "described": describe_conditions(conditions),
        "preview": preview,
        "left_out": explain_left_out(action, preview.left_out) if preview else [],
        "count": chosen.count(),
        "token": uuid.uuid4(),
        "tags": list_tags(access) if "tag" in form.fields else [],
    }
    return render(request, "curation/bulk_create.html", context, status=400 if request.method == "POST" else 200)


@require_GET
def bulk_list(request: HttpRequest, project: str) -> HttpResponse:
    """The project's bulk actions, polled by htmx while one is at work."""
    access = access_project(request, project, Role.CURATOR)
    try:
        page = list_bulk_actions(access, cursor=request.GET.get("after"))
    except BadCursor as error:
        messages.error(request, str(error))
        return redirect("curation:bulk-list", project)
    template = "curation/bulk_list.html" + ("#actions" if request.headers.get("HX-Request") else "")
    return render(request, template, {"page": page, "active": any(job.is_active for job in page.rows)})


@require_GET
def bulk_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Progress, then the result; polled by htmx until the action has ended."""
    access = access_project(request, project, Role.CURATOR)
    job = get_bulk_action(access, pk)
    undone = job.undone_at and job.state == JobState.DONE
    kept = job.changes.count() if undone else 0
    context = {
        "job": job,
        "target": name_target(job),
        "described": describe_conditions(job.conditions),
        "query": urlencode(job.conditions),
        "left_out": explain_left_out(job.action, job.left_out),
        "undone": undone,
        "kept": kept,
        "taken_back": job.changed - kept,
    }
    template = "curation/bulk_detail.html" + ("#report" if request.headers.get("HX-Request") else "")
    return render(request, template, context)


@require_POST
def bulk_stop(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    return _change(request, project, pk, stop_bulk_action)


@require_POST
def bulk_resume(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    return _change(request, project, pk, resume_bulk_action)


@require_POST
def bulk_undo(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    return _change(request, project, pk, undo_bulk_action)


def _change(request: HttpRequest, project: str, pk: int, change: Callable[[Access, BulkAction], None]) -> HttpResponse:
    """Change the state of an action, and tell a worker where it is queued by that."""
    access = access_project(request, project, Role.CURATOR)
    job = get_bulk_action(access, pk)
    try:
        change(access, job)
    except ValueError as error:
        messages.error(request, str(error))
    else:
        if change is not stop_bulk_action:
            run_bulk_action.delay_on_commit(job.pk)
    return redirect("curation:bulk-detail", project, pk)
