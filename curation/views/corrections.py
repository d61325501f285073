"""Correcting a step: the form, the difference it makes, and saving it as a new revision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from curation.correction_forms import OPERATIONS, SOURCES, carry_over, fields_of, read_edit
from curation.jobs import index_project
from curation.models import Reservation, Trajectory
from curation.permissions import (
    Access,
    access_project,
    get_own_reservation,
    get_revision,
    get_trajectory,
    require_correction,
)
from curation.revisions import DeleteStep, Edit, InsertStep
from curation.revisions.tool_schema import CallCheck, check_call, list_tool_names
from curation.selectors.corrections import compare_with_head, list_later_revisions, read_tools
from curation.selectors.trajectories import read_steps
from curation.services.corrections import EditConflict, correct_trajectory, preview_edit
from curation.services.queues import renew_lease


@dataclass
class Desk:
    """What one request corrects: a step of a revision, what was typed, and where the reader came from."""

    access: Access
    trajectory: Trajectory
    reservation: Reservation | None
    base: int
    step: dict[str, Any]
    typed: dict[str, str]

    @property
    def back(self) -> str:
        if self.reservation:
            return reverse("curation:queue-review", args=[self.access.project.slug, self.reservation.pk])
        return reverse("curation:trajectory-detail", args=[self.access.project.slug, self.trajectory.pk])

    @property
    def is_outdated(self) -> bool:
        return self.base != self.trajectory.head_number


@require_http_methods(["GET", "POST"])
def step_edit(request: HttpRequest, project: str, pk: int, step_id: int) -> HttpResponse:
    """GET shows the form; POST the difference it makes. `save` makes the revision, `rebase` goes on from the newest."""
    access = access_project(request, project)
    trajectory = get_trajectory(access, pk)
    if request.method == "GET":
        require_correction(access, trajectory)
        typed = {name: request.GET[name] for name in ("base", "reservation", "operation") if name in request.GET}
    else:
        typed = {name: str(value) for name, value in request.POST.items()}
    desk = _open_desk(access, trajectory, step_id, typed)
    shown: dict[str, Any] = {}
    try:
        require_correction(access, trajectory)
        if desk.reservation:
            renew_lease(desk.reservation)
        if "rebase" in desk.typed:
            return _make_mine_on_theirs(request, desk)
        if request.method == "POST":
            edit = read_edit(desk.typed, desk.step)
            if "save" in desk.typed:
                return _save(request, desk, edit)
            preview = preview_edit(trajectory, edit, base=desk.base)
            shown = {"preview": preview, "nothing": not preview.changes}
    except EditConflict:
        trajectory.refresh_from_db()
    except ValueError as error:
        shown = {"problem": str(error)}
    except PermissionDenied as error:  # the hold was lost while they typed: their text is shown, not lost
        return _render_form(request, desk, status=403, problem=f"{error} Nothing was saved; copy what you typed.")
    return _render_form(request, desk, **shown)


@require_POST
def step_check(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """What is wrong with the call that is being typed; without a call, it only renews the hold."""
    access = access_project(request, project)
    trajectory = get_trajectory(access, pk)
    require_correction(access, trajectory)
    reservation = _find_reservation(access, trajectory, request.POST.get("reservation", ""))
    if reservation:
        renew_lease(reservation)
    call = request.GET.get("call", "")
    if not call:
        return HttpResponse(status=204)
    tools = read_tools(get_revision(access, trajectory, _read_base(request.POST.dict(), trajectory)))
    name, arguments = request.POST.get(f"name-{call}", ""), request.POST.get(f"arguments-{call}", "")
    return render(request, "curation/step_check.html", {"check": _check_field(call, name, arguments, tools)})


def _open_desk(access: Access, trajectory: Trajectory, step_id: int, typed: dict[str, str]) -> Desk:
    reservation = _find_reservation(access, trajectory, typed.get("reservation", ""))
    base = _read_base(typed, trajectory)
    return Desk(access, trajectory, reservation, base, _read_step(access, trajectory, base, step_id), typed)


def _save(request: HttpRequest, desk: Desk, edit: Edit) -> HttpResponse:
    reason = desk.typed.get("reason", "")
    revision = correct_trajectory(desk.access, desk.trajectory, edit, base=desk.base, reason=reason)
    index_project.delay_on_commit(desk.access.project.pk)
    messages.success(request, f"Saved as revision {revision.number}.")
    step_id: int = desk.step["step_id"]
    if isinstance(edit, InsertStep):
        step_id = edit.after_step_id + 1
    elif isinstance(edit, DeleteStep):
        step_id = min(step_id, desk.trajectory.step_count)
    return redirect(f"{desk.back}#step-{step_id}")


def _make_mine_on_theirs(request: HttpRequest, desk: Desk) -> HttpResponse:
    """The form on the newest revision, with what was typed on the older one."""
    number = _number_at_head(desk)
    if number is None:
        raise ValueError("They left out this step: what you typed has no place in the newest revision.")
    newest = _read_step(desk.access, desk.trajectory, desk.trajectory.head_number, number)
    carried = carry_over(desk.typed, desk.step, newest)
    desk.base, desk.step, desk.typed = desk.trajectory.head_number, newest, carried.values
    return _render_form(request, desk, carried=carried)


def _number_at_head(desk: Desk) -> int | None:
    """Which number the step has in the newest revision; None where it is gone."""
    same = (diff.new for diff in compare_with_head(desk.trajectory, desk.base) if diff.old == desk.step["step_id"])
    return next(same, None)


def _render_form(request: HttpRequest, desk: Desk, *, status: int = 200, **shown: Any) -> HttpResponse:
    tools = read_tools(get_revision(desk.access, desk.trajectory, desk.base))
    values = {**fields_of(desk.step), **desk.typed}
    calls = [str(order) for order in range(1, len(desk.step.get("tool_calls") or []) + 1)]
    context = {
        "trajectory": desk.trajectory,
        "step": desk.step,
        "base": desk.base,
        "back": desk.back,
        "reservation": desk.reservation,
        "operations": OPERATIONS,
        "operation": values["operation"] if values["operation"] in OPERATIONS else "edit",
        "sources": SOURCES,
        "tools": list_tool_names(tools),
        "calls": calls,
        "call_choices": range(len(calls) + 1),
        "result_orders": range(1, len((desk.step.get("observation") or {}).get("results") or []) + 1),
        "checks": {
            call: _check_field(call, values[f"name-{call}"], values[f"arguments-{call}"], tools)
            for call in (*calls, "new")
        },
        "values": values,
        **shown,
    }
    if desk.is_outdated:
        theirs = compare_with_head(desk.trajectory, desk.base)
        context |= {
            "theirs": theirs,
            "later": list_later_revisions(desk.trajectory, desk.base),
            "still_there": any(diff.old == desk.step["step_id"] and diff.new for diff in theirs),
        }
    # The operation whose first field one goes on in; none where there is something to save or to settle first.
    context["focus"] = (
        "" if desk.is_outdated or getattr(shown.get("preview"), "changes", None) else context["operation"]
    )
    return render(request, "curation/step_edit.html", context, status=status)


def _check_field(call: str, name: str, arguments: str, tools: list[Any]) -> CallCheck:
    """An inserted step may have no call at all."""
    if call == "new" and not name.strip() and arguments.strip() in ("", "{}"):
        return CallCheck()
    return check_call(name, arguments, tools)


def _read_step(access: Access, trajectory: Trajectory, base: int, step_id: int) -> dict[str, Any]:
    steps = read_steps(get_revision(access, trajectory, base), first=step_id, number=1) if 0 < step_id < 2**31 else []
    if not steps:
        raise Http404(f"Revision {base} has no step {step_id}.")
    return steps[0]


def _read_base(fields: dict[str, Any], trajectory: Trajectory) -> int:
    base = str(fields.get("base", ""))
    return int(base) if base.isdecimal() and len(base) < 9 else trajectory.head_number


def _find_reservation(access: Access, trajectory: Trajectory, wanted: str) -> Reservation | None:
    """The caller's own hold on this trajectory, where the page was opened from one."""
    if not (wanted.isdecimal() and len(wanted) < 16):
        return None
    reservation = get_own_reservation(access, int(wanted))
    if reservation.item.trajectory_id != trajectory.pk:
        raise Http404("You do not hold this trajectory.")
    return reservation
