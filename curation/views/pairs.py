"""Pairs: the list, proposing them, and judging one side by side."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.forms import first_error
from curation.models import Judgement, PreferencePair, Revision, Role
from curation.pair_filters import JudgementForm, PairFilter
from curation.permissions import Access, access_project, get_pair
from curation.selectors.pages import BadCursor, take_page
from curation.selectors.pairs import (
    count_open_pairs,
    count_statuses,
    find_judgement,
    find_last_judgement,
    find_next_pair,
    list_judgements,
    list_pairs,
)
from curation.selectors.trajectories import read_steps
from curation.services.pairs import choose_sides, judge_pair, propose_pairs

STEPS_AT_ONCE = 20
# The key that gives each answer: the seven strengths from left to right, and none of both.
KEYS = dict(zip(Judgement.Answer.values, ["1", "2", "3", "4", "5", "6", "7", "0"], strict=True))


@require_GET
def pair_list(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project)
    chosen = PairFilter(request.GET, queryset=list_pairs(access))
    problem = "" if chosen.is_valid() else "That filter does not exist; showing everything."
    rows = chosen.qs if chosen.is_valid() else list_pairs(access)
    try:
        page = take_page(rows, order="-id", cursor=request.GET.get("after"))
    except (BadCursor, ValueError) as error:
        problem, page = str(error), take_page(rows, order="-id", cursor=None)
    context = {
        "filter": chosen,
        "page": page,
        "problem": problem,
        "statuses": count_statuses(access),
        "open_count": count_open_pairs(access) if access.is_reviewer else 0,
    }
    return render(request, "curation/pair_list.html", context)


@require_POST
def pair_propose(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    found = propose_pairs(access)
    if found.tasks == 0:
        messages.warning(request, "No task has both a success and a failure yet: import more attempts.")
    else:
        messages.success(request, f"{found.proposed} new pairs from {found.tasks} tasks with a success and a failure.")
    for reason, number in found.unusable.items():
        messages.warning(request, f"{number} not proposed: {reason}")
    return redirect("curation:pair-list", project)


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
    """GET shows both sides; POST saves the answer and goes on to the next pair."""
    access = access_project(request, project, Role.REVIEWER)
    pair = get_pair(access, pk)
    form = JudgementForm(request.POST or None)
    if request.method == "POST":
        try:
            if not form.is_valid():
                raise ValueError(first_error(form))
            answer, reason, left, right = (form.cleaned_data[name] for name in ("answer", "reason", "left", "right"))
            judge_pair(access, pair, answer=answer, reason=reason, left_id=left, right_id=right)
            messages.success(request, f"Pair {pair.pk} saved.")
            following = find_next_pair(access, after=pair)
            if following is not None:
                return redirect("curation:pair-judge", project, following.pk)
            messages.success(request, "That was the last pair waiting for you.")
            return redirect("curation:pair-list", project)
        except ValueError as error:
            messages.error(request, str(error))
    context = _judging_context(access, pair, first=None)
    given = context["judgement"]
    context |= {"answer": given.answer if given else "", "reason": given.reason if given else ""}
    if form.is_bound:  # refused: nothing typed is lost
        context |= {name: form[name].value() or "" for name in ("answer", "reason")}
    return render(request, "curation/pair_judge.html", context)


@require_GET
def pair_steps(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """More steps of both sides: those both share (`shared=1`), or those from `first` on."""
    access = access_project(request, project, Role.REVIEWER)
    pair = get_pair(access, pk)
    first = request.GET.get("first", "")
    number = max(1, int(first)) if first.isdecimal() and len(first) < 8 else 1
    context = _judging_context(access, pair, first=number, shared="shared" in request.GET)
    partial = bool(request.headers.get("HX-Request"))
    return render(request, "curation/pair_judge.html#rows" if partial else "curation/pair_steps.html", context)


def _judging_context(
    access: Access, pair: PreferencePair, *, first: int | None, shared: bool = False
) -> dict[str, Any]:
    """Both sides from step `first` on (None: from where they part), and what may be known of the pair."""
    sides = choose_sides(access, pair)
    revisions = {pair.chosen_id: pair.chosen, pair.rejected_id: pair.rejected}
    left, right = revisions[sides.left_id], revisions[sides.right_id]
    parting = pair.shared_steps + 1
    start = parting if first is None else first
    number = min(STEPS_AT_ONCE, max(0, parting - start)) if shared else STEPS_AT_ONCE
    rows = [] if number == 0 else _align_steps(left, right, first=start, number=number, shared=shared)
    judgement = find_judgement(access, pair)
    last = find_last_judgement(access)
    return {
        "pair": pair,
        "left": left,
        "right": right,
        "parting": parting,
        "shared": shared,
        "rows": rows,
        "next_first": start + number if len(rows) == number > 0 and (not shared or start + number < parting) else None,
        "judgement": judgement,
        "answers": [(value, label, KEYS[value]) for value, label in Judgement.Answer.choices],
        "judgements": list_judgements(pair) if judgement else [],
        "open_count": count_open_pairs(access),
        "last": last if last and last.pair_id != pair.pk else None,
    }


def _align_steps(left: Revision, right: Revision, *, first: int, number: int, shared: bool) -> list[Any]:
    ours = read_steps(left, first=first, number=number)
    theirs = [] if shared else read_steps(right, first=first, number=number)
    return list(zip_longest(ours, theirs))
