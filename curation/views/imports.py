"""Imports: dropping a file in, watching it arrive, and what became of it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.import_forms import ImportForm
from curation.jobs import run_import
from curation.models import Role, Trajectory
from curation.permissions import access_project, get_import
from curation.selectors.imports import list_imports, list_rejections
from curation.selectors.pages import BadCursor
from curation.services.imports import ImportOptions, create_import, resume_import, stop_import


@require_http_methods(["GET", "POST"])
def import_list(request: HttpRequest, project: str) -> HttpResponse:
    """The list, polled by htmx while something is on its way; POST takes a file in."""
    access = access_project(request, project, Role.CURATOR if request.method == "POST" else None)
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data.pop("file")
        try:
            job = create_import(access, file=file, file_name=file.name, options=ImportOptions(**form.cleaned_data))
        except ValueError as error:
            form.add_error("file", str(error))
        else:
            run_import.delay_on_commit(job.pk)
            return redirect("curation:import-detail", project, job.pk)
    try:
        page = list_imports(access, cursor=request.GET.get("after"))
    except BadCursor as error:
        messages.error(request, str(error))
        return redirect("curation:import-list", project)
    active = any(job.is_active for job in page.rows)
    template = "curation/import_list.html" + ("#imports" if request.headers.get("HX-Request") else "")
    status = 400 if form.errors else 200
    return render(request, template, {"form": form, "page": page, "active": active}, status=status)


@require_GET
def import_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Progress, then the report; polled by htmx until the import has ended."""
    access = access_project(request, project)
    job = get_import(access, pk)
    try:
        page = list_rejections(job, cursor=request.GET.get("after"))
    except BadCursor as error:
        messages.error(request, str(error))
        return redirect("curation:import-detail", project, pk)
    template = "curation/import_detail.html" + ("#report" if request.headers.get("HX-Request") else "")
    return render(request, template, {"job": job, "page": page, "source_label": Trajectory.Source(job.source).label})


@require_POST
def import_stop(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    try:
        stop_import(access, get_import(access, pk))
        messages.success(request, "The import stops after its current batch; what has been imported is kept.")
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("curation:import-detail", project, pk)


@require_POST
def import_resume(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    job = get_import(access, pk)
    try:
        resume_import(access, job)
        run_import.delay_on_commit(job.pk)
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("curation:import-detail", project, pk)
