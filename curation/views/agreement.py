"""How far the reviewers of a queue agree, and the items behind each cell of the confusion table. For curators."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from curation.models import Queue, Role
from curation.permissions import access_project, get_queue
from curation.selectors.agreement import (
    ITEMS_MEASURED,
    Agreement,
    Criterion,
    Report,
    list_cell_items,
    list_criteria,
    measure_queue,
)
from curation.selectors.disagreements import show_answers
from curation.views.pages import page_context
from curation.views.queue_tabs import tabs_context


@require_GET
def queue_agreement(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """All criteria, and one of them (`criterion` in the address) with its confusion table. Asked for by htmx, only the
    headline of the queue's page: to load the packages takes longer than that page may."""
    access = access_project(request, project, Role.CURATOR)
    queue = get_queue(access, pk)
    report = measure_queue(queue)
    if request.headers.get("HX-Request"):
        context: dict[str, Any] = {"queue": queue, "headline": report.agreements[0]}
        return render(request, "curation/queue_agreement.html#headline", context)
    chosen = report.find(request.GET.get("criterion", "")) or report.agreements[0]
    context = {
        **tabs_context(access, queue, "agreement"),
        "report": report,
        "chosen": chosen,
        "table": _draw_table(report, chosen),
        "compared": _draw_compared(report, chosen),
        "items_measured": ITEMS_MEASURED,
    }
    return render(request, "curation/queue_agreement.html", context)


@require_GET
def queue_agreement_items(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """The items behind a cell: `criterion`, `row` and `column`, and the ids of two people as `first` and `second`."""
    access = access_project(request, project, Role.CURATOR)
    queue = get_queue(access, pk)
    criterion, places, people = _read_cell(request, queue)
    items = list_cell_items(queue, criterion, places, people=people)
    if queue.kind == Queue.Kind.PAIRWISE:
        items = items.select_related("pair__task").defer("pair__task__instruction")
    else:
        items = items.select_related("trajectory__task").defer("trajectory__task__instruction")
    context = {
        **tabs_context(access, queue, "agreement"),
        **page_context(request, show_answers(items)),
        "criterion": criterion,
        "answers": [criterion.labels[place] for place in places],
        "count": items.count(),
    }
    return render(request, "curation/queue_agreement_items.html", context)


def _read_cell(request: HttpRequest, queue: Queue) -> tuple[Criterion, tuple[int, int], tuple[int, int] | None]:
    criteria = {criterion.name: criterion for criterion in list_criteria(queue)}
    criterion = criteria.get(request.GET.get("criterion", ""))
    if criterion is None:
        raise Http404("This queue asks for no such criterion.")
    row, column = (criterion.parse_value(request.GET.get(name, "")) for name in ("row", "column"))
    if row is None or column is None:
        raise Http404(f"{criterion.label} has no such value.")
    people = [request.GET.get(name, "") for name in ("first", "second")]
    if not any(people):
        return criterion, (row, column), None
    if not all(person.isdecimal() and len(person) < 19 for person in people):
        raise Http404("There is no such reviewer.")
    return criterion, (row, column), (int(people[0]), int(people[1]))


def _draw_table(report: Report, chosen: Agreement) -> dict[str, Any]:
    """The confusion table for the template: titles, and each cell with its share of the largest and its address."""
    criterion, people = chosen.criterion, chosen.measured.reviewers
    two = len(people) == 2
    most = max((cell for row in chosen.table for cell in row), default=0)
    rows = []
    for place, cells in enumerate(chosen.table):
        drawn = []
        for other, number in enumerate(cells):
            query = {"criterion": criterion.name, "row": criterion.values[place], "column": criterion.values[other]}
            if two:
                query |= {"first": people[0], "second": people[1]}
            shade = -(-4 * number // most) if most else 0
            drawn.append({"number": number, "shade": shade, "same": place == other, "query": urlencode(query)})
        rows.append({"label": criterion.labels[place], "cells": drawn})
    names = [report.names.get(person, "") for person in people] if two else ["One reviewer", "Another"]
    return {"rows": rows, "names": names, "two": two, "empty": most == 0}


def _draw_compared(report: Report, chosen: Agreement) -> list[dict[str, Any]]:
    """Kappa of any two reviewers as the rows of a square; empty where no two met."""
    rows = []
    for one in chosen.people:
        cells = []
        for other in chosen.people:
            kappa, items = chosen.compared.get((min(one, other), max(one, other)), (None, 0))
            cells.append({"same": one == other, "kappa": kappa, "items": items})
        rows.append({"name": report.names.get(one, ""), "cells": cells})
    return rows if len(chosen.people) > 1 else []
