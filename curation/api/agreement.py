"""REST: how far a queue is, what was answered, how far reviewers agree, and deciding where they do not."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.pages import read_page
from curation.api.problems import Conflict
from curation.api.reservations import ReviewSerializer
from curation.models import Decision, Queue, QueueItem, Review, Role
from curation.permissions import Access, access_project, get_queue, get_queue_item
from curation.selectors.agreement import Agreement, Report, measure_queue
from curation.selectors.answers import list_answers
from curation.selectors.disagreements import find_standing, list_disagreements
from curation.selectors.progress import measure_progress
from curation.services.decisions import decide_trajectory, withdraw_decision

AFTER = OpenApiParameter("after", OpenApiTypes.STR, description="`next` of the page before.")


class BandProgressSerializer(serializers.Serializer[Any]):
    """`open`, `held`, `done` and `skipped` count items, for curators; `wanted` and `given` count answers."""

    band = serializers.IntegerField(help_text="0 where it is unknown.")
    items = serializers.IntegerField()
    wanted = serializers.IntegerField()
    given = serializers.IntegerField()
    open = serializers.IntegerField(required=False)
    held = serializers.IntegerField(required=False)
    done = serializers.IntegerField(required=False)
    skipped = serializers.IntegerField(required=False)


class WorkSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    answers = serializers.IntegerField()
    today = serializers.IntegerField()
    days = serializers.IntegerField(help_text="Days with an answer.")
    seconds = serializers.IntegerField(help_text="At work, idle time left out.")
    per_hour = serializers.FloatField(allow_null=True)
    per_day = serializers.FloatField(allow_null=True)
    median = serializers.FloatField(allow_null=True, help_text="Seconds for an item.")
    p90 = serializers.FloatField(allow_null=True)
    last = serializers.DateTimeField(allow_null=True)


class ForecastSerializer(serializers.Serializer[Any]):
    words = serializers.CharField()
    basis = serializers.CharField()
    day = serializers.DateField(allow_null=True)


class ProgressSerializer(serializers.Serializer[Any]):
    wanted = serializers.IntegerField()
    given = serializers.IntegerField()
    left = serializers.IntegerField()
    forecast = ForecastSerializer()
    bands = BandProgressSerializer(many=True)
    reviewers = WorkSerializer(many=True)


class ReviewerSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()


class ComparedSerializer(serializers.Serializer[Any]):
    first = serializers.IntegerField(help_text="A reviewer's id.")
    second = serializers.IntegerField()
    kappa = serializers.FloatField(allow_null=True)
    items = serializers.IntegerField()


class CriterionAgreementSerializer(serializers.Serializer[Any]):
    criterion = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # no clash: DRF collects it
    ordinal = serializers.BooleanField()
    values = serializers.ListField(child=serializers.CharField(), help_text="The scale, lowest first where ordinal.")
    versions = serializers.ListField(child=serializers.IntegerField(), help_text="Of the rubric, with this scale.")
    method = serializers.CharField(help_text="kappa for two reviewers, alpha for more; empty where none met.")
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True, help_text="95 % interval, by bootstrap over items.")
    high = serializers.FloatField(allow_null=True)
    same = serializers.FloatField(allow_null=True, help_text="Share of pairs of answers to one item that are equal.")
    items = serializers.IntegerField(help_text="Items with two answers or more.")
    reason = serializers.CharField(help_text="Why a number is missing.")
    reviewers = ReviewerSerializer(many=True)
    table = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()),
        help_text="Items by two answers: of the first reviewer and the second, or of any two of more.",
    )
    compared = ComparedSerializer(many=True)


class AgreementSerializer(serializers.Serializer[Any]):
    bounded = serializers.BooleanField(help_text="Whether only the newest items were measured.")
    versions = serializers.DictField(
        child=serializers.IntegerField(), help_text="Reviews by the rubric version that they were given under; 0: none."
    )
    criteria = CriterionAgreementSerializer(many=True)


class GivenReviewSerializer(ReviewSerializer):
    first_error = serializers.IntegerField(allow_null=True)

    class Meta(ReviewSerializer.Meta):
        fields = [*ReviewSerializer.Meta.fields, "item", "first_error"]


class GivenAnswerSerializer(serializers.Serializer[Any]):
    """A judgement of a pairwise queue; `left` and `right` are the revisions as they were shown."""

    id = serializers.IntegerField()
    item = serializers.IntegerField(source="item_id")
    pair = serializers.IntegerField(source="pair_id")
    reviewer = serializers.CharField(source="reviewer.username", default=None)
    left = serializers.IntegerField(source="left_id")
    right = serializers.IntegerField(source="right_id")
    answer = serializers.CharField()
    reason = serializers.CharField()
    seconds = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class AnswerPageSerializer(serializers.Serializer[Any]):
    """`results` are reviews, or in a pairwise queue `judgements`; the other list is empty."""

    results = GivenReviewSerializer(many=True)
    judgements = GivenAnswerSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class DisagreementSerializer(serializers.Serializer[Any]):
    item = serializers.IntegerField(source="pk")
    trajectory = serializers.IntegerField(source="trajectory_id", allow_null=True)
    pair = serializers.IntegerField(source="pair_id", allow_null=True)
    band = serializers.IntegerField()
    decided = serializers.BooleanField()


class DisagreementPageSerializer(serializers.Serializer[Any]):
    results = DisagreementSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class DecisionSerializer(serializers.ModelSerializer[Decision]):
    revision = serializers.IntegerField(source="revision.number", read_only=True)
    decided_by = serializers.CharField(source="decided_by.username", default=None, read_only=True)
    verdict = serializers.ChoiceField(choices=Review.Verdict.choices)
    grade = serializers.IntegerField(min_value=1, max_value=5, required=False, allow_null=True)
    comment = serializers.CharField(required=False, allow_blank=True, max_length=20_000)

    class Meta:
        model = Decision
        fields = ["id", "trajectory", "revision", "verdict", "grade", "comment", "decided_by", "decided_at"]
        read_only_fields = ["trajectory"]


class QueueProgress(APIView):
    @extend_schema(responses=ProgressSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        access = access_project(request, project)
        progress = measure_progress(get_queue(access, pk), with_gold=not access.is_curator)
        names = [
            *["band", "items", "wanted", "given"],
            *(["open", "held", "done", "skipped"] if access.is_curator else []),
        ]
        bands = [{name: getattr(band, name) for name in names} for band in progress.bands]
        return Response(
            {
                **{name: getattr(progress.total, name) for name in ("wanted", "given", "left")},
                "forecast": ForecastSerializer(progress.forecast).data,
                "bands": bands,
                "reviewers": WorkSerializer(progress.work.reviewers, many=True).data,
            }
        )


class QueueAgreement(APIView):
    @extend_schema(responses=AgreementSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        """Agreement on each criterion, for curators. Gold items are left out."""
        access = access_project(request, project, Role.CURATOR)
        report = measure_queue(get_queue(access, pk))
        criteria = [_tell_agreement(report, one) for one in report.agreements]
        versions = {str(number): reviews for number, reviews in report.versions.items()}
        return Response({"bounded": report.bounded, "versions": versions, "criteria": criteria})


class QueueReviews(APIView):
    @extend_schema(parameters=[AFTER], responses=AnswerPageSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        """Submitted answers, newest first; of a blind queue, reviewers see those of items they answered too."""
        access = access_project(request, project)
        queue = get_queue(access, pk)
        page = read_page(request, list_answers(access, queue), order="-id")
        reviews, judgements = ([], page.rows) if queue.kind == Queue.Kind.PAIRWISE else (page.rows, [])
        return Response(
            {
                "results": GivenReviewSerializer(reviews, many=True).data,
                "judgements": GivenAnswerSerializer(judgements, many=True).data,
                "next": page.next,
            }
        )


class QueueDisagreements(APIView):
    @extend_schema(
        parameters=[AFTER, OpenApiParameter("decided", OpenApiTypes.BOOL, description="Only decided or open ones.")],
        responses=DisagreementPageSerializer,
    )
    def get(self, request: Request, project: str, pk: int) -> Response:
        """Items on which reviewers differ so much that a curator has to decide, for curators."""
        access = access_project(request, project, Role.CURATOR)
        items = list_disagreements(get_queue(access, pk))
        wanted = request.query_params.get("decided")
        if wanted not in (None, "true", "false"):
            raise serializers.ValidationError({"decided": "true or false."})
        if wanted is not None:
            items = items.filter(decided=wanted == "true")
        page = read_page(request, items, order="id")
        return Response({"results": DisagreementSerializer(page.rows, many=True).data, "next": page.next})


class ItemDecision(APIView):
    @extend_schema(request=DecisionSerializer, responses={201: DecisionSerializer})
    def post(self, request: Request, project: str, pk: int, item: int) -> Response:
        """Decide the trajectory of an item: from then on this counts, whatever its reviews say."""
        access = access_project(request, project, Role.CURATOR)
        found = _get_single(access, pk, item)
        form = DecisionSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        decision = decide_trajectory(access, found.get_trajectory(), item=found, **form.validated_data)
        return Response(DecisionSerializer(decision).data, status=201)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, project: str, pk: int, item: int) -> Response:
        """Take the decision that stands back; the one before it, or the reviews, count again."""
        access = access_project(request, project, Role.CURATOR)
        standing = find_standing(_get_single(access, pk, item).get_trajectory())
        if standing is None or not withdraw_decision(access, standing):
            raise Conflict("There is no decision to take back.")
        return Response(status=204)


def _get_single(access: Access, queue: int, pk: int) -> QueueItem:
    item = get_queue_item(access, get_queue(access, queue), pk)
    if item.trajectory_id is None:
        raise serializers.ValidationError({"item": "This item is a pair: it is decided by a judgement of the pair."})
    return item


def _tell_agreement(report: Report, one: Agreement) -> dict[str, Any]:
    criterion, measured = one.criterion, one.measured
    return {
        "criterion": criterion.name,
        "label": criterion.label,
        "ordinal": criterion.ordinal,
        "values": [str(value) for value in criterion.values],
        "versions": criterion.versions,
        **{name: getattr(measured, name) for name in ("method", "value", "low", "high", "same", "items", "reason")},
        "reviewers": [{"id": pk, "name": report.names.get(pk, "")} for pk in measured.reviewers],
        "table": one.table,
        "compared": [
            {"first": first, "second": second, "kappa": kappa, "items": items}
            for (first, second), (kappa, items) in one.compared.items()
        ],
    }


routes: list[URLPattern] = [
    path("queues/<int:pk>/progress/", QueueProgress.as_view(), name="api-queue-progress"),
    path("queues/<int:pk>/agreement/", QueueAgreement.as_view(), name="api-queue-agreement"),
    path("queues/<int:pk>/reviews/", QueueReviews.as_view(), name="api-queue-reviews"),
    path("queues/<int:pk>/disagreements/", QueueDisagreements.as_view(), name="api-queue-disagreements"),
    path("queues/<int:pk>/disagreements/<int:item>/decision/", ItemDecision.as_view(), name="api-queue-decision"),
]
