"""REST: the discussion of a trajectory, and the caller's mentions."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.formats.cleaning import clean_text
from curation.models import Remark
from curation.permissions import access_project, check_mentions, get_remark, get_trajectory, require_thread
from curation.selectors.pages import BadCursor, take_page
from curation.selectors.remarks import list_remarks, read_mentions, write_lines
from curation.services.remarks import add_remark, mark_seen, remove_remark

AFTER = OpenApiParameter("after", OpenApiTypes.STR, description="`next` of the page before.")


class CleanedField(serializers.CharField):
    """A text in which U+FFFD stands for what the database cannot hold, as it does everywhere else."""

    def to_internal_value(self, data: Any) -> str:
        return clean_text(super().to_internal_value(data))[0]


class RemarkSerializer(serializers.ModelSerializer[Remark]):
    author = serializers.CharField(source="author.username", default=None, read_only=True)
    text = CleanedField(allow_blank=True, help_text="Plain text, 1 to 5,000 characters; @name mentions a member.")

    class Meta:
        model = Remark
        fields = ["id", "trajectory", "author", "text", "created_at"]
        read_only_fields = ["id", "trajectory", "created_at"]


class RemarkPageSerializer(serializers.Serializer[Any]):
    results = RemarkSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class MentionSerializer(serializers.Serializer[Any]):
    """Either `remark` or `review` says what names the caller; `text` is empty while it is `hidden`."""

    id = serializers.IntegerField(source="mention.pk")
    trajectory = serializers.IntegerField(source="mention.trajectory_id")
    task = serializers.CharField(source="mention.trajectory.task.key")
    remark = serializers.IntegerField(source="mention.remark_id", allow_null=True)
    review = serializers.IntegerField(source="mention.review_id", allow_null=True)
    by = serializers.CharField(source="by.username", default=None, allow_null=True)
    text = serializers.CharField()
    hidden = serializers.BooleanField(
        help_text="In a blind queue in which the caller has not reviewed it, or judged a pair of it, yet."
    )
    created_at = serializers.DateTimeField(source="mention.created_at")
    seen_at = serializers.DateTimeField(source="mention.seen_at", allow_null=True)


class MentionPageSerializer(serializers.Serializer[Any]):
    results = MentionSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class SeenSerializer(serializers.Serializer[Any]):
    mentions = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**62), min_length=1, max_length=1000
    )


class MarkedSerializer(serializers.Serializer[Any]):
    marked = serializers.IntegerField(help_text="How many had not been seen before.")


class RemarkList(APIView):
    @extend_schema(parameters=[AFTER], responses=RemarkPageSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        """The discussion, oldest remark first; 403 while the caller may not see it."""
        access = access_project(request, project)
        trajectory = get_trajectory(access, pk)
        require_thread(access, trajectory)
        try:
            page = take_page(list_remarks(trajectory), order="id", cursor=request.query_params.get("after"), size=100)
        except (BadCursor, ValueError) as error:
            raise serializers.ValidationError({"after": str(error)}) from error
        return Response({"results": RemarkSerializer(page.rows, many=True).data, "next": page.next})

    @extend_schema(request=RemarkSerializer, responses={201: RemarkSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Add a remark. The same text sent again within a minute is the same remark."""
        access = access_project(request, project)
        trajectory = get_trajectory(access, pk)
        form = RemarkSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            remark = add_remark(access, trajectory, form.validated_data["text"])
        except ValueError as error:
            raise serializers.ValidationError({"text": str(error)}) from error
        return Response(RemarkSerializer(remark).data, status=201)


class RemarkDetail(APIView):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, project: str, pk: int) -> Response:
        """Remove a remark: one's own, or as a curator anybody's."""
        access = access_project(request, project)
        remove_remark(access, get_remark(access, pk))
        return Response(status=204)


class MentionList(APIView):
    @extend_schema(parameters=[AFTER], responses=MentionPageSerializer)
    def get(self, request: Request, project: str) -> Response:
        """Where the caller is mentioned, newest first. Reading it marks nothing as seen."""
        access = access_project(request, project)
        mentions = read_mentions(access)
        try:
            page = take_page(mentions, order="-id", cursor=request.query_params.get("after"), size=100)
        except (BadCursor, ValueError) as error:
            raise serializers.ValidationError({"after": str(error)}) from error
        lines = write_lines(access, page.rows)
        return Response({"results": MentionSerializer(lines, many=True).data, "next": page.next})


class MentionSeen(APIView):
    @extend_schema(request=SeenSerializer, responses=MarkedSerializer)
    def post(self, request: Request, project: str) -> Response:
        access = access_project(request, project)
        form = SeenSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        check_mentions(access, form.validated_data["mentions"])
        return Response({"marked": mark_seen(access, form.validated_data["mentions"])})


routes: list[URLPattern] = [
    path("trajectories/<int:pk>/remarks/", RemarkList.as_view(), name="api-remark-list"),
    path("remarks/<int:pk>/", RemarkDetail.as_view(), name="api-remark-detail"),
    path("mentions/", MentionList.as_view(), name="api-mention-list"),
    path("mentions/seen/", MentionSeen.as_view(), name="api-mention-seen"),
]
