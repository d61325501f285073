"""REST: preference pairs, proposing them and judging them."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.formats.document import Document
from curation.formats.messages import document_to_messages
from curation.models import Judgement, PreferencePair, Revision, Role
from curation.pair_filters import FILTER_NAMES, PairFilter, read_conditions
from curation.permissions import Access, access_project, get_pair
from curation.selectors.pages import BadCursor, take_page
from curation.selectors.pairs import find_judgement, find_next_pair, list_pairs
from curation.services.pairs import choose_sides, judge_pair, propose_pairs


class PairSerializer(serializers.ModelSerializer[PreferencePair]):
    """`chosen` and `rejected` (trajectory and revision number) stay empty for a reviewer who has not judged yet."""

    task = serializers.CharField(source="task.key")
    band = serializers.IntegerField(source="task.band", allow_null=True)
    judgement_count = serializers.IntegerField()
    judged_by_me = serializers.BooleanField()
    chosen = serializers.SerializerMethodField()
    rejected = serializers.SerializerMethodField()

    class Meta:
        model = PreferencePair
        fields = [
            "id",
            "task",
            "band",
            "origin",
            "status",
            "strength",
            "shared_steps",
            "judgement_count",
            "judged_by_me",
            "chosen",
            "rejected",
            "created_at",
        ]

    def get_chosen(self, pair: PreferencePair) -> dict[str, int] | None:
        return self._name_side(pair, pair.chosen)

    def get_rejected(self, pair: PreferencePair) -> dict[str, int] | None:
        return self._name_side(pair, pair.rejected)

    def _name_side(self, pair: PreferencePair, revision: Revision) -> dict[str, int] | None:
        access: Access = self.context["access"]
        if access.is_reviewer and not getattr(pair, "judged_by_me", False):
            return None
        return {"trajectory": revision.trajectory_id, "revision": revision.number}


class PairPageSerializer(serializers.Serializer[Any]):
    results = PairSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class SideSerializer(serializers.Serializer[Any]):
    side = serializers.IntegerField(help_text="To be sent back with the answer.")
    messages = serializers.ListField(child=serializers.DictField())


class JudgementSerializer(serializers.Serializer[Any]):
    """`left` and `right` are the sides as they were shown."""

    answer = serializers.ChoiceField(choices=Judgement.Answer.choices)
    reason = serializers.CharField(max_length=5000, required=False, allow_blank=True, default="")
    left = serializers.IntegerField(min_value=1, max_value=2**62)
    right = serializers.IntegerField(min_value=1, max_value=2**62)


class OpenPairSerializer(serializers.Serializer[Any]):
    """A pair as it is to be judged: blind as to model and outcome."""

    id = serializers.IntegerField()
    task = serializers.CharField()
    instruction = serializers.CharField()
    shared_steps = serializers.IntegerField()
    left = SideSerializer()
    right = SideSerializer()
    judgement = JudgementSerializer(allow_null=True)


class ProposalsSerializer(serializers.Serializer[Any]):
    tasks = serializers.IntegerField()
    proposed = serializers.IntegerField()
    unusable = serializers.DictField(child=serializers.IntegerField())


class ProposeSerializer(serializers.Serializer[Any]):
    most_per_task = serializers.IntegerField(min_value=1, max_value=50, default=3)


class PairList(APIView):
    @extend_schema(
        operation_id="v1_projects_pairs_list",
        parameters=[OpenApiParameter(name, OpenApiTypes.STR) for name in sorted(FILTER_NAMES | {"after"})],
        responses=PairPageSerializer,
    )
    def get(self, request: Request, project: str) -> Response:
        access = access_project(request, project)
        unknown = sorted(set(request.query_params) - FILTER_NAMES - {"after"})
        if unknown:
            raise serializers.ValidationError({unknown[0]: "There is no such filter."})
        chosen = PairFilter(read_conditions(request.query_params), queryset=list_pairs(access))
        if not chosen.is_valid():
            raise serializers.ValidationError(chosen.errors)
        try:
            page = take_page(chosen.qs, order="-id", cursor=request.query_params.get("after"), size=100)
        except (BadCursor, ValueError) as error:
            raise serializers.ValidationError({"after": str(error)}) from error
        rows = PairSerializer(page.rows, many=True, context={"access": access}).data
        return Response({"results": rows, "next": page.next})


class PairPropose(APIView):
    @extend_schema(request=ProposeSerializer, responses=ProposalsSerializer)
    def post(self, request: Request, project: str) -> Response:
        access = access_project(request, project, Role.CURATOR)
        form = ProposeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        found = propose_pairs(access, most_per_task=form.validated_data["most_per_task"])
        return Response(ProposalsSerializer(found).data)


class PairNext(APIView):
    @extend_schema(responses={200: OpenPairSerializer, 204: None})
    def get(self, request: Request, project: str) -> Response:
        """The next pair to judge; 204 where none is waiting for the caller."""
        access = access_project(request, project, Role.REVIEWER)
        pair = find_next_pair(access)
        return Response(status=204) if pair is None else Response(_show_pair(access, get_pair(access, pair.pk)))


class PairDetail(APIView):
    @extend_schema(responses=OpenPairSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        access = access_project(request, project, Role.REVIEWER)
        return Response(_show_pair(access, get_pair(access, pk)))


class PairJudgement(APIView):
    @extend_schema(request=JudgementSerializer, responses=PairSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        access = access_project(request, project, Role.REVIEWER)
        pair = get_pair(access, pk)
        form = JudgementSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = form.validated_data
        try:
            judge_pair(
                access,
                pair,
                answer=fields["answer"],
                reason=fields["reason"],
                left_id=fields["left"],
                right_id=fields["right"],
            )
        except ValueError as error:
            raise serializers.ValidationError({"judgement": str(error)}) from error
        return Response(PairSerializer(list_pairs(access).get(pk=pk), context={"access": access}).data)


def _show_pair(access: Access, pair: PreferencePair) -> dict[str, Any]:
    sides = choose_sides(access, pair)
    documents = {pair.chosen_id: pair.chosen.document, pair.rejected_id: pair.rejected.document}
    judgement = find_judgement(access, pair)
    return {
        "id": pair.pk,
        "task": pair.task.key,
        "instruction": pair.task.instruction,
        "shared_steps": pair.shared_steps,
        "left": _show_side(sides.left_id, documents),
        "right": _show_side(sides.right_id, documents),
        "judgement": judgement
        and {
            "answer": judgement.answer,
            "reason": judgement.reason,
            "left": judgement.left_id,
            "right": judgement.right_id,
        },
    }


def _show_side(pk: int, documents: dict[int, Any]) -> dict[str, Any]:
    return {"side": pk, "messages": document_to_messages(Document.model_validate(documents[pk]))}


routes: list[URLPattern] = [
    path("pairs/", PairList.as_view(), name="api-pair-list"),
    path("pairs/propose/", PairPropose.as_view(), name="api-pair-propose"),
    path("pairs/next/", PairNext.as_view(), name="api-pair-next"),
    path("pairs/<int:pk>/", PairDetail.as_view(), name="api-pair-detail"),
    path("pairs/<int:pk>/judgement/", PairJudgement.as_view(), name="api-pair-judgement"),
]
