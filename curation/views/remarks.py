"""The discussion of a trajectory, and the mentions of whoever is looking."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.models import Trajectory
from curation.permissions import (
    HIDDEN_THREAD,
    Access,
    access_project,
    check_mentions,
    get_remark,
    get_trajectory,
)
from curation.selectors.pages import BadCursor, take_page
from curation.selectors.remarks import Thread, count_unseen, list_names, read_mentions, read_thread, write_lines
from curation.services.remarks import LONGEST, add_remark, mark_seen, remove_remark


def thread_context(access: Access, trajectory: Trajectory, *, cursor: str | None = None) -> dict[str, object]:
    """What parts/thread.html needs. Raises BadCursor."""
    return _describe(trajectory, read_thread(access, trajectory, cursor=cursor))


def _describe(trajectory: Trajectory, thread: Thread) -> dict[str, object]:
    return {"trajectory": trajectory, "thread": thread, "why_hidden": HIDDEN_THREAD, "longest": LONGEST}


@require_http_methods(["GET", "POST"])
def remark_list(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """GET shows the discussion alone, to htmx what changed in it, or with `whole` all of it; POST adds to it."""
    access = access_project(request, project)
    trajectory = get_trajectory(access, pk)
    if request.method == "POST":
        return _add(request, access, trajectory)
    if "whole" in request.GET:
        return render(request, "parts/thread.html", thread_context(access, trajectory))
    if _is_htmx(request):
        thread = read_thread(access, trajectory)
        if thread.state == request.GET.get("state"):
            return HttpResponse(status=204)  # htmx leaves everything where it is
        return render(request, "parts/thread.html#remarks", _describe(trajectory, thread))
    try:
        context = thread_context(access, trajectory, cursor=request.GET.get("after"))
    except (BadCursor, ValueError) as error:
        context = {**thread_context(access, trajectory), "problem": str(error)}
    return render(request, "curation/remark_list.html", context)


def _add(request: HttpRequest, access: Access, trajectory: Trajectory) -> HttpResponse:
    text, problem = request.POST.get("text", ""), ""
    try:
        remark = add_remark(access, trajectory, text)
    except (ValueError, PermissionDenied) as error:
        problem = str(error)
    else:
        if not _is_htmx(request):
            address = reverse("curation:trajectory-detail", args=[access.project.slug, trajectory.pk])
            return redirect(f"{address}#remark-{remark.pk}")
    context = thread_context(access, trajectory)
    if problem:
        context |= {"problem": problem, "typed": text}
    if _is_htmx(request):
        return render(request, "parts/thread.html#thread", context)
    return render(request, "curation/remark_list.html", context, status=400)


@require_POST
def remark_remove(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project)
    remark = get_remark(access, pk)
    remove_remark(access, remark)
    if _is_htmx(request):
        return render(request, "parts/thread.html#remarks", thread_context(access, remark.trajectory))
    messages.success(request, "The remark was removed.")
    return redirect("curation:remark-list", project, remark.trajectory_id)


@require_GET
def remark_names(request: HttpRequest, project: str) -> HttpResponse:
    """What a name is completed from."""
    return JsonResponse({"names": list_names(access_project(request, project))})


@require_GET
def mention_list(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project)
    mentions, problem = read_mentions(access), ""
    try:
        page = take_page(mentions, order="-id", cursor=request.GET.get("after"))
    except (BadCursor, ValueError) as error:
        problem, page = str(error), take_page(mentions, order="-id", cursor=None)
    lines = write_lines(access, page.rows)
    unseen = [line.mention.pk for line in lines if line.mention.seen_at is None and not line.hidden]
    context = {"page": page, "lines": lines, "unseen": unseen, "problem": problem, "why_hidden": HIDDEN_THREAD}
    return render(request, "curation/mention_list.html", context)


@require_POST
def mention_seen(request: HttpRequest, project: str) -> HttpResponse:
    """What a page showed of the caller's mentions is seen: sent by the page itself, or by its button without script."""
    access = access_project(request, project)
    sent = request.POST.getlist("mention")
    if not all(pk.isdecimal() and len(pk) < 19 for pk in sent):
        raise Http404("No such mention.")
    shown = [int(pk) for pk in sent]
    check_mentions(access, shown)
    mark_seen(access, shown)
    if _is_htmx(request):
        return render(request, "parts/unseen.html", {"number": count_unseen(access), "swapped": True})
    return redirect("curation:mention-list", project)


def _is_htmx(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))
