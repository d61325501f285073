"""REST: what a frozen version goes out as, and links to it that end."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.problems import Conflict
from curation.permissions import access_project, get_version
from curation.services.export_links import MOST_HOURS, BadLink, LinkEnded, make_link, open_link
from curation.services.exports import (
    FILES,
    Export,
    NoSuchFile,
    NotFrozen,
    RangeNotSatisfiable,
    find_export,
    read_range,
    stream_export,
)


class FileSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    description = serializers.CharField()
    url = serializers.URLField()


class LinkRequestSerializer(serializers.Serializer[Any]):
    file = serializers.ChoiceField(choices=list(FILES))
    hours = serializers.IntegerField(min_value=1, max_value=MOST_HOURS, help_text="How long the link works.")


class LinkSerializer(serializers.Serializer[Any]):
    url = serializers.URLField()
    ends_at = serializers.DateTimeField()


class Gone(exceptions.APIException):
    status_code = 410
    default_code = "gone"


class AnyType(BaseContentNegotiation):
    """The export is a file, whatever types the caller says to prefer; errors are JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class VersionFileList(APIView):
    @extend_schema(operation_id="v1_projects_versions_files_list", responses=FileSerializer(many=True))
    def get(self, request: Request, project: str, pk: int) -> Response:
        """What a version can be had as."""
        version = get_version(access_project(request, project), pk)
        files = [
            {
                "name": name,
                "description": words,
                "url": request.build_absolute_uri(reverse("api-version-file", args=[project, version.pk, name])),
            }
            for name, words in FILES.items()
        ]
        return Response(FileSerializer(files, many=True).data)


class VersionFile(APIView):
    content_negotiation_class = AnyType

    @extend_schema(
        operation_id="v1_projects_versions_file",
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, project: str, pk: int, file: str) -> HttpResponseBase:
        """A file of a version. Its entity tag is its SHA-256 (of an archive, one over its members); ranges resume a
        download. A format that nobody asked for before is made first."""
        version = get_version(access_project(request, project), pk)
        try:
            export = find_export(version, file)
        except NoSuchFile as error:
            raise Http404(str(error)) from error
        except NotFrozen as error:
            raise Conflict(str(error)) from error
        except FileNotFoundError as error:
            raise Http404("The file of this version is gone from the server.") from error
        return _send(request, export)


class VersionLink(APIView):
    @extend_schema(request=LinkRequestSerializer, responses={201: LinkSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """A link to one file that works without signing in, until its time is over; nothing else ends it."""
        access = access_project(request, project)
        version = get_version(access, pk)
        form = LinkRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        file = form.validated_data["file"]
        try:
            link = make_link(access, version, file, hours=form.validated_data["hours"])
        except NotFrozen as error:
            raise Conflict(str(error)) from error
        except FileNotFoundError as error:
            raise Http404("The file of this version is gone from the server.") from error
        address = request.build_absolute_uri(reverse("api-export-link", args=[link.token, file]))
        return Response(LinkSerializer({"url": address, "ends_at": link.ends_at}).data, status=201)


class ExportLink(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)
    content_negotiation_class = AnyType

    @extend_schema(auth=[], responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, token: str, file: str) -> HttpResponseBase:
        """The one file that a link was made for; 410 once it has ended."""
        first = request.headers.get("Range", "bytes=0-").startswith("bytes=0-")
        try:
            export = open_link(token, file, address=request.META.get("REMOTE_ADDR") or None, first=first)
        except LinkEnded as error:
            raise Gone(str(error)) from error
        except (BadLink, NotFrozen, NoSuchFile) as error:
            raise Http404(str(error)) from error
        except FileNotFoundError as error:
            raise Http404("The file of this link is gone from the server.") from error
        return _send(request, export)


def _send(request: Request, export: Export) -> HttpResponseBase:
    tag = f'"{export.sha256}"'
    headers = {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f'attachment; filename="{export.name}"',
    }
    if tag in request.headers.get("If-None-Match", "").replace("W/", "").split(", "):
        return HttpResponse(status=304, headers=headers)
    wanted = request.headers.get("Range", "") if request.headers.get("If-Range", tag) == tag else ""
    try:
        part = read_range(wanted, export.size)
    except RangeNotSatisfiable:
        return HttpResponse(status=416, headers=headers | {"Content-Range": f"bytes */{export.size}"})
    start, stop = part or (0, export.size)
    if part:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{export.size}"
    headers["Content-Length"] = str(stop - start)
    return StreamingHttpResponse(
        stream_export(export, start=start, stop=stop),
        status=206 if part else 200,
        content_type=export.media_type,
        headers=headers,
    )


urlpatterns: list[URLPattern] = [
    path("links/<str:token>/<str:file>", ExportLink.as_view(), name="api-export-link"),
]
routes: list[URLPattern] = [
    path("versions/<int:pk>/files/", VersionFileList.as_view(), name="api-version-files"),
    path("versions/<int:pk>/links/", VersionLink.as_view(), name="api-version-link"),
    path("versions/<int:pk>/<str:file>", VersionFile.as_view(), name="api-version-file"),
]
