"""The review workbench: take, read, answer, save and next."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect, push_url

from curation.difficulty import ANCHORS
from curation.forms import first_error
from curation.models import Queue, Reservation, Role
from curation.models.review import FailureMode
from curation.permissions import Access, access_project, get_own_reservation, get_queue, get_reservation, get_revision
from curation.review_forms import AnswerForm
from curation.selectors.drafts import Draft, read_draft
from curation.selectors.queues import count_reviews, find_last_review
from curation.selectors.trajectories import list_reviews
from curation.selectors.workbench import look_around
from curation.services.queues import defer_item, release_item, renew_lease, skip_item, take_next
from curation.services.reviews import (
    LeaseLost,
    RevisionMoved,
    save_draft,
    submit_review,
    tell_moved,
    undo_review,
)
from curation.views.reading import reading_context


@require_POST
def queue_next(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.REVIEWER)
    return _go_to_next(request, access, get_queue(access, pk))


@require_http_methods(["GET", "POST"])
def queue_review(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """GET shows the item that one holds. POST submits the answer and shows the next item: one request with htmx."""
    access = access_project(request, project, Role.REVIEWER)
    reservation = get_own_reservation(access, pk)
    queue = reservation.item.queue
    if request.method == "POST":
        form = AnswerForm(request.POST)
        try:
            if not form.is_valid():
                raise ValueError(first_error(form))
            answer = form.read_answer()
            if not answer.verdict:
                save_draft(access, reservation, answer)
            review = submit_review(access, reservation, answer)
            given = (review.verdict, review.grade, review.comment)
            if reservation.state == Reservation.State.DONE and given != (answer.verdict, answer.grade, answer.comment):
                kept = f"You had answered this item already ({review.get_verdict_display().lower()})"
                messages.warning(request, f"{kept}: that answer stands. Undo takes it back.")
        except LeaseLost as error:
            messages.error(request, str(error))
            return _leave(request, reverse("curation:queue-detail", args=[project, queue.pk]))
        except RevisionMoved as error:
            messages.warning(request, str(error))
            reservation = get_own_reservation(access, pk)
        except ValueError as error:
            messages.error(request, str(error))
        else:
            return _go_to_next(request, access, queue)
    if reservation.item.pair_id:
        return redirect("curation:queue-judge", project, pk)
    if reservation.state in (Reservation.State.DONE, Reservation.State.SKIPPED):
        return redirect("curation:queue-detail", project, queue.pk)
    return _show(request, access, reservation)


@require_POST
def review_draft(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Keeps what was typed, and the lease with it."""
    access = access_project(request, project, Role.REVIEWER)
    reservation = get_own_reservation(access, pk)
    form = AnswerForm(request.POST)
    try:
        if not form.is_valid():
            raise ValueError(first_error(form))
        draft = save_draft(access, reservation, form.read_answer())
    except ValueError as error:
        return render(request, "curation/queue_draft.html", {"problem": str(error)})
    held = renew_lease(reservation)
    reservation.refresh_from_db(fields=["expires_at"])
    context = {"draft": draft, "held": held, "reservation": reservation}
    if draft.revision.number != draft.trajectory.head_number:
        context["moved"] = tell_moved(draft.trajectory, draft.revision.number)
    return render(request, "curation/queue_draft.html", context)


@require_POST
def review_skip(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.REVIEWER)
    reservation = get_own_reservation(access, pk)
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
    reservation = get_own_reservation(access, pk)
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
    named = request.POST.get("review", "")
    if review is None or (named and named != str(review.pk)):
        messages.warning(request, "That review was taken back already, or there is none of yours in this queue.")
        return redirect("curation:queue-detail", project, pk)
    try:
        reservation = undo_review(access, review)
    except ValueError as error:
        messages.warning(request, str(error))
        return redirect("curation:queue-detail", project, pk)
    messages.success(request, "Your last review is a draft again.")
    return redirect("curation:queue-review", project, reservation.pk)


def _show(request: HttpRequest, access: Access, reservation: Reservation) -> HttpResponse:
    """The workbench with an item: the whole page, or with htmx what changes of it."""
    trajectory, queue = reservation.item.get_trajectory(), reservation.item.queue
    revision = get_revision(access, trajectory, trajectory.head_number)
    around = look_around(reservation)
    draft = read_draft(reservation, revision) if around.has_draft else Draft()
    review = draft.review
    rubric = review.rubric if review and review.scores else queue.rubric
    wanted, given = count_reviews(access, queue)
    hidden = queue.blind or reservation.item.gold
    context: dict[str, Any] = {
        **reading_context(trajectory, revision, query=request.GET),
        "reservation": reservation,
        "queue": queue,
        "rubric": rubric,
        "draft": review,
        "read_before": draft.read_before,
        "labels": draft.labels,
        "modes": draft.modes,
        "first_error": draft.first_error,
        "around": around,
        "wanted": wanted,
        "given": given,
        "anchors": ANCHORS,
        "failure_modes": FailureMode.choices,
        "reviews": list_reviews(access, trajectory) if around.has_reviews and not hidden else [],
        "remark_count": 0 if queue.blind else around.remarks,
        "held": reservation.state == Reservation.State.HELD,
        "reviewing": reservation.pk,
        "can_edit": True,
        "blind": queue.blind,
    }
    if not request.headers.get("HX-Request"):
        return render(request, "curation/queue_review.html", context)
    address = reverse("curation:queue-review", args=[access.project.slug, reservation.pk])
    return push_url(render(request, "curation/queue_review.html#work", context), address)


def _go_to_next(request: HttpRequest, access: Access, queue: Queue) -> HttpResponse:
    reservation = take_next(access, queue)
    if reservation is None:
        messages.success(request, "Nothing is left for you in this queue.")
        return _leave(request, reverse("curation:queue-detail", args=[access.project.slug, queue.pk]))
    if reservation.item.pair_id:
        return _leave(request, reverse("curation:queue-judge", args=[access.project.slug, reservation.pk]))
    if request.headers.get("HX-Request"):
        return _show(request, access, reservation)
    return redirect("curation:queue-review", access.project.slug, reservation.pk)


def _leave(request: HttpRequest, address: str) -> HttpResponse:
    """To another page, whether the browser or htmx asked."""
    return HttpResponseClientRedirect(address) if request.headers.get("HX-Request") else redirect(address)
