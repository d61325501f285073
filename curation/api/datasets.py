"""REST: datasets, their versions, and the exported rows."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.problems import Conflict
from curation.api.recipes import check_recipe
from curation.jobs import freeze_version
from curation.models import Dataset, DatasetVersion, Role
from curation.models.dataset import Split
from curation.permissions import access_project, get_dataset, get_version
from curation.selectors.datasets import list_datasets, list_versions, summarize_version
from curation.selectors.pages import BadCursor, take_page
from curation.services.datasets import create_dataset, create_version
from curation.services.exports import NotFrozen, RangeNotSatisfiable, find_export, read_range, stream_file


class DatasetSerializer(serializers.ModelSerializer[Dataset]):
    """`recipe` has a `kind`, and a default for every other field: see the preview of a recipe."""

    kind = serializers.CharField(read_only=True)
    recipe = serializers.JSONField()

    class Meta:
        model = Dataset
        fields = ["id", "name", "kind", "recipe", "created_at"]


class DatasetPageSerializer(serializers.Serializer[Any]):
    results = DatasetSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class VersionSerializer(serializers.ModelSerializer[DatasetVersion]):
    class Meta:
        model = DatasetVersion
        fields = [
            "id",
            "dataset",
            "number",
            "state",
            "stage",
            "progress",
            "progress_total",
            "error",
            "advice",
            "recipe",
            "content_hash",
            "train_sha256",
            "eval_sha256",
            "left_out",
            "created_at",
            "finished_at",
        ]


class BandSerializer(serializers.Serializer[Any]):
    band = serializers.IntegerField(allow_null=True)
    rows = serializers.IntegerField()


class SideStatsSerializer(serializers.Serializer[Any]):
    rows = serializers.IntegerField()
    tasks = serializers.IntegerField()
    tokens = serializers.IntegerField(help_text="An estimate: a quarter of the characters.")
    bands = serializers.SerializerMethodField()

    @extend_schema(responses=BandSerializer(many=True))
    def get_bands(self, side: Any) -> list[dict[str, float | None]]:
        return [{"band": band, "rows": rows} for band, rows in side.bands]


class StatsSerializer(serializers.Serializer[Any]):
    train = SideStatsSerializer()
    held_out = SideStatsSerializer()
    bias = serializers.FloatField(allow_null=True)
    left_out = serializers.SerializerMethodField()

    def get_left_out(self, stats: Any) -> dict[str, int]:
        return dict(stats.left_out)


class VersionDetailSerializer(VersionSerializer):
    stats = serializers.SerializerMethodField()

    class Meta(VersionSerializer.Meta):
        fields = [*VersionSerializer.Meta.fields, "stats"]

    @extend_schema(responses=StatsSerializer)
    def get_stats(self, version: DatasetVersion) -> Any:
        return StatsSerializer(summarize_version(version)).data


class DatasetList(APIView):
    @extend_schema(
        operation_id="v1_projects_datasets_list",
        parameters=[OpenApiParameter("after", OpenApiTypes.STR)],
        responses=DatasetPageSerializer,
    )
    def get(self, request: Request, project: str) -> Response:
        access = access_project(request, project)
        try:
            page = take_page(list_datasets(access), order="-id", cursor=request.query_params.get("after"), size=100)
        except (BadCursor, ValueError) as error:
            raise serializers.ValidationError({"after": str(error)}) from error
        return Response({"results": DatasetSerializer(page.rows, many=True).data, "next": page.next})

    @extend_schema(request=DatasetSerializer, responses={201: DatasetSerializer})
    def post(self, request: Request, project: str) -> Response:
        access = access_project(request, project, Role.CURATOR)
        form = DatasetSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        recipe = check_recipe(form.validated_data["recipe"])
        try:
            dataset = create_dataset(access, name=form.validated_data["name"], recipe=recipe)
        except ValueError as error:
            raise serializers.ValidationError({"name": str(error)}) from error
        return Response(DatasetSerializer(dataset).data, status=201)


class DatasetDetail(APIView):
    @extend_schema(responses=DatasetSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(DatasetSerializer(get_dataset(access_project(request, project), pk)).data)


class VersionList(APIView):
    @extend_schema(responses=VersionSerializer(many=True))
    def get(self, request: Request, project: str, pk: int) -> Response:
        dataset = get_dataset(access_project(request, project), pk)
        return Response(VersionSerializer(list_versions(dataset), many=True).data)

    @extend_schema(request=None, responses={202: VersionSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Freeze the next version; poll it until its state is done, failed or stopped."""
        access = access_project(request, project, Role.CURATOR)
        dataset = get_dataset(access, pk)
        try:
            version = create_version(access, dataset)
        except ValueError as error:
            raise Conflict(str(error)) from error
        freeze_version.delay_on_commit(version.pk)
        return Response(VersionSerializer(version).data, status=202)


class VersionDetail(APIView):
    @extend_schema(responses=VersionDetailSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(VersionDetailSerializer(get_version(access_project(request, project), pk)).data)


class AnyType(BaseContentNegotiation):
    """The export is a file, whatever types the caller says to prefer; errors are JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class VersionExport(APIView):
    content_negotiation_class = AnyType

    @extend_schema(responses={(200, "application/jsonl"): OpenApiTypes.BINARY})
    def get(self, request: Request, project: str, pk: int, split: str) -> HttpResponseBase:
        """The rows of one side as JSON lines. Its entity tag is the file's SHA-256; ranges resume a download."""
        version = get_version(access_project(request, project), pk)
        if split not in Split.values:
            raise Http404(f"A version has train.jsonl and eval.jsonl, and no {split}.jsonl.")
        try:
            export = find_export(version, split)
        except NotFrozen as error:
            raise Conflict(str(error)) from error
        except FileNotFoundError as error:
            raise Http404("The file of this version is gone from the server.") from error
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
            stream_file(export.path, start=start, stop=stop),
            status=206 if part else 200,
            content_type="application/jsonl",
            headers=headers,
        )


routes: list[URLPattern] = [
    path("datasets/", DatasetList.as_view(), name="api-dataset-list"),
    path("datasets/<int:pk>/", DatasetDetail.as_view(), name="api-dataset-detail"),
    path("datasets/<int:pk>/versions/", VersionList.as_view(), name="api-version-list"),
    path("versions/<int:pk>/", VersionDetail.as_view(), name="api-version-detail"),
    path("versions/<int:pk>/<slug:split>.jsonl", VersionExport.as_view(), name="api-version-export"),
]
