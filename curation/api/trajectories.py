"""REST: trajectories, their revisions, and corrections."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from django.http import StreamingHttpResponse
from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.corrections import CorrectionSerializer, access_correction
from curation.api.problems import Conflict
from curation.filters import FILTER_NAMES, TrajectoryFilter, read_conditions
from curation.jobs import index_project
from curation.measures import Measures
from curation.models import Revision, Trajectory
from curation.permissions import BLIND_TRAJECTORY, access_project, get_revision, get_trajectory, may_see_outcome
from curation.revisions.blind import leave_out_telling
from curation.selectors.pages import BadCursor, take_page
from curation.selectors.trajectories import ORDERS, list_revisions, list_trajectories
from curation.selectors.trajectory_exports import WRITERS, stream_trajectories
from curation.services.corrections import EditConflict, correct_trajectory, parse_edit

MEASURES = [field.name for field in fields(Measures)]


class TrajectorySerializer(serializers.ModelSerializer[Trajectory]):
    task = serializers.CharField(source="task.key")
    instruction = serializers.CharField(source="task.instruction")
    band = serializers.IntegerField(source="task.band", allow_null=True)
    origin = serializers.IntegerField(source="origin_id", allow_null=True)
    duplicate_of = serializers.IntegerField(source="duplicate_of_id", allow_null=True)

    class Meta:
        model = Trajectory
        fields = [
            "id",
            "task",
            "instruction",
            "band",
            "source",
            "model",
            "trial",
            "reward",
            "success",
            "completion",
            "status",
            "tags",
            *MEASURES,
            "duplicate_of",
            "similarity",
            "head_number",
            "origin",
            "created_at",
        ]


class TrajectoryPageSerializer(serializers.Serializer[Any]):
    results = TrajectorySerializer(many=True)
    next = serializers.CharField(allow_null=True)


class RevisionSerializer(serializers.ModelSerializer[Revision]):
    author = serializers.CharField(source="author.username", default=None)

    class Meta:
        model = Revision
        fields = ["number", "author", "reason", "created_at"]


class TrajectoryList(APIView):
    @extend_schema(
        operation_id="v1_projects_trajectories_list",
        parameters=[OpenApiParameter(name, OpenApiTypes.STR) for name in sorted(FILTER_NAMES | {"order", "after"})],
        responses=TrajectoryPageSerializer,
    )
    def get(self, request: Request, project: str) -> Response:
        access = access_project(request, project)
        unknown = sorted(set(request.query_params) - FILTER_NAMES - {"order", "after"})
        if unknown:
            raise serializers.ValidationError({unknown[0]: "There is no such filter."})
        chosen = TrajectoryFilter(read_conditions(request.query_params), queryset=list_trajectories(access))
        if not chosen.is_valid():
            raise serializers.ValidationError(chosen.errors)
        order = request.query_params.get("order", "-id")
        if order not in ORDERS:
            raise serializers.ValidationError({"order": f"One of {', '.join(ORDERS)}."})
        try:
            page = take_page(chosen.qs, order=order, cursor=request.query_params.get("after"), size=100)
        except (BadCursor, ValueError) as error:
            raise serializers.ValidationError({"after": str(error)}) from error
        return Response({"results": TrajectorySerializer(page.rows, many=True).data, "next": page.next})


class TrajectoryExport(APIView):
    @extend_schema(
        operation_id="v1_projects_trajectories_export",
        parameters=[
            OpenApiParameter("format", OpenApiTypes.STR, enum=list(WRITERS), description="atif unless it is named."),
            *(OpenApiParameter(name, OpenApiTypes.STR) for name in sorted(FILTER_NAMES)),
        ],
        responses={(200, "application/x-ndjson"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, project: str) -> StreamingHttpResponse:
        """The newest revision of every trajectory that fits, one JSON object on each line."""
        access = access_project(request, project)
        unknown = sorted(set(request.query_params) - FILTER_NAMES - {"format"})
        if unknown:
            raise serializers.ValidationError({unknown[0]: "There is no such filter."})
        chosen = TrajectoryFilter(read_conditions(request.query_params), queryset=list_trajectories(access))
        if not chosen.is_valid():
            raise serializers.ValidationError(chosen.errors)
        try:
            lines = stream_trajectories(chosen.qs, request.query_params.get("format", "atif"))
        except ValueError as error:
            raise serializers.ValidationError({"format": str(error)}) from error
        return StreamingHttpResponse(lines, content_type="application/x-ndjson")


class TrajectoryDetail(APIView):
    @extend_schema(responses=TrajectorySerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        access = access_project(request, project)
        trajectory = get_trajectory(access, pk)
        if not may_see_outcome(access, trajectory):
            raise PermissionDenied(BLIND_TRAJECTORY)
        return Response(TrajectorySerializer(trajectory).data)


class RevisionList(APIView):
    @extend_schema(responses=RevisionSerializer(many=True))
    def get(self, request: Request, project: str, pk: int) -> Response:
        trajectory = get_trajectory(access_project(request, project), pk)
        return Response({"results": RevisionSerializer(list_revisions(trajectory), many=True).data, "next": None})

    @extend_schema(request=CorrectionSerializer, responses={201: RevisionSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Correct the newest revision; 409 where somebody else corrected it since `base`."""
        access, trajectory = access_correction(request, project, pk)
        form = CorrectionSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = form.validated_data
        try:
            edit = parse_edit(fields["edit"])
            revision = correct_trajectory(access, trajectory, edit, base=fields["base"], reason=fields["reason"])
        except EditConflict as error:
            raise Conflict(str(error)) from error
        except ValueError as error:
            raise serializers.ValidationError({"edit": str(error)}) from error
        index_project.delay_on_commit(access.project.pk)
        return Response(RevisionSerializer(revision).data, status=201)


class RevisionDocument(APIView):
    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, project: str, pk: int, number: int) -> Response:
        """The canonical document of a revision, a superset of ATIF 1.8; only its steps for a blind reviewer."""
        access = access_project(request, project)
        trajectory = get_trajectory(access, pk)
        document = get_revision(access, trajectory, number).document
        return Response(document if may_see_outcome(access, trajectory) else leave_out_telling(document))


routes: list[URLPattern] = [
    path("trajectories/", TrajectoryList.as_view(), name="api-trajectory-list"),
    path("trajectories/export.jsonl", TrajectoryExport.as_view(), name="api-trajectory-export"),
    path("trajectories/<int:pk>/", TrajectoryDetail.as_view(), name="api-trajectory-detail"),
    path("trajectories/<int:pk>/revisions/", RevisionList.as_view(), name="api-revision-list"),
    path("trajectories/<int:pk>/revisions/<int:number>/", RevisionDocument.as_view(), name="api-revision-document"),
]
