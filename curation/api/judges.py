"""REST: model judges, what they say, and how far they agree with the people."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.pages import read_page
from curation.api.problems import Conflict
from curation.models import Judge, Opinion, Role
from curation.permissions import BLIND_TRAJECTORY, access_project, get_judge, get_trajectory, may_see_outcome
from curation.selectors.judge_agreement import JudgeAgreement, measure_judge
from curation.selectors.judges import list_judges, list_opinions, sum_spent
from curation.services.judges import JudgeDraft, Trial, archive_judge, create_judge, try_judge

AFTER = OpenApiParameter("after", OpenApiTypes.STR, description="`next` of the page before.")


class LevelSerializer(serializers.Serializer[Any]):
    value = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]  # no clash: DRF collects it


class JudgeCriterionSerializer(serializers.Serializer[Any]):
    """As in a queue's rubric."""

    key = serializers.CharField(required=False)
    name = serializers.CharField()
    description = serializers.CharField(required=False, allow_blank=True)
    levels = LevelSerializer(many=True)


class JudgeSerializer(serializers.ModelSerializer[Judge]):
    """`key` is taken and never given: `has_key` says whether there is one."""

    key = serializers.CharField(write_only=True, required=False, allow_blank=True, max_length=500)
    has_key = serializers.SerializerMethodField()
    base_url = serializers.CharField(max_length=300)
    criteria = JudgeCriterionSerializer(many=True, required=False)
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True)

    class Meta:
        model = Judge
        fields = [
            "id", "name", "base_url", "model", "key", "key_variable", "has_key", "unit", "instructions", "criteria",
            "concurrency", "price_in", "price_out", "archived_at", "created_at", "created_by",
        ]  # fmt: skip
        read_only_fields = ["archived_at"]

    def get_has_key(self, judge: Judge) -> bool:
        return bool(judge.key_variable or judge.sealed_key)


class JudgePageSerializer(serializers.Serializer[Any]):
    results = JudgeSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class SpentSerializer(serializers.Serializer[Any]):
    asked = serializers.IntegerField()
    cached = serializers.IntegerField()
    failed = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    answer_tokens = serializers.IntegerField()
    cost = serializers.FloatField()


class JudgeDetailSerializer(JudgeSerializer):
    spent = SpentSerializer(read_only=True)

    class Meta(JudgeSerializer.Meta):
        fields = [*JudgeSerializer.Meta.fields, "spent"]


class StepOpinionSerializer(serializers.Serializer[Any]):
    step = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]  # no clash: DRF collects it
    reason = serializers.CharField()
    failure_mode = serializers.CharField(required=False, help_text="Of a wrong step.")


class OpinionSerializer(serializers.ModelSerializer[Opinion]):
    """`current` says whether it is of the newest revision: others count no more."""

    judge_name = serializers.CharField(source="judge.name")
    revision = serializers.IntegerField(source="revision.number")
    current = serializers.SerializerMethodField()
    scores = serializers.DictField(child=serializers.IntegerField())
    steps = StepOpinionSerializer(many=True)

    class Meta:
        model = Opinion
        fields = [
            "id", "judge", "judge_name", "run", "trajectory", "revision", "current", "value", "score", "reason",
            "scores", "steps", "prompt_tokens", "answer_tokens", "created_at",
        ]  # fmt: skip

    def get_current(self, opinion: Opinion) -> bool:
        return opinion.revision.number == opinion.trajectory.head_number


class OpinionListSerializer(serializers.Serializer[Any]):
    results = OpinionSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class TrialOrderSerializer(serializers.Serializer[Any]):
    trajectory = serializers.IntegerField(min_value=1, max_value=2**62)


class MessageSerializer(serializers.Serializer[Any]):
    role = serializers.CharField()
    content = serializers.CharField()


class TrialSerializer(serializers.Serializer[Any]):
    """What was sent, what came back, and what was read in it; `problem` says why nothing was."""

    messages = MessageSerializer(many=True)
    left_out = serializers.IntegerField(help_text="Characters of the trajectory that are not sent.")
    replies = serializers.ListField(child=serializers.CharField())
    value = serializers.CharField(allow_null=True)
    score = serializers.FloatField(allow_null=True)
    reason = serializers.CharField(allow_null=True)
    scores = serializers.DictField(child=serializers.IntegerField())
    steps = StepOpinionSerializer(many=True)
    problem = serializers.CharField()
    prompt_tokens = serializers.IntegerField()
    answer_tokens = serializers.IntegerField()


class JudgeScaleSerializer(serializers.Serializer[Any]):
    scale = serializers.CharField(help_text="verdict, and of a judge of steps step.")
    values = serializers.ListField(child=serializers.CharField())
    kappa = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True, help_text="95 % interval, by bootstrap.")
    high = serializers.FloatField(allow_null=True)
    same = serializers.FloatField(allow_null=True)
    items = serializers.IntegerField(help_text="On which both spoke.")
    split = serializers.IntegerField(help_text="On which as many people said one thing as another.")
    reason = serializers.CharField(help_text="Why a number is missing.")
    table = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()), help_text="What people said by what it said."
    )


