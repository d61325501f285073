"""Rubrics: the guidelines and criteria of a queue, version by version."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from curation.models import Role, Rubric
from curation.permissions import access_project, get_queue
from curation.services.rubrics import MOST_CRITERIA, write_rubric
from curation.views.queue_tabs import tabs_context

BLANK_ROWS = 2


@require_http_methods(["GET", "POST"])
def queue_rubric(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """GET shows the version in force, or `?number=` an older one; POST writes the next one."""
    access = access_project(request, project, Role.CURATOR if request.method == "POST" else None)
    queue = get_queue(access, pk)
    versions = list(Rubric.objects.filter(queue=queue).select_related("created_by").order_by("-number"))
    wanted = request.GET.get("number", "")
    shown = next((version for version in versions if str(version.number) == wanted), versions[0] if versions else None)
    rows = [_as_fields(criterion) for criterion in (shown.criteria if shown else [])]
    context: dict[str, Any] = {
        **tabs_context(access, queue, "rubric"),
        "versions": versions,
        "shown": shown,
        "guidelines": shown.guidelines if shown else "",
        "base": versions[0].number if versions else 0,
    }
    if request.method == "POST":
        rows = _read_rows(request.POST)
        context["guidelines"] = request.POST.get("guidelines", "")
        base = request.POST.get("base", "")
        try:
            rubric = write_rubric(
                access,
                queue,
                guidelines=context["guidelines"],
                criteria=[_as_criterion(row) for row in rows],
                base=int(base) if base.isdecimal() and len(base) < 9 else 0,
            )
        except ValueError as error:
            context["problem"] = str(error)
        else:
            messages.success(request, f"Version {rubric.number} of the rubric is in force.")
            return redirect("curation:queue-rubric", project, pk)
    blank = min(BLANK_ROWS, MOST_CRITERIA - len(rows))
    context["rows"] = list(enumerate([*rows, *({} for _ in range(blank))]))
    return render(request, "curation/queue_rubric.html", context)


def _read_rows(data: QueryDict) -> list[dict[str, str]]:
    """The rows of the form that say anything; one whose name was emptied is left out."""
    names = ("key", "name", "description", "levels")
    rows = [{name: data.get(f"{name}-{row}", "") for name in names} for row in range(MOST_CRITERIA)]
    return [row for row in rows if row["name"].strip() or (row["levels"].strip() and not row["key"])]


def _as_fields(criterion: dict[str, Any]) -> dict[str, str]:
    levels = "\n".join(f"{level['value']} {level['label']}" for level in criterion["levels"])
    return {"levels": levels} | {name: criterion[name] for name in ("key", "name", "description")}


def _as_criterion(row: dict[str, str]) -> dict[str, Any]:
    """A criterion of its fields. Levels stand one to a line, lowest first: `1 Poor`, or `Poor` and so on from 1."""
    levels: list[dict[str, Any]] = []
    for line in filter(None, map(str.strip, row["levels"].splitlines())):
        number, _, label = line.partition(" ")
        numbered = number.isdecimal() and len(number) < 3
        value = int(number) if numbered else (levels[-1]["value"] if levels else 0) + 1
        levels.append({"value": value, "label": (label if numbered else line).strip()})
    return {"levels": levels} | {name: row[name] for name in ("key", "name", "description")}
