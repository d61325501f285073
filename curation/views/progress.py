"""How far a queue is: the page, and what can be taken away as CSV."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from curation.permissions import access_project, get_queue
from curation.selectors.answers import stream_answers, stream_progress
from curation.selectors.progress import measure_progress
from curation.selectors.queues import list_holds, list_skips
from curation.views.queue_tabs import tabs_context


@require_GET
def queue_progress(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project)
    queue = get_queue(access, pk)
    context = {
        **tabs_context(access, queue, "progress"),
        "progress": measure_progress(queue, with_gold=not access.is_curator),
        "holds": list_holds(queue),
        "skips": list_skips(queue) if access.is_curator else [],
    }
    return render(request, "curation/queue_progress.html", context)


@require_GET
def queue_progress_export(request: HttpRequest, project: str, pk: int) -> HttpResponseBase:
    access = access_project(request, project)
    queue = get_queue(access, pk)
    lines = stream_progress(measure_progress(queue, with_gold=not access.is_curator))
    return _send_csv(lines, f"queue-{queue.pk}-progress.csv")


@require_GET
def queue_reviews_export(request: HttpRequest, project: str, pk: int) -> HttpResponseBase:
    """The answers that the caller may see."""
    access = access_project(request, project)
    queue = get_queue(access, pk)
    return _send_csv(stream_answers(access, queue), f"queue-{queue.pk}-reviews.csv")


def _send_csv(lines: Iterator[str], name: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
