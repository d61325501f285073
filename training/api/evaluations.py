"""REST: models, their evaluations, and the comparison of some."""

from __future__ import annotations

from dataclasses import asdict
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
from training.api.runs import AFTER
from training.jobs import supervise_evaluation
from training.models import Checkpoint, Evaluation
from training.permissions import get_checkpoint, get_evaluation
from training.selectors.comparison import (
    FEWEST,
    MOST,
    MOST_VERSIONS,
    Cell,
    Measured,
    find_differences,
    measure_all,
)
from training.selectors.runs import list_checkpoints, list_evaluations
from training.services.evaluations import evaluate_checkpoints, stop_evaluation

CHECKPOINTS = OpenApiParameter(
    "checkpoint", OpenApiTypes.INT, many=True, description=f"Repeat it: {FEWEST} to {MOST} ids."
)
VERSIONS = OpenApiParameter(
    "version", OpenApiTypes.INT, many=True, description=f"Repeat it: at most {MOST_VERSIONS} ids."
)


class CheckpointSerializer(serializers.ModelSerializer[Checkpoint]):
    class Meta:
        model = Checkpoint
        fields = ["id", "name", "kind", "run", "parent", "is_adapter", "created_at"]


class EvaluationSerializer(serializers.ModelSerializer[Evaluation]):
    version = serializers.IntegerField(source="dataset_version_id")

    class Meta:
        model = Evaluation
        fields = [
            "id", "checkpoint", "version", "state", "stage", "progress", "progress_total", "error", "advice",
            "created_at", "started_at", "finished_at",
        ]  # fmt: skip


class EvaluationDetailSerializer(EvaluationSerializer):
    result = serializers.DictField(allow_null=True)

    class Meta(EvaluationSerializer.Meta):
        fields = [*EvaluationSerializer.Meta.fields, "result"]


class EvaluateSerializer(serializers.Serializer[Any]):
    checkpoints = serializers.ListField(child=serializers.IntegerField(), min_length=1, max_length=20)
    version = serializers.IntegerField()


class CheckpointPageSerializer(serializers.Serializer[Any]):
    results = CheckpointSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class EvaluationPageSerializer(serializers.Serializer[Any]):
    results = EvaluationSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class ComparisonSerializer(serializers.Serializer[Any]):
    checkpoints = CheckpointSerializer(many=True)
    differences = serializers.ListField(child=serializers.DictField(), help_text="Settings that are not the same.")
    versions = serializers.ListField(child=serializers.DictField(), help_text="Figures by band, and actions.")


class CheckpointList(APIView):
    @extend_schema(parameters=[AFTER], responses=CheckpointPageSerializer)
    def get(self, request: Request, project: str) -> Response:
        access = access_project(request, project)
        try:
            page = take_page(list_checkpoints(access), order="-id", cursor=request.query_params.get("after"), size=100)
        except BadCursor as error:
            raise serializers.ValidationError({"after": str(error)}) from error
        return Response({"results": CheckpointSerializer(page.rows, many=True).data, "next": page.next})


class EvaluationList(APIView):
    @extend_schema(operation_id="v1_projects_evaluations_list", parameters=[AFTER], responses=EvaluationPageSerializer)
    def get(self, request: Request, project: str) -> Response:
        access = access_project(request, project)
        try:
            page = take_page(list_evaluations(access), order="-id", cursor=request.query_params.get("after"), size=100)
        except BadCursor as error:
            raise serializers.ValidationError({"after": str(error)}) from error
        return Response({"results": EvaluationSerializer(page.rows, many=True).data, "next": page.next})

    @extend_schema(request=EvaluateSerializer, responses={202: EvaluationSerializer(many=True)})
    def post(self, request: Request, project: str) -> Response:
        """Measure models on a version's held-out rows; what was measured already is returned as it is."""
        access = access_project(request, project, Role.ENGINEER)
        form = EvaluateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields: dict[str, Any] = form.validated_data
        version = get_version(access, fields["version"])
        checkpoints = [get_checkpoint(access, pk) for pk in dict.fromkeys(fields["checkpoints"])]
        try:
            evaluations = evaluate_checkpoints(access, checkpoints, version)
        except ValueError as error:
            raise serializers.ValidationError({"non_field_errors": [str(error)]}) from error
        for evaluation in evaluations:
            if evaluation.is_active:
                supervise_evaluation.delay_on_commit(evaluation.pk)
        return Response(EvaluationSerializer(evaluations, many=True).data, status=202)


