"""REST: how hard a project's tasks are, the target, and what selections keep of the hard ones."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.pages import read_page
from curation.bias import BiasReport, TargetError, dump_target, read_target
from curation.models import Role, Task
from curation.permissions import Access, access_project
from curation.selectors.difficulty import UNITS, Difficulty, find_policies, measure_difficulty
from curation.selectors.tasks import ORDERS, list_tasks, stream_tasks
from curation.services.targets import set_target
from curation.task_filters import TASK_FILTER_NAMES, TaskFilter, read_task_conditions
from curation.waterfall import dump_bands, dump_stages

SHARES = serializers.DictField(child=serializers.FloatField(), help_text="Band to share.")
CONDITIONS = [OpenApiParameter(name, OpenApiTypes.STR) for name in sorted(TASK_FILTER_NAMES)]


class TargetSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(
        choices=["pool", "uniform", "manual"], help_text="As collected, a fifth for each band, or `shares`."
    )
    shares = serializers.DictField(
        child=serializers.FloatField(), required=False, help_text="Band to share, adding up to 1; of a manual target."
    )


class StageSerializer(serializers.Serializer[Any]):
    stage = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # no clash: DRF collects it
    bands = serializers.DictField(child=serializers.FloatField(), help_text="What is there after it.")
    lost = serializers.DictField(child=serializers.FloatField(), help_text="What it took of the stage before.")
    tasks = serializers.DictField(child=serializers.IntegerField())


class SelectionSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(help_text='"accepted", or "dataset-" and its id.')
    version = serializers.IntegerField(allow_null=True, help_text="Of the dataset, the newest that was frozen.")
    amounts = serializers.DictField(child=serializers.FloatField(), help_text="By band, or unknown.")
    shares = SHARES
    bias = serializers.FloatField(allow_null=True, help_text="0 as the target to 1; null where there is nothing.")
    low = serializers.FloatField(allow_null=True, help_text="Where its 95 % interval begins.")
    high = serializers.FloatField(allow_null=True)
    shift = serializers.FloatField(allow_null=True, help_text="Mean pass rate less the target's.")
    retention = serializers.DictField(
        child=serializers.FloatField(allow_null=True), help_text="P(kept | band) / P(kept)."
    )
    flagged = serializers.ListField(child=serializers.IntegerField(), help_text="Bands with a retention below 0.8.")
    hard_tasks = serializers.IntegerField()
    hard_covered = serializers.IntegerField()
    tasks = serializers.IntegerField()
    effective_tasks = serializers.FloatField(allow_null=True)
    unknown_tasks = serializers.IntegerField()
    unreachable = serializers.ListField(child=serializers.IntegerField(), help_text="Bands that the pool lacks.")
    waterfall = StageSerializer(many=True, help_text="As it was frozen, in supervised tokens.")


class PolicySerializer(serializers.Serializer[Any]):
    name = serializers.CharField(allow_blank=True, help_text="Empty: attempts without a model's name.")
    attempts = serializers.IntegerField()
    successes = serializers.IntegerField()
    ability = serializers.FloatField(allow_null=True, help_text="Logits; null with fewer than three policies.")
    group = serializers.IntegerField(allow_null=True, help_text="Only policies of one group can be compared.")


class DifficultySerializer(serializers.Serializer[Any]):
    unit = serializers.CharField()
    tasks = serializers.IntegerField()
    target = TargetSerializer()
    target_shares = SHARES
    pool = serializers.DictField(child=serializers.FloatField(), help_text="By band, or unknown.")
    waterfall = StageSerializer(many=True)
    selections = SelectionSerializer(many=True)
    policies = PolicySerializer(many=True)


class TaskSerializer(serializers.ModelSerializer[Task]):
    class Meta:
        model = Task
        fields = [
            "id",
            "key",
            "dataset",
            "band",
            "pass_rate",
            "pass_low",
            "pass_high",
            "logit",
            "attempts",
            "successes",
            "human_grade",
            "grades_apart",
            "bands_apart",
        ]


class TaskPageSerializer(serializers.Serializer[Any]):
    results = TaskSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class DifficultyReport(APIView):
    @extend_schema(
        parameters=[OpenApiParameter("unit", OpenApiTypes.STR, enum=list(UNITS), description="tokens unless named.")],
        responses=DifficultySerializer,
    )
    def get(self, request: Request, project: str) -> Response:
        """The pool by band, the stages up to acceptance, and each selection against the target."""
        access = access_project(request, project)
        unit = request.query_params.get("unit", "tokens")
        if unit not in UNITS:
            raise serializers.ValidationError({"unit": f"One of {', '.join(UNITS)}."})
        return Response(_dump(access, measure_difficulty(access.project, unit=unit)))


class DifficultyTarget(APIView):
    @extend_schema(responses=TargetSerializer)
    def get(self, request: Request, project: str) -> Response:
        return Response(dump_target(read_target(access_project(request, project).project.target)))

    @extend_schema(request=TargetSerializer, responses=TargetSerializer)
    def put(self, request: Request, project: str) -> Response:
        access = access_project(request, project, Role.CURATOR)
        form = TargetSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            target = set_target(access, form.validated_data)
        except TargetError as error:
            raise serializers.ValidationError({"shares": str(error)}) from error
        return Response(dump_target(target))


class TaskList(APIView):
    @extend_schema(
        operation_id="v1_projects_tasks_list",
        parameters=[
            *CONDITIONS,
            OpenApiParameter("order", OpenApiTypes.STR, enum=list(ORDERS)),
            OpenApiParameter("after", OpenApiTypes.STR, description="`next` of the page before."),
        ],
        responses=TaskPageSerializer,
    )
    def get(self, request: Request, project: str) -> Response:
        access = access_project(request, project)
        chosen = _choose(access, request, "order", "after")
        order = request.query_params.get("order", "id")
        if order not in ORDERS:
            raise serializers.ValidationError({"order": f"One of {', '.join(ORDERS)}."})
        page = read_page(request, chosen.qs, order=order)
        return Response({"results": TaskSerializer(page.rows, many=True).data, "next": page.next})


class TaskExport(APIView):
    @extend_schema(
        operation_id="v1_projects_tasks_export",
        parameters=CONDITIONS,
        responses={(200, "application/x-ndjson"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, project: str) -> StreamingHttpResponse:
        """Every task that fits, one JSON object on each line."""
        chosen = _choose(access_project(request, project), request)
        return StreamingHttpResponse(stream_tasks(chosen.qs, "jsonl"), content_type="application/x-ndjson")


def _choose(access: Access, request: Request, *others: str) -> TaskFilter:
    """The filter in the address. Raises ValidationError for one that does not exist."""
    unknown = sorted(set(request.query_params) - TASK_FILTER_NAMES - set(others))
    if unknown:
        raise serializers.ValidationError({unknown[0]: "There is no such filter."})
    chosen = TaskFilter(read_task_conditions(request.query_params), queryset=list_tasks(access))
    if not chosen.is_valid():
        raise serializers.ValidationError(chosen.errors)
    return chosen


def _dump(access: Access, measured: Difficulty) -> dict[str, Any]:
    return {
        "unit": measured.unit,
        "tasks": measured.tasks,
        "target": dump_target(measured.target),
        "target_shares": measured.shares,
        "pool": dump_bands(measured.pool),
        "waterfall": dump_stages(measured.stages),
        "selections": [
            {
                "name": one.name,
                "version": one.version,
                "amounts": dump_bands(one.amounts),
                "waterfall": dump_stages(one.stages),
                **_dump_report(one.report),
            }
            for one in measured.selections
        ],
        "policies": find_policies(access.project),
    }


def _dump_report(report: BiasReport) -> dict[str, Any]:
    names = ["bias", "low", "high", "shift", "retention", "flagged", "hard_tasks", "hard_covered", "tasks"]
    names += ["effective_tasks", "unknown_tasks", "unreachable"]
    return {"shares": report.selected, **{name: getattr(report, name) for name in names}}


routes: list[URLPattern] = [
    path("difficulty/", DifficultyReport.as_view(), name="api-difficulty"),
    path("difficulty/target/", DifficultyTarget.as_view(), name="api-difficulty-target"),
    path("tasks/", TaskList.as_view(), name="api-task-list"),
    path("tasks/export.jsonl", TaskExport.as_view(), name="api-task-export"),
]
