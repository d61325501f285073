"""Pairs: the list, and searching for more."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from curation.jobs import search_pairs
from curation.models import Role
from curation.pair_filters import PairFilter
from curation.pair_forms import SearchForm
from curation.permissions import Access, access_project, get_search
from curation.selectors.pages import BadCursor, take_page
from curation.selectors.pairs import (
    count_open_pairs,
    count_statuses,
    find_last_search,
    list_pairs,
    list_warnings,
    may_see_bias,
    may_see_result,
    may_see_sides,
    measure_length_bias,
)
from curation.selectors.trajectories import list_models
from curation.services.pair_proposals import create_search, stop_search


@require_GET
def pair_list(request: HttpRequest, project: str) -> HttpResponse:
    """The list; htmx asks for the state of the search alone, as long as it runs."""
    access = access_project(request, project)
    if request.headers.get("HX-Request"):
        return render(request, "curation/pair_list.html#search", {"search": find_last_search(access)})
    return _show_list(request, access, SearchForm(models=_name_models(access)))


@require_POST
def pair_propose(request: HttpRequest, project: str) -> HttpResponse:
    """Starts a search for pairs; a choice that makes no sense comes back as it was made."""
    access = access_project(request, project, Role.CURATOR)
    form = SearchForm(request.POST, models=_name_models(access))
    if form.is_valid():
        try:
            search = create_search(access, **form.read_choice())
        except ValueError as error:
            form.add_error(None, str(error))
        else:
            search_pairs.delay_on_commit(search.pk)
            return redirect("curation:pair-list", project)
    return _show_list(request, access, form)


@require_POST
def pair_search_stop(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    try:
        stop_search(access, get_search(access, pk))
        messages.success(request, "The search stops after the task it is at; what it proposed stays.")
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("curation:pair-list", project)


def _name_models(access: Access) -> list[str]:
    return list_models(access) if access.is_curator else []


def _show_list(request: HttpRequest, access: Access, form: SearchForm) -> HttpResponse:
    chosen = PairFilter(request.GET, queryset=list_pairs(access))
    problem = "" if chosen.is_valid() else "That filter does not exist; showing everything."
    rows = chosen.qs if chosen.is_valid() else list_pairs(access)
    try:
        page = take_page(rows, order="-id", cursor=request.GET.get("after"))
    except (BadCursor, ValueError) as error:
        problem, page = str(error), take_page(rows, order="-id", cursor=None)
    bias = measure_length_bias(access) if may_see_bias(access) else {}
    context = {
        "filter": chosen,
        "page": page,
        "shown": [
            (pair, list_warnings(access, pair), may_see_sides(access, pair), may_see_result(pair)) for pair in page.rows
        ],
        "problem": problem,
        "statuses": count_statuses(access),
        "open_count": count_open_pairs(access) if access.is_reviewer else 0,
        "form": form,
        "search": find_last_search(access),
        "bias": bias.pop("all", None),
        "bias_by_band": bias,
    }
    return render(request, "curation/pair_list.html", context, status=400 if form.errors else 200)