class EvaluationDetail(APIView):
    @extend_schema(responses=EvaluationDetailSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(EvaluationDetailSerializer(get_evaluation(access_project(request, project), pk)).data)


class EvaluationStop(APIView):
    @extend_schema(request=None, responses={202: EvaluationSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        access = access_project(request, project, Role.ENGINEER)
        try:
            stop_evaluation(access, get_evaluation(access, pk))
        except ValueError as error:
            raise Conflict(str(error)) from error
        return Response(EvaluationSerializer(get_evaluation(access, pk)).data, status=202)


class Compare(APIView):
    @extend_schema(parameters=[CHECKPOINTS, VERSIONS], responses=ComparisonSerializer)
    def get(self, request: Request, project: str) -> Response:
        """What differs, and the figures by band, as far as they were measured. Derived each time, never stored."""
        access = access_project(request, project)
        wanted = _read_ids(request, "checkpoint", fewest=FEWEST, most=MOST)
        checkpoints = [get_checkpoint(access, pk) for pk in wanted]
        versions = [get_version(access, pk) for pk in _read_ids(request, "version", fewest=0, most=MOST_VERSIONS)]
        return Response(
            {
                "checkpoints": CheckpointSerializer(checkpoints, many=True).data,
                "differences": [asdict(difference) for difference in find_differences(checkpoints)],
                "versions": [_show_measured(one) for one in measure_all(checkpoints, versions)],
            }
        )


def _show_measured(measured: Measured) -> dict[str, Any]:
    lines = []
    for line in measured.lines:
        figures = [_show_cell(cell) for cell in line.cells]
        lines.append({"band": "total" if line.is_total else line.band, "rows": line.rows, "figures": figures})
    actions = [
        {"trajectory": line.trajectory, "pair": line.pair, "step": line.step, "band": line.band}
        | {"recorded": line.recorded}
        | {"actions": [action.generated if action else None for action in line.actions]}
        for line in measured.actions
    ]
    evaluations = [evaluation.pk if evaluation else None for evaluation in measured.evaluations]
    return {"version": measured.version.pk, "evaluations": evaluations, "bands": lines, "next_actions": actions}


def _show_cell(cell: Cell) -> dict[str, Any]:
    share = cell.preference
    return {
        "held_out": cell.held_out.model_dump() if cell.held_out else None,
        "preference": asdict(share) | {"accuracy": share.value} if share else None,
    }


def _read_ids(request: Request, name: str, *, fewest: int, most: int) -> list[int]:
    values = list(dict.fromkeys(request.query_params.getlist(name)))
    if not all(value.isascii() and value.isdigit() and len(value) < 19 for value in values):
        raise serializers.ValidationError({name: "Ids are whole numbers."})
    if not fewest <= len(values) <= most:
        raise serializers.ValidationError({name: f"Name {fewest} to {most} different ones."})
    return [int(value) for value in values]


routes: list[URLPattern] = [
    path("checkpoints/", CheckpointList.as_view(), name="api-checkpoint-list"),
    path("evaluations/", EvaluationList.as_view(), name="api-evaluation-list"),
    path("evaluations/<int:pk>/", EvaluationDetail.as_view(), name="api-evaluation-detail"),
    path("evaluations/<int:pk>/stop/", EvaluationStop.as_view(), name="api-evaluation-stop"),
    path("compare/", Compare.as_view(), name="api-compare"),
]
