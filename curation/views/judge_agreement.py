"""How far a judge agrees with the people, and the trajectories behind each cell of the table. For curators."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from curation.models import Role
from curation.permissions import access_project, get_judge
from curation.selectors.judge_agreement import OPINIONS_MEASURED, JudgeAgreement, list_cell_opinions, measure_judge
from curation.selectors.pages import BadCursor, take_page


@require_GET
def judge_agreement(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """All scales with their tables. Asked for by htmx, only the figures of the judge's page: to load the packages
    takes longer than that page may."""
    access = access_project(request, project, Role.CURATOR)
    judge = get_judge(access, pk)
    found = measure_judge(judge)
    context = {
        "judge": judge,
        "found": [(one, _draw_table(one)) for one in found],
        "opinions_measured": OPINIONS_MEASURED,
    }
    part = "#headline" if request.headers.get("HX-Request") else ""
    return render(request, f"curation/judge_agreement.html{part}", context)


@require_GET
def judge_agreement_trajectories(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """The trajectories behind a cell: `scale`, what people said as `row`, what the judge said as `column`."""
    access = access_project(request, project, Role.CURATOR)
    judge = get_judge(access, pk)
    one, places = _read_cell(request, measure_judge(judge))
    try:
        page = take_page(list_cell_opinions(judge, one, places), order="-id", cursor=request.GET.get("after"))
    except BadCursor as error:
        messages.error(request, str(error))
        return redirect("curation:judge-agreement", project, pk)
    context = {
        "judge": judge,
        "one": one,
        "answers": [one.scale.labels[place] for place in places],
        "count": len(one.behind.get(places, ())),
        "page": page,
    }
    return render(request, "curation/judge_agreement_trajectories.html", context)


def _read_cell(request: HttpRequest, found: list[JudgeAgreement]) -> tuple[JudgeAgreement, tuple[int, int]]:
    one = next((one for one in found if one.scale.name == request.GET.get("scale", "")), None)
    if one is None:
        raise Http404("This judge says nothing on such a scale.")
    values = one.scale.values
    row, column = (request.GET.get(name, "") for name in ("row", "column"))
    if row not in values or column not in values:
        raise Http404(f"{one.scale.label} has no such value.")
    return one, (values.index(row), values.index(column))


def _draw_table(one: JudgeAgreement) -> list[dict[str, Any]]:
    """The rows of the table, each cell with its share of the largest and its address."""
    most = max(max(cells) for cells in one.table)
    rows = []
    for place, cells in enumerate(one.table):
        drawn = []
        for other, number in enumerate(cells):
            query = {"scale": one.scale.name, "row": one.scale.values[place], "column": one.scale.values[other]}
            shade = -(-4 * number // most) if most else 0
            drawn.append({"number": number, "shade": shade, "same": place == other, "query": urlencode(query)})
        rows.append({"label": one.scale.labels[place], "cells": drawn})
    return rows
