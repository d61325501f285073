"""Uploads: a file sent piece by piece, looked at before anything is imported, and then imported or dropped."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from curation.formats.mapping import FieldMapping, MappedFormat
from curation.import_forms import MappingForm, OptionsForm
from curation.jobs import fetch_upload, run_import
from curation.models import Role, Trajectory, Upload
from curation.permissions import Access, access_project, get_upload
from curation.selectors.imports import list_mappings
from curation.services.import_previews import Preview, preview_source, suggest
from curation.services.imports import ImportOptions, save_mapping
from curation.services.uploads import (
    UploadGone,
    WrongOffset,
    begin_upload,
    drop_upload,
    import_upload,
    open_upload,
    receive_piece,
)


@require_POST
def upload_create(request: HttpRequest, project: str) -> JsonResponse:
    """Begin to send a file, or go on where an earlier attempt of the same file ended."""
    access = access_project(request, project, Role.CURATOR)
    size = request.POST.get("size", "")
    if not size.isdecimal() or len(size) > 15:
        return JsonResponse({"error": "The size of the file is missing."}, status=400)
    name, key = request.POST.get("name", "file"), request.POST.get("key", "")
    try:
        upload = begin_upload(access, file_name=name, file_size=int(size), file_key=key)
    except ValueError as error:
        return JsonResponse({"error": str(error)}, status=400)
    return JsonResponse(_describe(access, upload))


@require_http_methods(["GET", "PUT"])
def upload_piece(request: HttpRequest, project: str, pk: int) -> JsonResponse:
    """PUT the piece that begins at the header `Upload-Offset`; GET says how much has arrived."""
    access = access_project(request, project, Role.CURATOR)
    upload = get_upload(access, pk)
    if request.method == "PUT":
        offset = request.headers.get("Upload-Offset", "")
        if not offset.isdecimal() or len(offset) > 15:
            return JsonResponse({"error": "The header Upload-Offset is missing."}, status=400)
        try:
            upload = receive_piece(upload, offset=int(offset), piece=request.body)
        except WrongOffset as error:
            return JsonResponse({"error": str(error), "received": error.received}, status=409)
        except (ValueError, OSError) as error:
            return JsonResponse({"error": str(error)}, status=400)
    return JsonResponse(_describe(access, upload))


@require_http_methods(["GET", "POST"])
def upload_preview(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """What the upload would become. POST shows it with other options, or, with `import`, imports it."""
    access = access_project(request, project, Role.CURATOR)
    try:
        upload = get_upload(access, pk)
    except Http404:
        if request.method != "POST":
            raise
        messages.error(request, "This upload was imported or dropped in the meantime.")
        return redirect("curation:import-list", project)
    if not upload.complete:
        template = "curation/upload_progress.html" + ("#progress" if request.headers.get("HX-Request") else "")
        response = render(request, template, {"upload": upload})
        return response
    posted = request.POST if request.method == "POST" else None
    form = OptionsForm(posted)
    try:
        with open_upload(upload) as opened:
            suggested, paths = suggest(opened)
            mapped = posted if posted and "messages" in posted else _first_mapping(posted, suggested)
            mapping = MappingForm(mapped, mappings=list_mappings(access), suggested=suggested)
            options, preview = _look(access, form, mapping, upload, opened)
    except ValueError as error:
        messages.error(request, str(error))
        drop_upload(upload)
        return redirect("curation:import-list", project)
    if options and "import" in request.POST:
        try:
            job = import_upload(access, upload, options)
        except UploadGone as error:
            messages.error(request, str(error))
            return redirect("curation:import-list", project)
        except ValueError as error:
            messages.error(request, str(error))
        else:
            if mapping.is_bound and mapping.is_valid() and mapping.cleaned_data["save_as"] and options.mapping:
                save_mapping(access, mapping.cleaned_data["save_as"], options.mapping)
            run_import.delay_on_commit(job.pk)
            return redirect("curation:import-detail", project, job.pk)
    context: dict[str, Any] = {"upload": upload, "form": form, "mapping": mapping, "paths": paths, "preview": preview}
    # As lists: a template that asks a Counter for anything gets a 0.
    for name in ("outcomes", "warnings", "redactions"):
        context[name] = getattr(preview, name).most_common()
    context["by_hand"] = form.data.get("format") == MappedFormat.name
    refused = form.errors or "import" in request.POST
    return render(request, "curation/upload_preview.html", context, status=400 if refused else 200)


@require_POST
def upload_drop(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    drop_upload(get_upload(access, pk))
    messages.success(request, "Dropped: nothing was imported.")
    return redirect("curation:import-list", project)


@require_POST
def upload_retry(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Fetch once more what could not be fetched."""
    access = access_project(request, project, Role.CURATOR)
    upload = get_upload(access, pk)
    fetch_upload.delay_on_commit(upload.pk)
    return redirect("curation:upload-preview", project, upload.pk)


def _look(
    access: Access, form: OptionsForm, mapping: MappingForm, upload: Upload, opened: Any
) -> tuple[ImportOptions | None, Preview]:
    """The options as far as they are valid, and what the upload is with them."""
    options: ImportOptions | None = ImportOptions()
    if form.is_bound:
        options = _read_options(form, mapping)
    threshold = access.project.success_threshold
    shown = options or ImportOptions()
    preview = preview_source(opened, name=upload.file_name, options=shown, threshold=threshold)
    if not form.is_bound and set(preview.formats) == {Trajectory.Source.INSTRUCTION.value}:
        form.initial["source"] = Trajectory.Source.INSTRUCTION
    if preview.problem and options and not preview.records:
        options = None
    return options, preview


def _first_mapping(posted: QueryDict | None, suggested: FieldMapping | None) -> dict[str, Any] | None:
    """What the mapping's form holds when a person has just asked for it: the suggestion."""
    return None if posted is None else suggested.model_dump(exclude={"roles"}) if suggested else {}


def _read_options(form: OptionsForm, mapping: MappingForm) -> ImportOptions | None:
    if not form.is_valid():
        return None
    values = dict(form.cleaned_data)
    if values["format"] == MappedFormat.name:
        if not mapping.is_valid():
            return None
        values |= {"format": "", "mapping": mapping.cleaned_data["mapping"]}
    return ImportOptions(**values)


def _describe(access: Access, upload: Upload) -> dict[str, Any]:
    place = [access.project.slug, upload.pk]
    return {
        "id": upload.pk,
        "received": upload.received,
        "size": upload.file_size,
        "complete": upload.complete,
        "pieces": reverse("curation:upload-piece", args=place),
        "next": reverse("curation:upload-preview", args=place),
    }
