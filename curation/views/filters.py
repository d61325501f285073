"""Saved filters: the list of them, keeping one, renaming, removing."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from curation.bulk_forms import FilterForm
from curation.filters import choose_trajectories, describe_conditions, join_conditions, read_conditions
from curation.models import Role, SavedFilter
from curation.permissions import Access, access_project, get_saved_filter
from curation.selectors.bulk import list_saved_filters
from curation.services.saved_filters import remove_filter, rename_filter, save_filter


def link_filters(access: Access, page: str = "curation:trajectory-list") -> list[tuple[SavedFilter, str]]:
    """The project's saved filters, each with the address of that page under its conditions."""
    place = reverse(page, args=[access.project.slug])
    return [(saved, f"{place}?{urlencode(saved.conditions)}") for saved in list_saved_filters(access)]


@require_http_methods(["GET", "POST"])
def filter_list(request: HttpRequest, project: str) -> HttpResponse:
    """The saved filters; POST keeps the conditions that come with it under a name."""
    access = access_project(request, project, Role.CURATOR if request.method == "POST" else None)
    conditions = read_conditions(request.POST)
    form = FilterForm(request.POST) if request.method == "POST" else FilterForm()
    if request.method == "POST" and form.is_valid():
        try:
            choose_trajectories(access.project, conditions)
            saved = save_filter(access, conditions=conditions, rules=join_conditions(conditions), **form.cleaned_data)
        except ValueError as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, f"Saved as {saved.name}.")
            return redirect(f"{reverse('curation:trajectory-list', args=[project])}?{urlencode(conditions)}")
    rows = [(saved, address, describe_conditions(saved.conditions)) for saved, address in link_filters(access)]
    context = {
        "form": form,
        "conditions": conditions,
        "described": describe_conditions(conditions),
        "rows": rows,
    }
    return render(request, "curation/filter_list.html", context, status=400 if form.errors else 200)


@require_POST
def filter_rename(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    try:
        rename_filter(access, get_saved_filter(access, pk), name=request.POST.get("name", ""))
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("curation:filter-list", project)


@require_POST
def filter_remove(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    remove_filter(access, get_saved_filter(access, pk))
    return redirect("curation:filter-list", project)
