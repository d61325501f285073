"""Judging pairs side by side: straight from the list, or as items of a queue."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.forms import first_error
from curation.models import Judgement, PreferencePair, Queue, Reservation, Revision, Role
from curation.pair_forms import JudgementForm
from curation.permissions import Access, access_project, get_own_pair, get_pair, get_queue
from curation.selectors.disagreements import find_next_disagreement
from curation.selectors.pair_steps import PairRows, read_rows, read_shared
from curation.selectors.pairs import (
    TELLING,
    count_open_pairs,
    find_judgement,
    find_last_judgement,
    find_next_pair,
    list_judgements,
)
from curation.selectors.queues import count_progress
from curation.services.pair_queue import submit_judgement
from curation.services.pairs import PairAnswer, choose_sides, decide_pair, judge_pair, withdraw_judgement
from curation.services.queues import renew_lease, take_next
from curation.services.reviews import LeaseLost
from curation.views.reading import show_text

# The key that gives each answer: the seven strengths from left to right, and none of both.
KEYS = dict(zip(Judgement.Answer.values, ["1", "2", "3", "4", "5", "6", "7", "0"], strict=True))
DRAFTS = "judgements"
"""Where the session keeps what was typed and did not count yet, by pair."""
TYPED = ("answer", "reason", "seconds")
MOST_DRAFTS = 20


@require_GET
def pair_next(request: HttpRequest, project: str) -> HttpResponse:
    """The next pair that the reviewer has not judged; `after` is the id of the one just judged or skipped."""
    access = access_project(request, project, Role.REVIEWER)
    after = request.GET.get("after", "")
    skipped = get_pair(access, int(after)) if after.isdecimal() and len(after) < 16 else None
    pair = find_next_pair(access, after=skipped)
    if pair is None or (skipped is not None and pair.pk == skipped.pk):
        messages.success(request, "No other pair is waiting for you.")
        return redirect("curation:pair-list", project)
    return redirect("curation:pair-judge", project, pair.pk)


@require_http_methods(["GET", "POST"])
def pair_judge(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """GET shows both sides; POST saves the answer, or decides with it, and goes on to the next pair.

    With `deciding`, a queue's number, a curator decides one after the other of its disagreements.
    """
    access = _access_pairs(request, project)
    pair = get_pair(access, pk)
    queue = _find_decided_queue(request, access)
    if request.method == "POST":
        try:
            given = _read_answer(request, pair)
            if "decide" in request.POST:
                decide_pair(access, pair, given)
            else:
                judge_pair(access, pair, given)
        except ValueError as error:
            messages.error(request, str(error))
        else:
            _drop_draft(request, pair)
            messages.success(request, f"Pair {pair.pk} {'decided' if queue else 'saved'}.")
            if queue is not None:
                return _go_to_next_disagreement(access, queue, pair)
            following = find_next_pair(access, after=pair)
            if following is not None:
                return redirect("curation:pair-judge", project, following.pk)
            messages.success(request, "That was the last pair waiting for you.")
            return redirect("curation:pair-list", project)
    context = _judging_context(request, access, pair) | {"last": find_last_judgement(access), "deciding": queue}
    if queue is not None:
        context["judgements"] = _tell_judgements(pair)
    return render(request, "curation/pair_judge.html", context | {"open_count": count_open_pairs(access)})


def _access_pairs(request: HttpRequest, project: str) -> Access:
    """Pairs are looked at by reviewers, and by curators who decide them."""
    access = access_project(request, project)
    if not access.is_curator:
        access.require(Role.REVIEWER)
    return access


def _find_decided_queue(request: HttpRequest, access: Access) -> Queue | None:
    """The queue whose disagreements are being decided."""
    number = (request.POST or request.GET).get("deciding", "")
    if not (access.is_curator and number.isdecimal() and len(number) < 16):
        return None
    return get_queue(access, int(number))


def _go_to_next_disagreement(access: Access, queue: Queue, pair: PreferencePair) -> HttpResponse:
    here = queue.items.filter(pair=pair).values_list("pk", flat=True).first()
    following = find_next_disagreement(queue, after=here or 0)
    if following is None:
        return redirect("curation:queue-disagreements", access.project.slug, queue.pk)
    return redirect("curation:queue-adjudicate", access.project.slug, queue.pk, following.pk)


@require_GET
def pair_steps(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """More rows of both sides: the steps both share (`shared=1`), or what comes after them, from row `first` on."""
    access = _access_pairs(request, project)
    pair = get_pair(access, pk)
    first = request.GET.get("first", "")
    number = max(1, int(first)) if first.isdecimal() and len(first) < 8 else 1
    context = _rows_context(access, pair, first=number, shared="shared" in request.GET)
    partial = bool(request.headers.get("HX-Request"))
    return render(request, "curation/pair_judge.html#rows" if partial else "curation/pair_steps.html", context)


@require_GET
def pair_text(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """One text of a step in full, of the side that the reviewer sees on the left or the right."""
    access = _access_pairs(request, project)
    left, right = _order_sides(access, get_pair(access, pk))
    return show_text(request, right if request.GET.get("side") == "right" else left)


@require_POST
def pair_undo(request: HttpRequest, project: str) -> HttpResponse:
    """Takes back the caller's last judgement in the project."""
    access = access_project(request, project, Role.REVIEWER)
    return _undo(request, access, None)


