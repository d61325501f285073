"""Imports: dropping a file in, watching it arrive, and what became of it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.import_forms import SourceForm
from curation.jobs import fetch_upload, run_import
from curation.models import Role, Trajectory, Upload
from curation.permissions import Access, access_project, get_import
from curation.selectors.imports import list_imports, list_rejections, list_uploads, stream_rejected
from curation.selectors.pages import BadCursor
from curation.services.import_undo import undo_import
from curation.services.imports import resume_import, stop_import
from curation.services.uploads import take_file, take_folder, take_url


@require_http_methods(["GET", "POST"])
def import_list(request: HttpRequest, project: str) -> HttpResponse:
    """The list, polled by htmx while something is on its way; POST takes a file in."""
    access = access_project(request, project, Role.CURATOR if request.method == "POST" else None)
    form = SourceForm(request.POST, request.FILES) if request.method == "POST" else SourceForm()
    if request.method == "POST" and form.is_valid():
        try:
            upload = _take(access, form.cleaned_data)
        except ValueError as error:
            form.add_error(None, str(error))
        else:
            return redirect("curation:upload-preview", project, upload.pk)
    try:
        page = list_imports(access, cursor=request.GET.get("after"))
    except BadCursor as error:
        messages.error(request, str(error))
        return redirect("curation:import-list", project)
    active = any(job.is_active for job in page.rows)
    template = "curation/import_list.html" + ("#imports" if request.headers.get("HX-Request") else "")
    status = 400 if form.errors else 200
    return render(
        request,
        template,
        {"form": form, "page": page, "active": active, "uploads": list_uploads(access)},
        status=status,
    )


def _take(access: Access, values: dict[str, Any]) -> Upload:
    if values.get("url"):
        upload = take_url(access, values["url"])
        fetch_upload.delay_on_commit(upload.pk)
        return upload
    if values.get("folder"):
        return take_folder(access, values["folder"])
    return take_file(access, values["file"])


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
def import_undo(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    try:
        removed = undo_import(access, get_import(access, pk))
        messages.success(request, f"Undone: {removed:,} trajectories were removed.")
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("curation:import-detail", project, pk)


@require_GET
def import_rejected(request: HttpRequest, project: str, pk: int) -> StreamingHttpResponse:
    """The rejected records as they stood in the file, to mend and to import again."""
    job = get_import(access_project(request, project), pk)
    response = StreamingHttpResponse(stream_rejected(job), content_type="application/octet-stream")
    response["Content-Disposition"] = f'attachment; filename="import-{job.pk}-rejected.jsonl"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


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
