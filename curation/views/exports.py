"""Trajectories on their way out, and the media inside them."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET

from curation.filters import FILTER_NAMES, TrajectoryFilter
from curation.permissions import BLIND_TRAJECTORY, access_project, get_blob, get_trajectory, may_see_outcome
from curation.selectors.trajectories import list_trajectories
from curation.selectors.trajectory_exports import stream_trajectories
from curation.services.blobs import locate_blob

SHOWN = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Types that a browser only draws or plays. Everything else is a download of bytes: SVG and HTML can hold script."""


@require_GET
def trajectory_export(request: HttpRequest, project: str, pk: int) -> HttpResponseBase:
    """One trajectory in a format of other tools."""
    access = access_project(request, project)
    trajectory = get_trajectory(access, pk)
    if not may_see_outcome(access, trajectory):
        raise PermissionDenied(BLIND_TRAJECTORY)
    chosen = list_trajectories(access).filter(pk=trajectory.pk)
    try:
        lines = stream_trajectories(chosen, request.GET.get("format", "atif"))
    except ValueError as error:
        raise Http404(str(error)) from error
    return _as_download(StreamingHttpResponse(lines), f"trajectory-{trajectory.pk}.jsonl")


@require_GET
def trajectory_list_export(request: HttpRequest, project: str) -> HttpResponseBase:
    """Every trajectory that fits the list's conditions."""
    access = access_project(request, project)
    conditions = {name: value for name, value in request.GET.items() if name in FILTER_NAMES}
    chosen = TrajectoryFilter(conditions, queryset=list_trajectories(access))
    try:
        if not chosen.is_valid():
            raise ValueError("That filter does not exist: nothing was exported.")
        lines = stream_trajectories(chosen.qs, request.GET.get("format", "atif"))
    except ValueError as error:
        messages.error(request, str(error))
        return redirect("curation:trajectory-list", project)
    return _as_download(StreamingHttpResponse(lines), f"{access.project.slug}-trajectories.jsonl")


@require_GET
def blob_detail(request: HttpRequest, project: str, sha256: str) -> HttpResponseBase:
    """An image of the project's trajectories, with a type that cannot run anything."""
    access = access_project(request, project)
    blob = get_blob(access, sha256)
    try:
        file = default_storage.open(locate_blob(blob.sha256), "rb")
    except OSError as error:
        raise Http404("The file of this blob is gone.") from error
    shown = blob.media_type in SHOWN
    response = FileResponse(
        file,
        content_type=blob.media_type if shown else "application/octet-stream",
        as_attachment=not shown,
        filename=blob.sha256[:16],
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    return response


def _as_download(response: StreamingHttpResponse, name: str) -> HttpResponseBase:
    response["Content-Type"] = "application/x-ndjson"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
