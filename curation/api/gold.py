"""REST: gold items of a queue and how people do on them. For curators: nobody else may learn which items they are."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.agreement import AFTER
from curation.api.pages import read_page
from curation.api.problems import Conflict
from curation.models import Queue, QueueItem, Review, Role
from curation.permissions import Access, access_project, get_pair, get_queue, get_queue_item, get_trajectory
from curation.selectors.gold import list_gold, measure_accuracy
from curation.services.gold import ItemMet, mark_decided_gold, mark_gold, mark_gold_pair, unmark_gold

LARGEST = 2**62


class GoldItemSerializer(serializers.ModelSerializer[QueueItem]):
    """`answered` and `wrong` count the people who answered it, and those who did so wrong."""

    answered = serializers.IntegerField(default=0)
    wrong = serializers.IntegerField(default=0)

    class Meta:
        model = QueueItem
        fields = ["id", "trajectory", "pair", "gold_verdict", "gold_grade", "gold_winner", "answered", "wrong"]


class GoldPageSerializer(serializers.Serializer[Any]):
    results = GoldItemSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class MarkSerializer(serializers.Serializer[Any]):
    """A trajectory with its known `verdict` (and `grade`), or in a pairwise queue a pair with its `winner`."""

    trajectory = serializers.IntegerField(min_value=1, max_value=LARGEST, required=False)
    verdict = serializers.ChoiceField(choices=Review.Verdict.choices, required=False, help_text="accept or reject.")
    grade = serializers.IntegerField(min_value=1, max_value=5, required=False, allow_null=True)
    pair = serializers.IntegerField(min_value=1, max_value=LARGEST, required=False)
    winner = serializers.IntegerField(
        min_value=1, max_value=LARGEST, required=False, help_text="The better revision's id."
    )


class GoldMarkedSerializer(serializers.Serializer[Any]):
    marked = serializers.IntegerField()


class AccuracySerializer(serializers.Serializer[Any]):
    reviewer = serializers.CharField(source="name")
    answered = serializers.IntegerField()
    right = serializers.IntegerField(help_text="The known answer, and a grade within 1 where both gave one.")
    verdicts = serializers.IntegerField(help_text="The known verdict or winner alone.")
    share = serializers.FloatField()
    low = serializers.FloatField(help_text="95 % interval of the share, by Wilson.")
    high = serializers.FloatField()


class AccuracyListSerializer(serializers.Serializer[Any]):
    results = AccuracySerializer(many=True)
    next = serializers.CharField(allow_null=True)


class GoldList(APIView):
    @extend_schema(operation_id="v1_projects_queues_gold_list", parameters=[AFTER], responses=GoldPageSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        access = access_project(request, project, Role.CURATOR)
        page = read_page(request, list_gold(get_queue(access, pk)), order="id")
        return Response({"results": [_tell_item(item) for item in page.rows], "next": page.next})

    @extend_schema(request=MarkSerializer, responses={201: GoldItemSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Make an item gold, in the queue or not; 409 where somebody holds or has reviewed it."""
        access = access_project(request, project, Role.CURATOR)
        queue = get_queue(access, pk)
        form = MarkSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        what, answer = ("pair", "winner") if queue.kind == Queue.Kind.PAIRWISE else ("trajectory", "verdict")
        missing = [name for name in (what, answer) if name not in form.validated_data]
        if missing:
            raise serializers.ValidationError({missing[0]: "A gold item of this queue needs it."})
        try:
            item = _mark(access, queue, form.validated_data)
        except ItemMet as error:
            raise Conflict(str(error)) from error
        except ValueError as error:
            raise serializers.ValidationError({answer: str(error)}) from error
        return Response(_tell_item(item), status=201)


class GoldDecided(APIView):
    @extend_schema(request=None, responses=GoldMarkedSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Make all that curators decided gold, as far as nobody met it in this queue."""
        access = access_project(request, project, Role.CURATOR)
        return Response({"marked": mark_decided_gold(access, get_queue(access, pk))})


class GoldDetail(APIView):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, project: str, pk: int, item: int) -> Response:
        """Make a gold item an ordinary one; what was answered to it counts from now on."""
        access = access_project(request, project, Role.CURATOR)
        if not unmark_gold(access, get_queue_item(access, get_queue(access, pk), item)):
            raise Conflict("It is no gold item.")
        return Response(status=204)


class QueueAccuracy(APIView):
    @extend_schema(responses=AccuracyListSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        """How often each reviewer is right on gold items."""
        access = access_project(request, project, Role.CURATOR)
        found = measure_accuracy(get_queue(access, pk))
        return Response({"results": AccuracySerializer(found, many=True).data, "next": None})


def _mark(access: Access, queue: Queue, fields: dict[str, Any]) -> QueueItem:
    if queue.kind == Queue.Kind.PAIRWISE:
        return mark_gold_pair(access, queue, get_pair(access, fields["pair"]), winner=fields["winner"])
    trajectory = get_trajectory(access, fields["trajectory"])
    return mark_gold(access, queue, trajectory, verdict=fields["verdict"], grade=fields.get("grade"))


def _tell_item(item: Any) -> dict[str, Any]:
    told = dict(GoldItemSerializer(item).data)
    return told | {name: told.get(name) or 0 for name in ("answered", "wrong")}


routes: list[URLPattern] = [
    path("queues/<int:pk>/gold/", GoldList.as_view(), name="api-queue-gold"),
    path("queues/<int:pk>/gold/decided/", GoldDecided.as_view(), name="api-queue-gold-decided"),
    path("queues/<int:pk>/gold/<int:item>/", GoldDetail.as_view(), name="api-queue-gold-item"),
    path("queues/<int:pk>/accuracy/", QueueAccuracy.as_view(), name="api-queue-accuracy"),
]
