"""The review workbench: take, read, answer, save and next."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from curation.difficulty import ANCHORS
from curation.forms import first_error
from curation.models import Queue, Reservation, Role
from curation.models.review import FailureMode
from curation.permissions import Access, access_project, get_queue, get_reservation, get_revision, get_trajectory
from curation.review_forms import AnswerForm
from curation.selectors.queues import count_progress, find_draft, find_last_review
from curation.selectors.trajectories import list_reviews, list_revisions
from curation.services.queues import defer_item, release_item, renew_lease, skip_item, take_next
from curation.services.reviews import LeaseLost, save_draft, submit_review, undo_review
from curation.views.reading import reading_context


@require_POST
def queue_next(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.REVIEWER)
    return _go_to_next(request, access, get_queue(access, pk))


@require_http_methods(["GET", "POST"])
def queue_review(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """GET shows the item that one holds; POST submits the answer and goes on to the next item."""
    access = access_project(request, project, Role.REVIEWER)
    reservation = _own_reservation(access, pk)
    queue = reservation.item.queue
    if request.method == "POST":
        form = AnswerForm(request.POST)
        try:
            if not form.is_valid():
                raise ValueError(first_error(form))
            submit_review(access, reservation, form.read_answer())
        except LeaseLost as error:
            messages.error(request, str(error))
            return redirect("curation:queue-detail", project, queue.pk)
        except ValueError as error:
            messages.error(request, str(error))
        else:
            return _go_to_next(request, access, queue)
    if reservation.state in (Reservation.State.DONE, Reservation.State.SKIPPED):
        return redirect("curation:queue-detail", project, queue.pk)
    trajectory = get_trajectory(access, reservation.item.trajectory_id or 0)
    revision = get_revision(access, trajectory, trajectory.head_number)
    draft = find_draft(reservation)
    labels = {label.step_id: label.label for label in draft.step_labels.all()} if draft else {}
    first = next((label.step_id for label in draft.step_labels.all() if label.first_error), None) if draft else None
    context = {
        **reading_context(trajectory, revision, query=request.GET),
        "reservation": reservation,
        "queue": queue,
        "draft": draft,
        "labels": labels,
        "first_error": first,
        "progress": count_progress(access, queue),
        "anchors": ANCHORS,
        "failure_modes": FailureMode.choices,
        "revisions": list_revisions(trajectory),
        "reviews": [] if queue.blind else list_reviews(access, trajectory),
        "held": reservation.state == Reservation.State.HELD,
        "reviewing": reservation.pk,
        "can_edit": True,
        "undo": find_last_review(access, queue),
        "blind": queue.blind,
    }
    return render(request, "curation/queue_review.html", context)


@require_POST
def review_draft(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Keeps what was typed, and the lease with it."""
    access = access_project(request, project, Role.REVIEWER)
    reservation = _own_reservation(access, pk)
    form = AnswerForm(request.POST)
    if not form.is_valid():
        return render(request, "curation/queue_draft.html", {"problem": first_error(form)})
    draft = save_draft(access, reservation, form.read_answer())
    return render(request, "curation/queue_draft.html", {"draft": draft, "held": renew_lease(reservation)})


@require_POST
def review_skip(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.REVIEWER)
    reservation = _own_reservation(access, pk)
    try:
        skip_item(reservation, reason=request.POST.get("reason", ""))
    except ValueError as error:
        messages.error(request, str(error))
        return redirect("curation:queue-review", project, pk)
    return _go_to_next(request, access, reservation.item.queue)


@require_POST
def review_defer(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Puts an item off; what was typed stays as a draft."""
    access = access_project(request, project, Role.REVIEWER)
    reservation = _own_reservation(access, pk)
    if not defer_item(reservation):
        messages.warning(request, "You no longer hold this item.")
    return _go_to_next(request, access, reservation.item.queue)


@require_POST
def review_release(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Gives an item back: one's own, or as a curator anybody's."""
    access = access_project(request, project)
    reservation = get_reservation(access, pk)
    if reservation.reviewer_id != access.user.pk and not access.is_curator:
        raise PermissionDenied("Only its holder or a curator releases an item.")
    if release_item(access, reservation):
        messages.success(request, "Released; others can take it now.")
    return redirect("curation:queue-detail", project, reservation.item.queue_id)


@require_POST
def queue_undo(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.REVIEWER)
    queue = get_queue(access, pk)
    review = find_last_review(access, queue)
    if review is None:
        messages.warning(request, "You have submitted nothing in this queue that could be undone.")
        return redirect("curation:queue-detail", project, pk)
    reservation = undo_review(access, review)
    messages.success(request, "Your last review is a draft again.")
    return redirect("curation:queue-review", project, reservation.pk)


def _own_reservation(access: Access, pk: int) -> Reservation:
    reservation = get_reservation(access, pk)
    if reservation.reviewer_id != access.user.pk:
        raise Http404("This item is somebody else's.")
    return reservation


def _go_to_next(request: HttpRequest, access: Access, queue: Queue) -> HttpResponse:
    reservation = take_next(access, queue)
    if reservation is None:
        messages.success(request, "Nothing is left for you in this queue.")
        return redirect("curation:queue-detail", access.project.slug, queue.pk)
    return redirect("curation:queue-review", access.project.slug, reservation.pk)