class JudgeAgreementSerializer(serializers.Serializer[Any]):
    scales = JudgeScaleSerializer(many=True)


class JudgeList(APIView):
    @extend_schema(operation_id="v1_projects_judges_list", parameters=[AFTER], responses=JudgePageSerializer)
    def get(self, request: Request, project: str) -> Response:
        access = access_project(request, project, Role.CURATOR)
        judges = list_judges(access).select_related("created_by").defer(None)
        page = read_page(request, judges, order="-id")
        return Response({"results": JudgeSerializer(page.rows, many=True).data, "next": page.next})

    @extend_schema(request=JudgeSerializer, responses={201: JudgeSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Make a judge. It is never edited: make another, and archive this one."""
        access = access_project(request, project, Role.CURATOR)
        form = JudgeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            judge = create_judge(access, JudgeDraft(**form.validated_data))
        except ValueError as error:
            raise serializers.ValidationError({"judge": str(error)}) from error
        return Response(JudgeSerializer(judge).data, status=201)


class JudgeDetail(APIView):
    @extend_schema(responses=JudgeDetailSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        access = access_project(request, project, Role.CURATOR)
        judge = get_judge(access, pk)
        return Response({**JudgeSerializer(judge).data, "spent": SpentSerializer(sum_spent(judge)).data})


class JudgeArchive(APIView):
    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Put it away: its key is forgotten, what it said stays. 409 while a run of it is at work."""
        access = access_project(request, project, Role.CURATOR)
        try:
            archive_judge(access, get_judge(access, pk))
        except ValueError as error:
            raise Conflict(str(error)) from error
        return Response(status=204)


class JudgeTrial(APIView):
    @extend_schema(request=TrialOrderSerializer, responses=TrialSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Put it to one trajectory, and keep nothing of what it says."""
        access = access_project(request, project, Role.CURATOR)
        judge = get_judge(access, pk)
        form = TrialOrderSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            trial = try_judge(access, judge, get_trajectory(access, form.validated_data["trajectory"]))
        except ValueError as error:
            raise serializers.ValidationError({"trajectory": str(error)}) from error
        return Response(_tell_trial(trial))


class JudgeAgreementDetail(APIView):
    @extend_schema(responses=JudgeAgreementSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        """How far it agrees with what people said of the same revisions."""
        access = access_project(request, project, Role.CURATOR)
        return Response({"scales": [_tell_agreement(one) for one in measure_judge(get_judge(access, pk))]})


class OpinionList(APIView):
    @extend_schema(responses=OpinionListSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        """What judges said of a trajectory, newest first; 403 for whoever may still be given it to review blind."""
        access = access_project(request, project)
        trajectory = get_trajectory(access, pk)
        if not may_see_outcome(access, trajectory):
            raise PermissionDenied(BLIND_TRAJECTORY)
        opinions = list_opinions(trajectory).select_related("trajectory")
        return Response({"results": OpinionSerializer(opinions, many=True).data, "next": None})


def _tell_trial(trial: Trial) -> dict[str, Any]:
    judged, asked = trial.asked.judged, trial.asked
    return {
        "messages": trial.request.messages,
        "left_out": trial.request.left_out,
        "replies": list(asked.replies),
        "value": judged and judged.verdict,
        "score": judged and judged.score,
        "reason": judged and judged.reason,
        "scores": judged.scores if judged else {},
        "steps": judged.steps if judged else [],
        "problem": asked.failed or asked.refused,
        "prompt_tokens": asked.prompt_tokens,
        "answer_tokens": asked.answer_tokens,
    }


def _tell_agreement(one: JudgeAgreement) -> dict[str, Any]:
    return {
        "scale": one.scale.name,
        "values": one.scale.values,
        "kappa": one.measured.value,
        **{name: getattr(one.measured, name) for name in ("low", "high", "same", "items", "reason")},
        "split": one.split,
        "table": one.table,
    }


routes: list[URLPattern] = [
    path("judges/", JudgeList.as_view(), name="api-judge-list"),
    path("judges/<int:pk>/", JudgeDetail.as_view(), name="api-judge-detail"),
    path("judges/<int:pk>/archive/", JudgeArchive.as_view(), name="api-judge-archive"),
    path("judges/<int:pk>/try/", JudgeTrial.as_view(), name="api-judge-try"),
    path("judges/<int:pk>/agreement/", JudgeAgreementDetail.as_view(), name="api-judge-agreement"),
    path("trajectories/<int:pk>/opinions/", OpinionList.as_view(), name="api-opinion-list"),
]
