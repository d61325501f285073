"""Tasks: the list behind every figure of the Difficulty page, and their keys to take away."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from curation.permissions import access_project
from curation.selectors.pages import BadCursor, take_page
from curation.selectors.tasks import ORDERS, count_attempts, list_tasks, stream_tasks
from curation.task_filters import TaskFilter, read_task_conditions

FORMS = {"csv": ("CSV", "text/csv; charset=utf-8"), "jsonl": ("JSON lines", "application/x-ndjson")}


@require_GET
def task_list(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project)
    chosen = TaskFilter(request.GET, queryset=list_tasks(access))
    order = request.GET.get("order", "id")
    problem = "" if chosen.is_valid() else "That filter does not exist; showing everything."
    rows = chosen.qs if chosen.is_valid() else list_tasks(access)
    try:
        page = take_page(rows, order=order if order in ORDERS else "id", cursor=request.GET.get("after"))
    except (BadCursor, ValueError) as error:
        problem, page = str(error), take_page(rows, order="id", cursor=None)
    context = {
        "filter": chosen,
        "page": page,
        "counts": count_attempts(page.rows),
        "count": rows.count(),
        "orders": ORDERS,
        "order": order,
        "problem": problem,
        "forms": {name: label for name, (label, _) in FORMS.items()},
    }
    return render(request, "curation/task_list.html", context)


@require_GET
def task_list_export(request: HttpRequest, project: str) -> HttpResponseBase:
    """What fits the filter in the address, as `format`: csv or jsonl."""
    access = access_project(request, project)
    chosen = TaskFilter(read_task_conditions(request.GET), queryset=list_tasks(access))
    form = request.GET.get("format", "csv")
    if form not in FORMS or not chosen.is_valid():
        return HttpResponse("There is no such format or filter.", status=400, content_type="text/plain")
    response = StreamingHttpResponse(stream_tasks(chosen.qs, form), content_type=FORMS[form][1])
    response["Content-Disposition"] = f'attachment; filename="tasks.{form}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
