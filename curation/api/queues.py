"""REST: queues, what they hold, how they are worked."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.models import PreferencePair, Queue, Role, Rubric, Trajectory, User
from curation.permissions import Access, access_project, get_queue
from curation.queue_filters import choose_items
from curation.selectors.queues import list_queues
from curation.services.queues import create_queue, extend_queue
from curation.services.rubrics import write_rubric


class ReviewerField(serializers.SlugRelatedField[User]):
    """A member of the project, by name: whether anybody else has an account is not told."""

    def to_internal_value(self, data: Any) -> User:
        if "\x00" in str(data):
            self.fail("invalid")
        return super().to_internal_value(data)

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.filter(memberships__project=self.context["access"].project)


class QueueSerializer(serializers.ModelSerializer[Queue]):
    item_count = serializers.IntegerField(read_only=True)
    done_count = serializers.IntegerField(read_only=True)
    reviewers = ReviewerField(
        many=True,
        slug_field="username",
        required=False,
        help_text="Who may take from it; none named, every reviewer of the project may.",
    )
    rubric = serializers.IntegerField(
        source="rubric.number", read_only=True, default=None, help_text="The version in force."
    )
    filter = serializers.DictField(
        child=serializers.CharField(),
        write_only=True,
        required=False,
        help_text="As for the list of trajectories, or of pairs.",
    )

    class Meta:
        model = Queue
        fields = [
            "id",
            "name",
            "kind",
            "order",
            "seed",
            "reviews_wanted",
            "blind",
            "lease_minutes",
            "gold_percent",
            "reviewers",
            "rubric",
            "item_count",
            "done_count",
            "filter",
        ]


class QueuePageSerializer(serializers.Serializer[Any]):
    results = QueueSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class ItemsSerializer(serializers.Serializer[Any]):
    filter = serializers.DictField(
        child=serializers.CharField(), help_text="As for the list of trajectories, or of pairs."
    )


class AddedSerializer(serializers.Serializer[Any]):
    added = serializers.IntegerField()


class RubricSerializer(serializers.ModelSerializer[Rubric]):
    criteria = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        help_text='[{"key", "name", "description", "levels": [{"value", "label"}, ...]}, ...], lowest level first.',
    )

    class Meta:
        model = Rubric
        fields = ["number", "guidelines", "criteria", "created_at"]
        read_only_fields = ["number", "created_at"]


class QueueList(APIView):
    @extend_schema(responses=QueuePageSerializer)
    def get(self, request: Request, project: str) -> Response:
        access = access_project(request, project)
        rows = QueueSerializer(list_queues(access), many=True, context={"access": access}).data
        return Response({"results": rows, "next": None})

    @extend_schema(request=QueueSerializer, responses={201: QueueSerializer})
    def post(self, request: Request, project: str) -> Response:
        access = access_project(request, project, Role.CURATOR)
        form = QueueSerializer(data=request.data, context={"access": access})
        form.is_valid(raise_exception=True)
        fields = dict(form.validated_data)
        conditions = fields.pop("filter", {})
        kind = fields.pop("kind", Queue.Kind.SINGLE)
        rows: dict[str, Any] = {
            "pairs" if kind == Queue.Kind.PAIRWISE else "trajectories": _choose(access, kind, conditions)
        }
        try:
            queue = create_queue(access, **rows, conditions=conditions, **fields)
        except ValueError as error:
            raise serializers.ValidationError({"name": str(error)}) from error
        made = list_queues(access).get(pk=queue.pk)
        return Response(QueueSerializer(made, context={"access": access}).data, status=201)


class QueueItems(APIView):
    @extend_schema(request=ItemsSerializer, responses=AddedSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Put more trajectories, or pairs, into a queue; those that are in it already stay as they are."""
        access = access_project(request, project, Role.CURATOR)
        queue = get_queue(access, pk)
        form = ItemsSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        added = extend_queue(access, queue, _choose(access, queue.kind, form.validated_data["filter"]))
        return Response({"added": added})


class QueueRubrics(APIView):
    @extend_schema(responses=RubricSerializer(many=True))
    def get(self, request: Request, project: str, pk: int) -> Response:
        """All versions, newest first; a review names the one that it was given under."""
        queue = get_queue(access_project(request, project), pk)
        return Response(RubricSerializer(queue.rubrics.order_by("-number"), many=True).data)

    @extend_schema(request=RubricSerializer, responses={201: RubricSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Write the next version."""
        access = access_project(request, project, Role.CURATOR)
        queue = get_queue(access, pk)
        form = RubricSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = form.validated_data
        try:
            rubric = write_rubric(
                access, queue, guidelines=fields.get("guidelines", ""), criteria=fields.get("criteria", [])
            )
        except ValueError as error:
            raise serializers.ValidationError({"criteria": str(error)}) from error
        return Response(RubricSerializer(rubric).data, status=201)


def _choose(access: Access, kind: str, conditions: dict[str, str]) -> QuerySet[Trajectory] | QuerySet[PreferencePair]:
    """What fits. Raises ValidationError for conditions that do not exist."""
    chosen, known = choose_items(access, kind, conditions)
    if known != conditions:
        raise serializers.ValidationError({"filter": "It holds a condition that does not exist."})
    if not chosen.is_valid():
        raise serializers.ValidationError({"filter": chosen.errors})
    rows: QuerySet[Trajectory] | QuerySet[PreferencePair] = chosen.qs
    return rows


routes: list[URLPattern] = [
    path("queues/", QueueList.as_view(), name="api-queue-list"),
    path("queues/<int:pk>/items/", QueueItems.as_view(), name="api-queue-items"),
    path("queues/<int:pk>/rubrics/", QueueRubrics.as_view(), name="api-queue-rubrics"),
]
