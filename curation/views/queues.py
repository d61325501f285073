"""Queues: the list, making one from a filter, how one is worked, and who is at work in one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.models import Queue, Role
from curation.permissions import Access, access_project, get_queue
from curation.queue_filters import choose_items
from curation.review_forms import QueueChangeForm, QueueForm
from curation.selectors.bulk import list_tags
from curation.selectors.gold import measure_accuracy
from curation.selectors.queues import (
    count_bands,
    count_progress,
    find_hold,
    list_holds,
    list_queues,
    list_reviewers,
)
from curation.selectors.trajectories import list_models
from curation.services.queues import change_queue, create_queue, extend_queue, may_take
from curation.views.filters import link_filters
from curation.views.queue_tabs import tabs_context


@require_GET
def queue_list(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project)
    return render(request, "curation/queue_list.html", {"queues": list_queues(access)})


@require_http_methods(["GET", "POST"])
def queue_create(request: HttpRequest, project: str) -> HttpResponse:
    """A new queue of what the filter in the address (GET) or in the form (POST) picks: trajectories, or pairs."""
    access = access_project(request, project, Role.CURATOR)
    fields = request.POST or request.GET
    kind = Queue.Kind.PAIRWISE if fields.get("kind") == Queue.Kind.PAIRWISE else Queue.Kind.SINGLE
    chosen, conditions = choose_items(access, kind, fields)
    form = QueueForm(request.POST or None, project=access.project)
    if request.method == "POST" and chosen.is_valid() and form.is_valid():
        rows: dict[str, Any] = {"pairs" if kind == Queue.Kind.PAIRWISE else "trajectories": chosen.qs}
        try:
            queue = create_queue(access, **rows, **form.cleaned_data, conditions=conditions)
        except ValueError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{queue.name} is ready.")
            return redirect("curation:queue-detail", project, queue.pk)
    context = {
        "form": form,
        "kind": kind,
        "kinds": Queue.Kind.choices,
        "filter": chosen,
        "conditions": conditions,
        "count": chosen.qs.count() if chosen.is_valid() else 0,
        "models": list_models(access),
        "tags": list_tags(access),
        "saved_filters": link_filters(access, "curation:queue-create") if kind == Queue.Kind.SINGLE else [],
        "queues": access.project.queues.filter(kind=kind).order_by("name"),
    }
    return render(request, "curation/queue_create.html", context)


@require_POST
def queue_extend(request: HttpRequest, project: str) -> HttpResponse:
    """What the form's filter picks, for a queue that is there already."""
    access = access_project(request, project, Role.CURATOR)
    number = request.POST.get("into", "")
    queue = get_queue(access, int(number) if number.isdecimal() and len(number) < 19 else 0)
    chosen, _ = choose_items(access, queue.kind, request.POST)
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
        "may_take": may_take(access, queue),
        "filled_from": _link_filter(access, queue),
        "accuracy": {one.name: one for one in measure_accuracy(queue)} if access.is_curator else {},
    }
    return render(request, "curation/queue_detail.html", context)


@require_http_methods(["GET", "POST"])
def queue_change(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    queue = get_queue(access, pk)
    form = QueueChangeForm(request.POST or None, instance=get_queue(access, pk), project=access.project)
    if request.method == "POST" and form.is_valid():
        try:
            change_queue(access, queue, **form.cleaned_data)
        except ValueError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Saved.")
            return redirect("curation:queue-detail", project, pk)
    return render(request, "curation/queue_change.html", {"queue": queue, "form": form})


def _link_filter(access: Access, queue: Queue) -> str:
    """The list under the conditions that the queue was filled from."""
    page = "curation:pair-list" if queue.kind == Queue.Kind.PAIRWISE else "curation:trajectory-list"
    return f"{reverse(page, args=[access.project.slug])}?{urlencode(queue.conditions)}"
