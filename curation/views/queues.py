"""Queues: the list, making one from a filter, and who is at work in one."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.filters import TrajectoryFilter, read_conditions
from curation.models import Role
from curation.permissions import access_project, get_queue
from curation.review_forms import QueueForm
from curation.selectors.gold import measure_accuracy
from curation.selectors.queues import (
    count_bands,
    count_progress,
    find_hold,
    list_holds,
    list_queues,
    list_reviewers,
)
from curation.selectors.trajectories import list_models, list_trajectories
from curation.services.queues import create_queue, extend_queue
from curation.views.queue_tabs import tabs_context


@require_GET
def queue_list(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project)
    return render(request, "curation/queue_list.html", {"queues": list_queues(access)})


@require_http_methods(["GET", "POST"])
def queue_create(request: HttpRequest, project: str) -> HttpResponse:
    """A new queue of the trajectories that the filter in the address (GET) or in the form (POST) picks."""
    access = access_project(request, project, Role.CURATOR)
    conditions = read_conditions(request.POST or request.GET)
    chosen = TrajectoryFilter(conditions, queryset=list_trajectories(access))
    form = QueueForm(request.POST or None)
    if request.method == "POST" and chosen.is_valid() and form.is_valid():
        try:
            queue = create_queue(access, trajectories=chosen.qs, **form.cleaned_data)
        except ValueError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{queue.name} is ready.")
            return redirect("curation:queue-detail", project, queue.pk)
    context = {
        "form": form,
        "filter": chosen,
        "count": chosen.qs.count() if chosen.is_valid() else 0,
        "models": list_models(access),
        "queues": access.project.queues.order_by("name"),
    }
    return render(request, "curation/queue_create.html", context)


@require_POST
def queue_extend(request: HttpRequest, project: str) -> HttpResponse:
    """More trajectories, those that the form's filter picks, for a queue that is there already."""
    access = access_project(request, project, Role.CURATOR)
    number = request.POST.get("queue", "")
    queue = get_queue(access, int(number) if number.isdecimal() and len(number) < 19 else 0)
    chosen = TrajectoryFilter(read_conditions(request.POST), queryset=list_trajectories(access))
    if chosen.is_valid():
        added = extend_queue(access, queue, chosen.qs)
        messages.success(request, f"{added:,} added; what was in it already stays as it is.")
    else:
        messages.error(request, "That filter does not exist: nothing was added.")
    return redirect("curation:queue-detail", project, queue.pk)


@require_GET
def queue_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project)
    queue = get_queue(access, pk)
    context = {
        **tabs_context(access, queue, "queue"),
        "progress": count_progress(access, queue),
        "holds": list_holds(queue),
        "reviewers": list_reviewers(queue),
        "bands": count_bands(queue),
        "mine": find_hold(access, queue),
        "accuracy": {one.name: one for one in measure_accuracy(queue)} if access.is_curator else {},
    }
    return render(request, "curation/queue_detail.html", context)
