"""REST: taking the next item of a queue, and answering."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.problems import Conflict
from curation.models import Reservation, Review, Role, StepLabel
from curation.models.review import FailureMode
from curation.permissions import access_project, get_own_reservation, get_queue, get_reservation
from curation.selectors.queues import find_last_review
from curation.services.queues import defer_item, release_item, skip_item, take_next
from curation.services.reviews import Answer, LeaseLost, RevisionMoved, submit_review, undo_review


class ReservationSerializer(serializers.ModelSerializer[Reservation]):
    queue = serializers.IntegerField(source="item.queue_id")
    trajectory = serializers.IntegerField(source="item.trajectory_id", allow_null=True)
    revision = serializers.IntegerField(
        source="item.trajectory.head_number", default=None, help_text="The newest: send it with the review of it."
    )
    pair = serializers.IntegerField(source="item.pair_id", allow_null=True)

    class Meta:
        model = Reservation
        fields = ["id", "queue", "trajectory", "revision", "pair", "state", "taken_at", "expires_at"]


class LabelSerializer(serializers.Serializer[Any]):
    step = serializers.IntegerField(min_value=1)
    label = serializers.ChoiceField(choices=StepLabel.Label.choices)  # type: ignore[assignment]  # no clash: DRF collects it
    failure_mode = serializers.ChoiceField(choices=FailureMode.choices, required=False, help_text="Of a wrong step.")


class AnswerSerializer(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(choices=Review.Verdict.choices)
    grade = serializers.IntegerField(min_value=1, max_value=5, required=False, allow_null=True)
    failure_modes = serializers.ListField(child=serializers.ChoiceField(choices=FailureMode.choices), required=False)
    comment = serializers.CharField(required=False, allow_blank=True, max_length=20_000)
    first_error = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    step_labels = LabelSerializer(many=True, required=False)
    scores = serializers.DictField(
        child=serializers.IntegerField(), required=False, help_text="The level given for each criterion, by its key."
    )
    rubric = serializers.IntegerField(
        min_value=1, required=False, allow_null=True, help_text="Version of the rubric; left out, the one in force."
    )
    revision = serializers.IntegerField(
        min_value=0,
        required=False,
        allow_null=True,
        help_text="The revision that was read; it is refused where that is no longer the newest.",
    )
    seconds = serializers.IntegerField(min_value=0, required=False, help_text="Time at work on it.")


class ReviewSerializer(serializers.ModelSerializer[Review]):
    reviewer = serializers.CharField(source="reviewer.username", default=None)
    revision = serializers.IntegerField(source="revision.number")
    rubric = serializers.IntegerField(source="rubric.number", default=None)

    class Meta:
        model = Review
        fields = [
            "id",
            "trajectory",
            "revision",
            "reviewer",
            "verdict",
            "grade",
            "failure_modes",
            "comment",
            "rubric",
            "scores",
            "seconds",
            "submitted_at",
        ]


class ReviewUndoSerializer(serializers.Serializer[Any]):
    review = serializers.IntegerField(required=False, help_text="The review that is meant; sent twice, it counts once.")


class ReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=300)


class QueueNext(APIView):
    @extend_schema(request=None, responses={200: ReservationSerializer, 204: None})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Take the next item; 204 where nothing is left for the caller."""
        access = access_project(request, project, Role.REVIEWER)
        reservation = take_next(access, get_queue(access, pk))
        return Response(ReservationSerializer(reservation).data) if reservation else Response(status=204)


class QueueUndo(APIView):
    @extend_schema(request=ReviewUndoSerializer, responses=ReservationSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Take the caller's last review of a queue back; with its id, only if that is the last one still."""
        access = access_project(request, project, Role.REVIEWER)
        form = ReviewUndoSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        review = find_last_review(access, get_queue(access, pk))
        if review is None or form.validated_data.get("review") not in (None, review.pk):
            raise Conflict("That review was taken back already, or there is none of yours in this queue.")
        try:
            return Response(ReservationSerializer(undo_review(access, review)).data)
        except ValueError as error:
            raise Conflict(str(error)) from error


class ReservationReview(APIView):
    @extend_schema(request=AnswerSerializer, responses=ReviewSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Submit the review of an item that the caller holds; sent twice, it counts once."""
        access = access_project(request, project, Role.REVIEWER)
        reservation = get_own_reservation(access, pk)
        form = AnswerSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = dict(form.validated_data)
        rows = fields.pop("step_labels", [])
        labels = {row["step"]: row["label"] for row in rows}
        modes = {row["step"]: row["failure_mode"] for row in rows if "failure_mode" in row}
        try:
            review = submit_review(access, reservation, Answer(labels=labels, failure_mode_of=modes, **fields))
        except (LeaseLost, RevisionMoved) as error:
            raise Conflict(str(error)) from error
        except ValueError as error:
            raise serializers.ValidationError({"verdict": str(error)}) from error
        return Response(ReviewSerializer(review).data)


class ReservationSkip(APIView):
    @extend_schema(request=ReasonSerializer, responses={204: None})
    def post(self, request: Request, project: str, pk: int) -> Response:
        reservation = get_own_reservation(access_project(request, project, Role.REVIEWER), pk)
        form = ReasonSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        if not skip_item(reservation, reason=form.validated_data["reason"]):
            raise Conflict("You no longer hold this item.")
        return Response(status=204)


class ReservationDefer(APIView):
    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Put an item off: the caller gets it again after all others."""
        if not defer_item(get_own_reservation(access_project(request, project, Role.REVIEWER), pk)):
            raise Conflict("You no longer hold this item.")
        return Response(status=204)


class ReservationRelease(APIView):
    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, project: str, pk: int) -> Response:
        access = access_project(request, project)
        reservation = get_reservation(access, pk)
        if reservation.reviewer_id != access.user.pk and not access.is_curator:
            raise PermissionDenied("Only its holder or a curator releases an item.")
        if not release_item(access, reservation):
            raise Conflict("Nobody holds this item any more.")
        return Response(status=204)


routes: list[URLPattern] = [
    path("queues/<int:pk>/next/", QueueNext.as_view(), name="api-queue-next"),
    path("queues/<int:pk>/undo/", QueueUndo.as_view(), name="api-queue-undo"),
    path("reservations/<int:pk>/review/", ReservationReview.as_view(), name="api-reservation-review"),
    path("reservations/<int:pk>/skip/", ReservationSkip.as_view(), name="api-reservation-skip"),
    path("reservations/<int:pk>/defer/", ReservationDefer.as_view(), name="api-reservation-defer"),
    path("reservations/<int:pk>/release/", ReservationRelease.as_view(), name="api-reservation-release"),
]
