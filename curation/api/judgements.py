"""REST: judging pairs, from the list or in a queue; deciding; taking a judgement back."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.pairs import PairSerializer
from curation.api.problems import Conflict
from curation.formats.document import Document
from curation.formats.messages import document_to_messages
from curation.models import Judgement, PreferencePair, Role
from curation.permissions import Access, access_project, get_own_pair, get_pair, get_queue
from curation.selectors.pairs import (
    find_judgement,
    find_last_judgement,
    find_next_pair,
    list_judgements,
    list_pairs,
    may_see_sides,
)
from curation.services.pair_queue import submit_judgement
from curation.services.pairs import (
    LONGEST_REASON,
    PairAnswer,
    choose_sides,
    decide_pair,
    judge_pair,
    withdraw_judgement,
)
from curation.services.reviews import LeaseLost


class SideSerializer(serializers.Serializer[Any]):
    side = serializers.IntegerField(help_text="To be sent back with the answer.")
    messages = serializers.ListField(child=serializers.DictField())


class JudgementSerializer(serializers.Serializer[Any]):
    """`left` and `right` are the sides as they were shown."""

    answer = serializers.ChoiceField(choices=Judgement.Answer.choices)
    reason = serializers.CharField(max_length=LONGEST_REASON, required=False, allow_blank=True, default="")
    left = serializers.IntegerField(min_value=1, max_value=2**62)
    right = serializers.IntegerField(min_value=1, max_value=2**62)
    seconds = serializers.IntegerField(
        min_value=0, max_value=2**31 - 1, default=0, help_text="Time at work on it, idle time left out."
    )


class OpenPairSerializer(serializers.Serializer[Any]):
    """A pair as it is to be judged: blind as to model and outcome. Of `step_only`, the first turns after the shared
    steps are judged."""

    id = serializers.IntegerField()
    task = serializers.CharField()
    instruction = serializers.CharField()
    shared_steps = serializers.IntegerField()
    step_only = serializers.BooleanField()
    left = SideSerializer()
    right = SideSerializer()
    judgement = JudgementSerializer(allow_null=True)


class GivenSerializer(serializers.ModelSerializer[Judgement]):
    """A judgement; `preferred` is the trajectory that won, empty where neither did."""

    reviewer = serializers.CharField(source="reviewer.username", default=None)
    preferred = serializers.SerializerMethodField()

    class Meta:
        model = Judgement
        fields = ["id", "reviewer", "answer", "preferred", "reason", "decides", "seconds", "created_at"]

    def get_preferred(self, judgement: Judgement) -> int | None:
        sides = {"left": judgement.left.trajectory_id, "right": judgement.right.trajectory_id}
        return sides.get(judgement.answer.partition("-")[0])


class GivenPageSerializer(serializers.Serializer[Any]):
    results = GivenSerializer(many=True)


class TakenBackSerializer(serializers.Serializer[Any]):
    """The pair, and the reservation that is held again where the judgement was given in a queue."""

    pair = serializers.IntegerField()
    reservation = serializers.IntegerField(allow_null=True)


class UndoSerializer(serializers.Serializer[Any]):
    queue = serializers.IntegerField(
        min_value=1, max_value=2**62, required=False, help_text="Only what was judged in this queue."
    )


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
        """Judge a pair, or change one's judgement of it."""
        access = access_project(request, project, Role.REVIEWER)
        pair = get_pair(access, pk)
        try:
            judge_pair(access, pair, _read_answer(request))
        except ValueError as error:
            raise serializers.ValidationError({"judgement": str(error)}) from error
        return _answer_with(access, pk)

    @extend_schema(responses=TakenBackSerializer)
    def delete(self, request: Request, project: str, pk: int) -> Response:
        """Take one's judgement back: the pair settles by the others."""
        access = access_project(request, project, Role.REVIEWER)
        return _take_back(access, find_judgement(access, get_pair(access, pk)))


