"""What a selection keeps of the hard tasks: the report, its target, and an action for each gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.bias import FOUR_FIFTHS, read_target
from curation.difficulty import BANDS
from curation.difficulty_forms import KINDS, TargetForm, begin_form
from curation.jobs import fit_difficulty
from curation.models import Queue, Role
from curation.permissions import access_project, get_queue
from curation.selectors.difficulty import (
    UNITS,
    Difficulty,
    Selection,
    count_failures,
    find_last_fit,
    find_policies,
    measure_difficulty,
)
from curation.selectors.tasks import list_tasks
from curation.services.difficulty_fits import queue_fit
from curation.services.queues import order_by_deficit
from curation.services.rescue import rescue_band
from curation.services.targets import set_target
from curation.waterfall import Band, Stage, keep_ratios

DISAGREEMENTS = 8
NOTICEABLE = 0.005
"""A share that a band lacks, from which on something is offered to be done about it."""

ALL_BANDS: tuple[Band, ...] = (*BANDS, None)


@dataclass(frozen=True)
class Cell:
    """What a bar or a table shows of a band: the amount, its share of the known bands, and the tasks behind it."""

    band: Band
    amount: float
    share: float | None
    query: str


@require_GET
def difficulty_report(request: HttpRequest, project: str) -> HttpResponse:
    """The report in one unit (`unit`), with one selection looked at closely (`of`)."""
    access = access_project(request, project)
    unit = request.GET.get("unit", "tokens")
    unit = unit if unit in UNITS else "tokens"
    measured = measure_difficulty(access.project, unit=unit)
    chosen = measured.find(request.GET.get("of", ""))
    policies = find_policies(access.project)
    context: dict[str, Any] = {
        "measured": measured,
        "unit": unit,
        "units": UNITS,
        "target_words": dict(KINDS)[measured.target.kind].split(":")[0].lower(),
        "chosen": chosen,
        "rows": _draw_rows(measured),
        "gaps": _draw_gaps(measured, chosen, count_failures(access.project) if access.is_curator else {}),
        "four_fifths": FOUR_FIFTHS,
        "waterfall": draw_stages(measured.stages),
        "frozen_waterfall": _draw_frozen(chosen),
        "disagreements": list_tasks(access).filter(bands_apart=True).order_by("pk")[:DISAGREEMENTS],
        "disagreement_count": list_tasks(access).filter(bands_apart=True).count(),
        "undecided_count": list_tasks(access).filter(grades_apart=True).count(),
        "fit": find_last_fit(access.project),
        "policies": policies,
        "groups": len({policy["group"] for policy in policies}),
        "queues": _list_other_queues(access.project.pk) if access.is_curator else [],
    }
    return render(request, "curation/difficulty_report.html", context)


@require_http_methods(["GET", "POST"])
def difficulty_target(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    form = TargetForm(request.POST) if request.method == "POST" else begin_form(read_target(access.project.target))
    if request.method == "POST" and form.is_valid():
        set_target(access, form.cleaned_data["target"])
        messages.success(request, "The target is set. Everything is measured against it from now on.")
        return redirect("curation:difficulty-report", project)
    pool = measure_difficulty(access.project).pool
    context = {"form": form, "pool": [(band, pool[band]) for band in BANDS]}
    return render(request, "curation/difficulty_target.html", context, status=400 if form.errors else 200)


@require_POST
def difficulty_rescue(request: HttpRequest, project: str) -> HttpResponse:
    """Send the failed attempts of `band` to its correction queue."""
    access = access_project(request, project, Role.CURATOR)
    band = request.POST.get("band", "")
    if band not in map(str, BANDS):
        messages.error(request, "There is no such difficulty: nothing was sent.")
        return redirect("curation:difficulty-report", project)
    try:
        queue, added = rescue_band(access, int(band))
    except ValueError as error:
        messages.error(request, str(error))
        return redirect("curation:difficulty-report", project)
    messages.success(request, f"{added:,} failed attempts at difficulty {band} are in {queue.name}, to be corrected.")
    return redirect("curation:queue-detail", project, queue.pk)


@require_POST
def difficulty_order(request: HttpRequest, project: str) -> HttpResponse:
    """Put `queue` in the order of the deficit."""
    access = access_project(request, project, Role.CURATOR)
    number = request.POST.get("queue", "")
    queue = get_queue(access, int(number) if number.isdecimal() and len(number) < 19 else 0)
    order_by_deficit(access, queue)
    messages.success(request, f"{queue.name} serves the difficulty that accepted trajectories lack most first.")
    return redirect("curation:difficulty-report", project)


@require_POST
def difficulty_fit(request: HttpRequest, project: str) -> HttpResponse:
    """Compute all pass rates anew."""
    access = access_project(request, project, Role.CURATOR)
    fit_difficulty.delay_on_commit(queue_fit(access.project, access.user).pk)
    messages.success(request, "Difficulties are being computed anew.")
    return redirect("curation:difficulty-report", project)


def _list_other_queues(project: int) -> list[Queue]:
    return list(Queue.objects.filter(project=project).exclude(order=Queue.Order.DEFICIT).order_by("name")[:200])


def _draw_cells(amounts: dict[Band, float], **conditions: object) -> list[Cell]:
    total = sum(amounts[band] for band in BANDS)
    return [
        Cell(
            band,
            amounts[band],
            amounts[band] / total if band and total else None,
            urlencode({"band": band or "unknown", **conditions}),
        )
        for band in ALL_BANDS
    ]


def _draw_rows(measured: Difficulty) -> list[dict[str, Any]]:
    """The pool, the target, and each selection, by band."""
    pool = {"label": "Pool", "cells": _draw_cells(measured.pool)}
    target = {"label": "Target", "target": True, "cells": [Cell(band, 0, measured.shares[band], "") for band in BANDS]}
    selected = [
        {"label": one.label, "selection": one, "cells": _draw_cells(one.amounts, **_point_at(one))}
        for one in measured.selections
    ]
    return [pool, target, *selected]


def _point_at(selection: Selection) -> dict[str, object]:
    """The filter of tasks that leads to those of a selection."""
    return {"has": "accepted"} if selection.version is None else {"version": selection.version}


def _draw_gaps(measured: Difficulty, chosen: Selection, failures: dict[int, int]) -> list[dict[str, Any]]:
    report = chosen.report
    return [
        {
            "band": band,
            "target": report.target[band],
            "selected": report.selected[band],
            "deficit": report.deficit[band],
            "lacks": report.deficit[band] >= NOTICEABLE,
            "retention": report.retention[band],
            "flagged": band in report.flagged,
            "unreachable": band in report.unreachable,
            "failures": failures.get(band, 0),
            "missing": urlencode({"band": band, "has": "no-accepted"}),
        }
        for band in BANDS
    ]


def draw_stages(stages: list[Stage] | tuple[Stage, ...], *, linked: bool = True) -> list[dict[str, Any]]:
    """Stages with what each kept and lost of the one before, by band; its cells lead to the tasks that are left."""
    drawn = []
    for before, stage in zip((None, *stages), stages, strict=False):
        has = {} if stage.stage == "collected" else {"has": stage.stage}
        cells = _draw_cells(stage.bands, **has)
        ratios = keep_ratios(before, stage) if before else {}
        losses = [
            {"band": band, "lost": stage.lost[band], "share": stage.lost[band] / before.bands[band]}
            for band in BANDS
            if before and stage.lost[band]
        ]
        drawn.append(
            {
                "label": stage.label,
                "cells": cells,
                "total": stage.total,
                "tasks": sum(stage.tasks.values()),
                "losses": losses,
                "flagged": {band: ratio for band, ratio in ratios.items() if ratio is not None and ratio < FOUR_FIFTHS},
                "linked": linked,
            }
        )
    return drawn


def _draw_frozen(chosen: Selection) -> list[dict[str, Any]]:
    return draw_stages(chosen.stages, linked=False)
