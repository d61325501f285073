"""REST: importing a file, and what became of it."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.problems import Conflict
from curation.formats.redaction import KINDS
from curation.import_forms import FORMAT_CHOICES
from curation.jobs import run_import
from curation.models import Import, ImportRejection, JobState, Role, Trajectory
from curation.permissions import access_project, get_import
from curation.selectors.imports import list_imports, list_rejections, stream_rejected
from curation.services.imports import ImportOptions, KeyReused, create_import, resume_import, stop_import

AFTER = OpenApiParameter("after", OpenApiTypes.STR, description="The `next` of the page before.")
KEY = OpenApiParameter(
    "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER,
    description="The same key gives the same import, however often the request is sent.",
)  # fmt: skip


class ImportSerializer(serializers.ModelSerializer[Import]):
    created_by = serializers.CharField(source="created_by.username", default=None)

    class Meta:
        model = Import
        fields = [
            "id", "state", "file_name", "file_sha256", "file_size", "format", "model", "source", "imported",
            "unchanged", "rejected", "pairs", "tasks", "known_tasks", "redact", "redactions", "undone_at", "warnings",
            "progress", "progress_total", "stage", "error", "advice", "created_at", "started_at", "finished_at",
            "created_by",
        ]  # fmt: skip


class OptionsSerializer(serializers.Serializer[Any]):
    """What a person says of what they import; `mapping` says where the fields stand, where it is in no format."""

    format = serializers.ChoiceField(choices=FORMAT_CHOICES, required=False, allow_blank=True)
    model = serializers.CharField(max_length=120, required=False, allow_blank=True)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a declared field, no attribute of the serializer
        choices=Trajectory.Source.choices, default=Trajectory.Source.STRONG_MODEL
    )
    redact = serializers.MultipleChoiceField(choices=list(KINDS.items()), required=False)
    mapping = serializers.JSONField(required=False, allow_null=True)

    def validate_redact(self, value: set[str]) -> list[str]:
        return sorted(value)


class UploadSerializer(OptionsSerializer):
    file = serializers.FileField(allow_empty_file=True)


class RejectionSerializer(serializers.ModelSerializer[ImportRejection]):
    """`beginning` of the record; the whole of it stands in `rejected.jsonl`."""

    beginning = serializers.CharField()

    class Meta:
        model = ImportRejection
        fields = ["member", "record_index", "reason", "beginning"]


class ImportPageSerializer(serializers.Serializer[Any]):
    results = ImportSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class RejectionPageSerializer(serializers.Serializer[Any]):
    results = RejectionSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class ImportList(APIView):
    parser_classes = [MultiPartParser]

    @extend_schema(operation_id="v1_projects_imports_list", parameters=[AFTER], responses=ImportPageSerializer)
    def get(self, request: Request, project: str) -> Response:
        access = access_project(request, project)
        try:
            page = list_imports(access, cursor=request.query_params.get("after"), size=100)
        except ValueError as error:
            raise serializers.ValidationError({"after": str(error)}) from error
        return Response({"results": ImportSerializer(page.rows, many=True).data, "next": page.next})

    @extend_schema(
        parameters=[KEY], request={"multipart/form-data": UploadSerializer}, responses={202: ImportSerializer}
    )
    def post(self, request: Request, project: str) -> Response:
        """Take a file in; poll the import's address for what becomes of it."""
        access = access_project(request, project, Role.CURATOR)
        form = UploadSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields: dict[str, Any] = form.validated_data
        file, key = fields.pop("file"), request.headers.get("Idempotency-Key", "")
        try:
            job = create_import(
                access, file=file, file_name=file.name, idempotency_key=key, options=ImportOptions(**fields)
            )
        except KeyReused as error:
            raise Conflict(str(error)) from error
        except ValueError as error:
            raise serializers.ValidationError({"file": str(error)}) from error
        if job.state == JobState.QUEUED:
            run_import.delay_on_commit(job.pk)
        return Response(ImportSerializer(job).data, status=202)


class ImportDetail(APIView):
    @extend_schema(responses=ImportSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(ImportSerializer(get_import(access_project(request, project), pk)).data)


class ImportStop(APIView):
    @extend_schema(request=None, responses={202: ImportSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Stop after the current batch; what has been imported is kept."""
        access = access_project(request, project, Role.CURATOR)
        job = get_import(access, pk)
        try:
            stop_import(access, job)
        except ValueError as error:
            raise Conflict(str(error)) from error
        return Response(ImportSerializer(get_import(access, pk)).data, status=202)


class ImportResume(APIView):
    @extend_schema(request=None, responses={202: ImportSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Let a stopped or failed import go on."""
        access = access_project(request, project, Role.CURATOR)
        job = get_import(access, pk)
        try:
            resume_import(access, job)
        except ValueError as error:
            raise Conflict(str(error)) from error
        run_import.delay_on_commit(pk)
        return Response(ImportSerializer(get_import(access, pk)).data, status=202)


class RejectionList(APIView):
    @extend_schema(parameters=[AFTER], responses=RejectionPageSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        """The records that could not be imported, in the order of the file."""
        job = get_import(access_project(request, project), pk)
        try:
            page = list_rejections(job, cursor=request.query_params.get("after"), size=100)
        except ValueError as error:
            raise serializers.ValidationError({"after": str(error)}) from error
        return Response({"results": RejectionSerializer(page.rows, many=True).data, "next": page.next})


class RejectedRecords(APIView):
    @extend_schema(responses={(200, "application/x-ndjson"): OpenApiTypes.BINARY})
    def get(self, request: Request, project: str, pk: int) -> StreamingHttpResponse:
        """The rejected records as they stood in the file, to mend and to import again."""
        job = get_import(access_project(request, project), pk)
        return StreamingHttpResponse(stream_rejected(job), content_type="application/x-ndjson")


routes: list[URLPattern] = [
    path("imports/", ImportList.as_view(), name="api-import-list"),
    path("imports/<int:pk>/", ImportDetail.as_view(), name="api-import-detail"),
    path("imports/<int:pk>/stop/", ImportStop.as_view(), name="api-import-stop"),
    path("imports/<int:pk>/resume/", ImportResume.as_view(), name="api-import-resume"),
    path("imports/<int:pk>/rejections/", RejectionList.as_view(), name="api-import-rejection-list"),
    path("imports/<int:pk>/rejected.jsonl", RejectedRecords.as_view(), name="api-import-rejected"),
]
