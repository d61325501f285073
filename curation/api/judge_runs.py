"""REST: runs of model judges."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.judges import OpinionListSerializer, OpinionSerializer
from curation.api.pages import read_page
from curation.api.problems import Conflict
from curation.filters import choose_trajectories, read_conditions
from curation.jobs import run_judge
from curation.models import JobState, JudgeFailure, JudgeRun, Role
from curation.permissions import access_project, get_judge, get_judge_run
from curation.selectors.judges import list_failures, list_run_opinions, list_runs
from curation.services.bulk import KeyReused
from curation.services.judges import RunRefused, create_judge_run, resume_judge_run, stop_judge_run

AFTER = OpenApiParameter("after", OpenApiTypes.STR, description="`next` of the page before.")
KEY = OpenApiParameter(
    "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER,
    description="The same key gives the same run, however often the request is sent.",
)  # fmt: skip


class JudgeRunSerializer(serializers.ModelSerializer[JudgeRun]):
    """`cached` counts what was answered before for the same content, `failed` what has no usable answer."""

    filter = serializers.DictField(source="conditions", child=serializers.CharField())
    cost = serializers.FloatField(help_text="At the judge's prices.")
    created_by = serializers.CharField(source="created_by.username", default=None)

    class Meta:
        model = JudgeRun
        fields = [
            "id", "judge", "state", "filter", "most_cost", "progress", "progress_total", "asked", "cached", "failed",
            "prompt_tokens", "answer_tokens", "cost", "error", "advice", "created_at", "started_at", "finished_at",
            "created_by",
        ]  # fmt: skip


class JudgeRunPageSerializer(serializers.Serializer[Any]):
    results = JudgeRunSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class JudgeFailureSerializer(serializers.ModelSerializer[JudgeFailure]):
    class Meta:
        model = JudgeFailure
        fields = ["trajectory", "reason"]


class JudgeFailurePageSerializer(serializers.Serializer[Any]):
    results = JudgeFailureSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class LimitSerializer(serializers.Serializer[Any]):
    most_cost = serializers.FloatField(
        required=False, allow_null=True, help_text="The run stops before it has cost more; empty: no limit."
    )


class JudgeRunOrderSerializer(LimitSerializer):
    """Which trajectories to judge, by the filter of their list; an empty one takes all."""

    filter = serializers.DictField(child=serializers.CharField())


class JudgeRunList(APIView):
    @extend_schema(operation_id="v1_projects_judges_runs_list", parameters=[AFTER], responses=JudgeRunPageSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        access = access_project(request, project, Role.CURATOR)
        page = read_page(request, list_runs(get_judge(access, pk)), order="-id")
        return Response({"results": JudgeRunSerializer(page.rows, many=True).data, "next": page.next})

    @extend_schema(parameters=[KEY], request=JudgeRunOrderSerializer, responses={202: JudgeRunSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Judge the trajectories that fit; poll the run's address. 409 while another run of the judge is at work."""
        access = access_project(request, project, Role.CURATOR)
        judge = get_judge(access, pk)
        form = JudgeRunOrderSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        conditions = form.validated_data["filter"]
        try:
            chosen = choose_trajectories(access.project, conditions)
        except ValueError as error:
            raise serializers.ValidationError({"filter": str(error)}) from error
        try:
            run = create_judge_run(
                access,
                judge,
                conditions=read_conditions(conditions),
                chosen=chosen,
                most_cost=form.validated_data.get("most_cost"),
                idempotency_key=request.headers.get("Idempotency-Key", ""),
            )
        except (KeyReused, RunRefused) as error:
            raise Conflict(str(error)) from error
        except ValueError as error:
            raise serializers.ValidationError({"filter": str(error)}) from error
        if run.state == JobState.QUEUED:
            run_judge.delay_on_commit(run.pk)
        return Response(JudgeRunSerializer(run).data, status=202)


class JudgeRunDetail(APIView):
    @extend_schema(responses=JudgeRunSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        access = access_project(request, project, Role.CURATOR)
        return Response(JudgeRunSerializer(get_judge_run(access, pk)).data)


class JudgeRunOpinions(APIView):
    @extend_schema(parameters=[AFTER], responses=OpinionListSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        """What a run brought, newest first; what was known before is another run's."""
        access = access_project(request, project, Role.CURATOR)
        opinions = list_run_opinions(get_judge_run(access, pk)).select_related("judge").defer("revision__document")
        page = read_page(request, opinions, order="-id")
        return Response({"results": OpinionSerializer(page.rows, many=True).data, "next": page.next})


class JudgeRunFailures(APIView):
    @extend_schema(parameters=[AFTER], responses=JudgeFailurePageSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        """Trajectories without an opinion, and why."""
        access = access_project(request, project, Role.CURATOR)
        page = read_page(request, list_failures(get_judge_run(access, pk)), order="-id")
        return Response({"results": JudgeFailureSerializer(page.rows, many=True).data, "next": page.next})


class JudgeRunStop(APIView):
    @extend_schema(request=None, responses={202: JudgeRunSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Ask nothing more; what was asked already is kept."""
        access = access_project(request, project, Role.CURATOR)
        try:
            stop_judge_run(access, get_judge_run(access, pk))
        except ValueError as error:
            raise Conflict(str(error)) from error
        return Response(JudgeRunSerializer(get_judge_run(access, pk)).data, status=202)


class JudgeRunResume(APIView):
    @extend_schema(request=LimitSerializer, responses={202: JudgeRunSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Let a stopped or failed run go on; with `most_cost`, up to this limit."""
        access = access_project(request, project, Role.CURATOR)
        run = get_judge_run(access, pk)
        form = LimitSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            resume_judge_run(access, run, most_cost=form.validated_data.get("most_cost"))
        except RunRefused as error:
            raise Conflict(str(error)) from error
        except ValueError as error:
            raise serializers.ValidationError({"most_cost": str(error)}) from error
        run_judge.delay_on_commit(pk)
        return Response(JudgeRunSerializer(get_judge_run(access, pk)).data, status=202)


routes: list[URLPattern] = [
    path("judges/<int:pk>/runs/", JudgeRunList.as_view(), name="api-judge-run-list"),
    path("judge-runs/<int:pk>/", JudgeRunDetail.as_view(), name="api-judge-run-detail"),
    path("judge-runs/<int:pk>/opinions/", JudgeRunOpinions.as_view(), name="api-judge-run-opinions"),
    path("judge-runs/<int:pk>/failures/", JudgeRunFailures.as_view(), name="api-judge-run-failures"),
    path("judge-runs/<int:pk>/stop/", JudgeRunStop.as_view(), name="api-judge-run-stop"),
    path("judge-runs/<int:pk>/resume/", JudgeRunResume.as_view(), name="api-judge-run-resume"),
]
