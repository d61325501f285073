"""Disagreements of a queue, and the curator's decision of one after another."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.decision_forms import DecisionForm
from curation.difficulty import ANCHORS
from curation.forms import first_error
from curation.models import Queue, QueueItem, Role
from curation.permissions import Access, access_project, get_queue, get_queue_item, get_revision
from curation.selectors.agreement import list_criteria
from curation.selectors.disagreements import (
    find_next_disagreement,
    find_standing,
    list_decisions,
    list_disagreements,
    name_differences,
    show_answers,
)
from curation.services.decisions import decide_trajectory, withdraw_decision
from curation.services.gold import mark_gold
from curation.views.adjudication_tables import compare_reviews
from curation.views.pages import page_context
from curation.views.queue_tabs import tabs_context
from curation.views.reading import reading_context


@require_GET
def queue_disagreements(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Those that are open, or with `decided` in the address those that were decided."""
    access = access_project(request, project, Role.CURATOR)
    queue = get_queue(access, pk)
    decided = "decided" in request.GET
    context = {
        **tabs_context(access, queue, "disagreements"),
        **page_context(request, show_answers(list_disagreements(queue).filter(decided=decided))),
        "decided": decided,
    }
    if queue.kind == Queue.Kind.SINGLE:
        criteria = list_criteria(queue)
        context["differences"] = {
            item.pk: name_differences(criteria, item.given_reviews) for item in context["page"].rows
        }
    return render(request, "curation/queue_disagreements.html", context)


@require_http_methods(["GET", "POST"])
def queue_adjudicate(request: HttpRequest, project: str, pk: int, item: int) -> HttpResponse:
    """GET shows the reviews side by side; POST saves the decision and goes on to the next open disagreement."""
    access = access_project(request, project, Role.CURATOR)
    queue = get_queue(access, pk)
    found = get_queue_item(access, queue, item)
    if found.trajectory is None:
        return redirect(f"{reverse('curation:pair-judge', args=[project, found.pair_id])}?deciding={queue.pk}")
    form = DecisionForm(request.POST or None)
    if request.method == "POST":
        try:
            if not form.is_valid():
                raise ValueError(first_error(form))
            decide_trajectory(access, found.trajectory, item=found, **form.cleaned_data)
        except ValueError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"Trajectory {found.trajectory_id} is decided.")
            return _go_on(access, queue, found)
    return render(request, "curation/queue_adjudicate.html", _adjudication_context(request, access, found, form))


@require_POST
def queue_withdraw(request: HttpRequest, project: str, pk: int, item: int) -> HttpResponse:
    """Takes the decision that stands back: the one before it, or the reviews, count again."""
    access = access_project(request, project, Role.CURATOR)
    found = get_queue_item(access, get_queue(access, pk), item)
    standing = find_standing(found.get_trajectory())
    if standing is not None and withdraw_decision(access, standing):
        messages.success(request, "The decision is taken back.")
    else:
        messages.warning(request, "There is no decision to take back.")
    return redirect("curation:queue-adjudicate", project, pk, item)


@require_POST
def queue_reuse(request: HttpRequest, project: str, pk: int, item: int) -> HttpResponse:
    """Makes a decided trajectory a gold item of the queue that the form names."""
    access = access_project(request, project, Role.CURATOR)
    found = get_queue_item(access, get_queue(access, pk), item)
    number = request.POST.get("queue", "")
    target = get_queue(access, int(number) if number.isdecimal() and len(number) < 19 else 0)
    trajectory = found.get_trajectory()
    standing = find_standing(trajectory)
    try:
        if standing is None:
            raise ValueError("Decide it first: the decision is its known answer.")
        mark_gold(access, target, trajectory, verdict=standing.verdict, grade=standing.grade)
    except ValueError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Trajectory {trajectory.pk} is a gold item of {target.name} now.")
    return redirect("curation:queue-adjudicate", project, pk, item)


def _adjudication_context(
    request: HttpRequest, access: Access, item: QueueItem, form: DecisionForm
) -> dict[str, object]:
    queue, trajectory = item.queue, item.get_trajectory()
    shown = show_answers(queue.items.filter(pk=item.pk)).get()
    reviews = list(getattr(shown, "given_reviews", []))
    criteria = list_criteria(queue)
    newest = get_revision(access, trajectory, trajectory.head_number)
    standing = find_standing(trajectory)
    initial = {"verdict": standing.verdict, "grade": standing.grade or ""} if standing else {}
    values = {name: form[name].value() if form.is_bound else initial.get(name, "") for name in form.fields}
    others = access.project.queues.filter(kind=Queue.Kind.SINGLE).exclude(pk=queue.pk)
    return {
        **tabs_context(access, queue, "disagreements"),
        **reading_context(trajectory, newest, query=request.GET),
        "item": item,
        "reviews": reviews,
        "rows": compare_reviews(criteria, reviews, newest=trajectory.head_number),
        "differences": name_differences(criteria, reviews),
        "standing": standing,
        "decisions": list_decisions(trajectory),
        "values": values,
        "anchors": ANCHORS,
        "next": find_next_disagreement(queue, after=item.pk),
        "queues": others.order_by("name"),
        "can_edit": True,
    }


def _go_on(access: Access, queue: Queue, item: QueueItem) -> HttpResponse:
    following = find_next_disagreement(queue, after=item.pk)
    if following is None:
        return redirect("curation:queue-disagreements", access.project.slug, queue.pk)
    return redirect("curation:queue-adjudicate", access.project.slug, queue.pk, following.pk)