class PairJudgements(APIView):
    @extend_schema(operation_id="v1_projects_pairs_judgements_list", responses=GivenPageSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        """Everybody's judgements of a pair; a reviewer gets them once they have judged it."""
        access = access_project(request, project)
        pair = get_pair(access, pk)
        if not may_see_sides(access, list_pairs(access).get(pk=pair.pk)):
            raise PermissionDenied("Judge this pair first.")
        given = list_judgements(pair).select_related("left", "right").defer("left__document", "right__document")
        return Response({"results": GivenSerializer(given, many=True).data})


class PairDecision(APIView):
    @extend_schema(request=JudgementSerializer, responses=PairSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Decide a pair, over all other judgements; once one curator has, another's decision is refused."""
        access = access_project(request, project, Role.CURATOR)
        pair = get_pair(access, pk)
        try:
            decide_pair(access, pair, _read_answer(request))
        except ValueError as error:
            raise Conflict(str(error)) from error
        return _answer_with(access, pk)


class PairUndo(APIView):
    @extend_schema(request=UndoSerializer, responses=TakenBackSerializer)
    def post(self, request: Request, project: str) -> Response:
        """Take the caller's last judgement back."""
        access = access_project(request, project, Role.REVIEWER)
        form = UndoSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        queue = get_queue(access, form.validated_data["queue"]) if "queue" in form.validated_data else None
        return _take_back(access, find_last_judgement(access, queue=queue))


class ReservationJudgement(APIView):
    @extend_schema(request=JudgementSerializer, responses=PairSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Judge the pair that the caller holds; sent twice, it counts once."""
        access = access_project(request, project, Role.REVIEWER)
        reservation = get_own_pair(access, pk)
        try:
            judgement = submit_judgement(access, reservation, _read_answer(request))
        except LeaseLost as error:
            raise Conflict(str(error)) from error
        except ValueError as error:
            raise serializers.ValidationError({"judgement": str(error)}) from error
        return _answer_with(access, judgement.pair_id)


def _read_answer(request: Request) -> PairAnswer:
    form = JudgementSerializer(data=request.data)
    form.is_valid(raise_exception=True)
    fields = form.validated_data
    return PairAnswer(
        answer=fields["answer"],
        left_id=fields["left"],
        right_id=fields["right"],
        reason=fields["reason"],
        seconds=fields["seconds"],
    )


def _answer_with(access: Access, pk: int) -> Response:
    return Response(PairSerializer(list_pairs(access).get(pk=pk), context={"access": access}).data)


def _take_back(access: Access, judgement: Judgement | None) -> Response:
    if judgement is None:
        raise Conflict("You have judged nothing here that could be taken back.")
    try:
        reservation = withdraw_judgement(access, judgement)
    except ValueError as error:
        raise Conflict(str(error)) from error
    return Response({"pair": judgement.pair_id, "reservation": reservation and reservation.pk})


def _show_pair(access: Access, pair: PreferencePair) -> dict[str, Any]:
    sides = choose_sides(access, pair)
    documents = {pair.chosen_id: pair.chosen.document, pair.rejected_id: pair.rejected.document}
    judgement = find_judgement(access, pair)
    return {
        "id": pair.pk,
        "task": pair.task.key,
        "instruction": pair.task.instruction,
        "shared_steps": pair.shared_steps,
        "step_only": pair.step_only,
        "left": _show_side(sides.left_id, documents),
        "right": _show_side(sides.right_id, documents),
        "judgement": judgement
        and {
            "answer": judgement.answer,
            "reason": judgement.reason,
            "left": judgement.left_id,
            "right": judgement.right_id,
            "seconds": judgement.seconds,
        },
    }


def _show_side(pk: int, documents: dict[int, Any]) -> dict[str, Any]:
    return {"side": pk, "messages": document_to_messages(Document.model_validate(documents[pk]))}


routes: list[URLPattern] = [
    path("pairs/next/", PairNext.as_view(), name="api-pair-next"),
    path("pairs/undo/", PairUndo.as_view(), name="api-pair-undo"),
    path("pairs/<int:pk>/", PairDetail.as_view(), name="api-pair-detail"),
    path("pairs/<int:pk>/judgement/", PairJudgement.as_view(), name="api-pair-judgement"),
    path("pairs/<int:pk>/judgements/", PairJudgements.as_view(), name="api-pair-judgements"),
    path("pairs/<int:pk>/decision/", PairDecision.as_view(), name="api-pair-decision"),
    path("reservations/<int:pk>/judgement/", ReservationJudgement.as_view(), name="api-reservation-judgement"),
]
