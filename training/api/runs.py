"""REST: training runs, from launch to end."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.problems import Conflict
from curation.models import Role
from curation.permissions import access_project, get_version
from curation.selectors.pages import BadCursor, take_page
from training.jobs import supervise_run
from training.models import Run
from training.permissions import get_checkpoint, get_run
from training.run_dir import tail_log
from training.selectors.runs import list_runs, sample_metrics
from training.services.runs import KeyReused, launch_run, parse_recipe, resume_run, stop_run, suggest_name

MOST_METRICS = 100
MOST_LINES = 10_000
AFTER = OpenApiParameter("after", OpenApiTypes.STR, description="The `next` of the page before.")
LINES = OpenApiParameter("lines", OpenApiTypes.INT, description=f"How many of the last lines, at most {MOST_LINES}.")
KEY = OpenApiParameter(
    "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER,
    description="The same key gives the same run, however often the request is sent.",
)  # fmt: skip


class RunSerializer(serializers.ModelSerializer[Run]):
    version = serializers.IntegerField(source="dataset_version_id")
    base = serializers.IntegerField(source="base_id", allow_null=True)
    created_by = serializers.CharField(source="created_by.username", default=None)

    class Meta:
        model = Run
        fields = [
            "id", "name", "method", "state", "stage", "progress", "progress_total", "error", "advice", "version",
            "base", "recipe", "created_at", "started_at", "finished_at", "created_by",
        ]  # fmt: skip


class RunDetailSerializer(serializers.Serializer[Any]):
    run = RunSerializer()
    checkpoints = serializers.ListField(child=serializers.IntegerField(), help_text="Ids of the models it made.")
    metrics = serializers.ListField(child=serializers.DictField(), help_text="The last logged values.")


class LaunchSerializer(serializers.Serializer[Any]):
    """`recipe` is put over the preset's values, or over the method's own where no preset is named."""

    version = serializers.IntegerField(help_text="Id of a frozen dataset version; its kind says the method.")
    base = serializers.IntegerField(required=False, allow_null=True, help_text="Id of a model; null: tiny, made here.")
    name = serializers.CharField(required=False, max_length=100)
    preset = serializers.CharField(required=False, max_length=40)
    recipe = serializers.DictField(required=False)


class RunPageSerializer(serializers.Serializer[Any]):
    results = RunSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class LogSerializer(serializers.Serializer[Any]):
    lines = serializers.ListField(child=serializers.CharField())


class RunList(APIView):
    @extend_schema(operation_id="v1_projects_runs_list", parameters=[AFTER], responses=RunPageSerializer)
    def get(self, request: Request, project: str) -> Response:
        access = access_project(request, project)
        try:
            page = take_page(list_runs(access), order="-id", cursor=request.query_params.get("after"), size=100)
        except BadCursor as error:
            raise serializers.ValidationError({"after": str(error)}) from error
        return Response({"results": RunSerializer(page.rows, many=True).data, "next": page.next})

    @extend_schema(parameters=[KEY], request=LaunchSerializer, responses={202: RunSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Launch a run; poll its address for progress."""
        access = access_project(request, project, Role.ENGINEER)
        form = LaunchSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields: dict[str, Any] = form.validated_data
        version = get_version(access, fields["version"])
        base = get_checkpoint(access, fields["base"]) if fields.get("base") is not None else None
        method, key = version.dataset.kind, request.headers.get("Idempotency-Key", "")
        earlier = list_runs(access).filter(idempotency_key=key).first() if key else None
        try:
            run = launch_run(
                access,
                name=fields.get("name") or (earlier.name if earlier else suggest_name(access, method)),
                method=method,
                version=version,
                base=base,
                recipe=parse_recipe(method, fields.get("recipe") or {}, preset=fields.get("preset")),
                key=key,
            )
        except KeyReused as error:
            raise Conflict(str(error)) from error
        except ValueError as error:
            raise serializers.ValidationError({"non_field_errors": [str(error)]}) from error
        supervise_run.delay_on_commit(run.pk)
        return Response(RunSerializer(run).data, status=202)


class RunDetail(APIView):
    @extend_schema(responses=RunDetailSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        run = get_run(access_project(request, project), pk)
        metrics = [metric.model_dump(exclude_none=True) for metric in sample_metrics(run.directory)[-MOST_METRICS:]]
        checkpoints = list(run.checkpoints.order_by("pk").values_list("pk", flat=True))
        return Response({"run": RunSerializer(run).data, "checkpoints": checkpoints, "metrics": metrics})


class RunStop(APIView):
    @extend_schema(request=None, responses={202: RunSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Save a checkpoint and stop."""
        access = access_project(request, project, Role.ENGINEER)
        try:
            stop_run(access, get_run(access, pk))
        except ValueError as error:
            raise Conflict(str(error)) from error
        return Response(RunSerializer(get_run(access, pk)).data, status=202)


class RunResume(APIView):
    @extend_schema(request=None, responses={202: RunSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Let a stopped or failed run go on from its last checkpoint."""
        access = access_project(request, project, Role.ENGINEER)
        try:
            resume_run(access, get_run(access, pk))
        except ValueError as error:
            raise Conflict(str(error)) from error
        supervise_run.delay_on_commit(pk)
        return Response(RunSerializer(get_run(access, pk)).data, status=202)


class RunLog(APIView):
    @extend_schema(parameters=[LINES], responses=LogSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        """The end of the engine's log."""
        run = get_run(access_project(request, project), pk)
        wanted = request.query_params.get("lines", "200")
        if not wanted.isascii() or not wanted.isdigit() or not 1 <= int(wanted[:9]) <= MOST_LINES:
            raise serializers.ValidationError({"lines": f"A number from 1 to {MOST_LINES} is needed."})
        return Response({"lines": tail_log(run.directory, lines=int(wanted[:9]))})


routes: list[URLPattern] = [
    path("runs/", RunList.as_view(), name="api-run-list"),
    path("runs/<int:pk>/", RunDetail.as_view(), name="api-run-detail"),
    path("runs/<int:pk>/stop/", RunStop.as_view(), name="api-run-stop"),
    path("runs/<int:pk>/resume/", RunResume.as_view(), name="api-run-resume"),
    path("runs/<int:pk>/log/", RunLog.as_view(), name="api-run-log"),
]
