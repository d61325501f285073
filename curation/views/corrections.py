"""Correcting a step: the form, the difference it makes, and saving it as a new revision."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from curation.formats.document import text_of
from curation.models import Reservation
from curation.permissions import (
    Access,
    access_project,
    get_reservation,
    get_revision,
    get_trajectory,
    require_correction,
)
from curation.revisions.edits import Edit
from curation.selectors.trajectories import read_steps
from curation.services.corrections import EditConflict, correct_trajectory, parse_edit, preview_edit

OPERATIONS = {
    "edit": "Change this step",
    "insert": "Insert a new step after it",
    "delete": "Delete this step",
    "truncate": "Leave out everything after it",
}


@require_http_methods(["GET", "POST"])
def step_edit(request: HttpRequest, project: str, pk: int, step_id: int) -> HttpResponse:
    """GET shows the form; POST shows the difference, and with `save` makes the revision."""
    access = access_project(request, project)
    trajectory = get_trajectory(access, pk)
    require_correction(access, trajectory)
    reservation = _find_reservation(request, access, pk)
    fields = request.POST or request.GET
    base = (
        int(fields["base"])
        if fields.get("base", "").isdecimal() and len(fields["base"]) < 9
        else trajectory.head_number
    )
    steps = read_steps(get_revision(access, trajectory, base), first=step_id, number=1)
    if not steps:
        raise Http404(f"Revision {base} has no step {step_id}.")
    back = (
        reverse("curation:queue-review", args=[project, reservation.pk])
        if reservation
        else trajectory_address(access, pk)
    )
    context: dict[str, Any] = {
        "trajectory": trajectory,
        "step": steps[0],
        "base": base,
        "back": back,
        "reservation": reservation,
        "operations": OPERATIONS,
        "operation": fields.get("operation", "edit"),
        "values": {"arguments": "{}", **fields_of(steps[0]), **request.POST.dict()},
    }
    if request.method == "POST":
        try:
            edit = read_edit(_plain(request.POST), steps[0])
            if "save" in request.POST:
                revision = correct_trajectory(
                    access, trajectory, edit, base=base, reason=request.POST.get("reason", "")
                )
                messages.success(request, f"Saved as revision {revision.number}.")
                return redirect(f"{back}#step-{step_id}")
            context["changes"] = preview_edit(trajectory, edit, base=base)
            context["nothing"] = not context["changes"]
        except EditConflict as error:
            context["problem"], context["conflict"] = str(error), True
        except ValueError as error:
            context["problem"] = str(error)
    return render(request, "curation/step_edit.html", context)


def trajectory_address(access: Access, pk: int) -> str:
    return reverse("curation:trajectory-detail", args=[access.project.slug, pk])


def fields_of(step: dict[str, Any]) -> dict[str, str]:
    """The form's fields for a step as it stands, by name."""
    fields = {"message": text_of(step.get("message")), "reasoning": step.get("reasoning_content") or ""}
    for call in step.get("tool_calls") or []:
        fields[f"name-{call['tool_call_id']}"] = call["function_name"]
        fields[f"arguments-{call['tool_call_id']}"] = call["arguments_raw"]
    for number, result in enumerate((step.get("observation") or {}).get("results") or []):
        fields[f"result-{number}"] = text_of(result.get("content"))
    return fields


def read_edit(data: dict[str, str], step: dict[str, Any]) -> Edit:
    """The edit that the form describes: only what differs from the step as it stands. Raises ValueError."""
    step_id, operation = step["step_id"], data.get("operation", "edit")
    if operation == "insert":
        return _read_insertion(data, step_id)
    if operation != "edit":
        return parse_edit({"kind": operation, "step_id": step_id})
    changed = {name: _lines(data[name]) for name, now in fields_of(step).items() if _differs(data.get(name), now)}
    calls = []
    for call in step.get("tool_calls") or []:
        pk = call["tool_call_id"]
        parts = {"function_name": changed.get(f"name-{pk}"), "arguments_raw": changed.get(f"arguments-{pk}")}
        if any(part is not None for part in parts.values()):
            calls.append({"tool_call_id": pk, **parts})
    results = [name.removeprefix("result-") for name in changed if name.startswith("result-")]
    return parse_edit(
        {
            "kind": "edit",
            "step_id": step_id,
            "message": changed.get("message"),
            "reasoning_content": changed.get("reasoning"),
            "tool_calls": calls,
            "observations": [{"result": int(number), "text": changed[f"result-{number}"]} for number in results],
        }
    )


def _read_insertion(data: dict[str, str], step_id: int) -> Edit:
    name = data.get("name", "").strip()
    call = {"function_name": name, "arguments_raw": _lines(data.get("arguments", "")) or "{}"}
    if data.get("result", "").strip():
        call["observation"] = _lines(data["result"])
    words = _lines(data.get("words", ""))
    return parse_edit(
        {"kind": "insert", "after_step_id": step_id, "message": words, "tool_calls": [call] if name else []}
    )


def _differs(sent: str | None, now: str) -> bool:
    """Whether a field was edited. Browsers turn every end of line into CR LF: that alone is no edit."""
    return sent is not None and _lines(sent) != _lines(now)


def _plain(data: QueryDict) -> dict[str, str]:
    return {name: str(value) for name, value in data.items()}


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def _find_reservation(request: HttpRequest, access: Access, trajectory: int) -> Reservation | None:
    """The caller's own hold on this trajectory, where the page was opened from one."""
    wanted = (request.POST or request.GET).get("reservation", "")
    if not (wanted.isdecimal() and len(wanted) < 16):
        return None
    reservation = get_reservation(access, int(wanted))
    own = reservation.reviewer_id == access.user.pk and reservation.item.trajectory_id == trajectory
    if not own or reservation.state != Reservation.State.HELD:
        raise Http404("You do not hold this trajectory.")
    return reservation