@require_http_methods(["GET", "POST"])
def queue_judge(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """GET shows the pair that one holds; POST submits the answer and goes on to the next item."""
    access = access_project(request, project, Role.REVIEWER)
    reservation = get_own_pair(access, pk)
    queue, pair = reservation.item.queue, get_pair(access, reservation.item.pair_id or 0)
    if request.method == "POST":
        try:
            submit_judgement(access, reservation, _read_answer(request, pair))
        except LeaseLost as error:
            messages.error(request, str(error))
            return redirect("curation:queue-judge", project, pk)
        except ValueError as error:
            messages.error(request, str(error))
        else:
            _drop_draft(request, pair)
            return _go_to_next(request, access, queue)
    if reservation.state in (Reservation.State.DONE, Reservation.State.SKIPPED):
        return redirect("curation:queue-detail", project, queue.pk)
    context = _judging_context(request, access, pair) | {
        "reservation": reservation,
        "queue": queue,
        "held": reservation.state == Reservation.State.HELD,
        "progress": count_progress(access, queue),
        "last": find_last_judgement(access, queue=queue),
    }
    return render(request, "curation/pair_judge.html", context)


@require_POST
def queue_judge_draft(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Keeps what was typed, and the lease with it."""
    access = access_project(request, project, Role.REVIEWER)
    reservation = get_own_pair(access, pk)
    _keep_draft(request, reservation.item.pair_id or 0, request.POST.dict())
    held = renew_lease(reservation)
    reservation.refresh_from_db(fields=["expires_at"])
    return render(request, "curation/queue_judge_draft.html", {"reservation": reservation, "held": held})


@require_POST
def queue_judge_undo(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Takes back the caller's last judgement in a queue."""
    access = access_project(request, project, Role.REVIEWER)
    return _undo(request, access, get_queue(access, pk))


def _undo(request: HttpRequest, access: Access, queue: Queue | None) -> HttpResponse:
    """The form names the judgement, so that a double click takes back one."""
    slug = access.project.slug
    judgement = find_last_judgement(access, queue=queue)
    if judgement is None or request.POST.get("judgement", str(judgement.pk)) != str(judgement.pk):
        messages.warning(request, "That was taken back already; there is nothing else to take back here.")
        return redirect("curation:queue-detail", slug, queue.pk) if queue else redirect("curation:pair-list", slug)
    pk = judgement.pair_id
    try:
        reservation = withdraw_judgement(access, judgement)
    except ValueError as error:
        messages.warning(request, str(error))
        return redirect("curation:pair-judge", slug, pk)
    _keep_draft(request, pk, {name: getattr(judgement, name) for name in TYPED})
    messages.success(request, f"Your judgement of pair {pk} was taken back; here is what you had answered.")
    if reservation is not None:
        return redirect("curation:queue-judge", slug, reservation.pk)
    return redirect("curation:pair-judge", slug, pk)


def _go_to_next(request: HttpRequest, access: Access, queue: Queue) -> HttpResponse:
    reservation = take_next(access, queue)
    if reservation is None:
        messages.success(request, "Nothing is left for you in this queue.")
        return redirect("curation:queue-detail", access.project.slug, queue.pk)
    return redirect("curation:queue-judge", access.project.slug, reservation.pk)


def _read_answer(request: HttpRequest, pair: PreferencePair) -> PairAnswer:
    """The answer that was posted, kept until it counts. Raises ValueError."""
    form = JudgementForm(request.POST)
    _keep_draft(request, pair.pk, request.POST.dict())
    if not form.is_valid():
        raise ValueError(first_error(form))
    return form.read_answer()


def _keep_draft(request: HttpRequest, pair_id: int, posted: dict[str, Any]) -> None:
    drafts = {key: draft for key, draft in request.session.get(DRAFTS, {}).items() if key != str(pair_id)}
    drafts[str(pair_id)] = {name: str(posted.get(name, ""))[:5000] for name in TYPED}
    request.session[DRAFTS] = dict(list(drafts.items())[-MOST_DRAFTS:])


def _drop_draft(request: HttpRequest, pair: PreferencePair) -> None:
    if request.session.get(DRAFTS, {}).pop(str(pair.pk), None) is not None:
        request.session.modified = True


def _judging_context(request: HttpRequest, access: Access, pair: PreferencePair) -> dict[str, Any]:
    """Both sides, what was answered or typed, and what may be known of the pair: its sides once one has judged."""
    judgement = find_judgement(access, pair)
    given = {name: getattr(judgement, name, "") for name in TYPED}
    draft = request.session.get(DRAFTS, {}).get(str(pair.pk), {})
    warnings = [PreferencePair.Warning(name) for name in pair.warnings if judgement or name not in TELLING]
    return {
        **_rows_context(access, pair, first=1, shared=False),
        **given,
        **draft,
        "parting": pair.shared_steps + 1,
        "warnings": warnings,
        "judgement": judgement,
        "judgements": _tell_judgements(pair) if judgement else [],
        "answers": [(value, label, KEYS[value]) for value, label in Judgement.Answer.choices],
    }


def _tell_judgements(pair: PreferencePair) -> list[dict[str, Any]]:
    """Everybody's judgements, with the attempt that each preferred: left and right are not the same for all."""
    attempts = {pair.chosen_id: pair.chosen.trajectory_id, pair.rejected_id: pair.rejected.trajectory_id}
    told = []
    for given in list_judgements(pair):
        side, _, strength = given.answer.partition("-")
        winner = {"left": given.left_id, "right": given.right_id}.get(side)
        words = strength.replace("-", " ") if winner else given.get_answer_display().lower()
        told.append({"given": given, "winner": attempts.get(winner or 0), "words": words})
    return told


def _order_sides(access: Access, pair: PreferencePair) -> tuple[Revision, Revision]:
    """Left and right, as this reviewer sees them."""
    sides = choose_sides(access, pair)
    revisions = {pair.chosen_id: pair.chosen, pair.rejected_id: pair.rejected}
    return revisions[sides.left_id], revisions[sides.right_id]


def _rows_context(access: Access, pair: PreferencePair, *, first: int, shared: bool) -> dict[str, Any]:
    left, right = _order_sides(access, pair)
    found = (
        read_shared(left, shared=pair.shared_steps, first=first)
        if shared
        else read_rows(left, right, shared=pair.shared_steps, first=first)
    )
    if pair.step_only and not shared:  # nothing but the turn in which they part is judged
        found = PairRows(found.rows[:1], None)
    return {
        "pair": pair,
        "left": left,
        "right": right,
        "rows": found.rows,
        "next_first": found.next,
        "shared": shared,
    }
