"""REST: bulk actions on trajectories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.problems import Conflict
from curation.filters import choose_trajectories, read_conditions
from curation.jobs import run_bulk_action
from curation.models import BulkAction, JobState, Role, Trajectory, User
from curation.permissions import Access, access_project, get_bulk_action, get_queue, get_saved_filter
from curation.selectors.bulk import BulkOrder, Preview, list_bulk_actions, preview_bulk_action
from curation.services.bulk import (
    KeyReused,
    check_order,
    create_bulk_action,
    resume_bulk_action,
    stop_bulk_action,
    undo_bulk_action,
)

AFTER = OpenApiParameter("after", OpenApiTypes.STR, description="The `next` of the page before.")
KEY = OpenApiParameter(
    "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER,
    description="The same key gives the same action, however often the request is sent.",
)  # fmt: skip


class BulkActionSerializer(serializers.ModelSerializer[BulkAction]):
    """`parameters` holds the tag, the ids of queue and assignee, or the reason.

    `undone_at` says since when it is being taken back, or is.
    """

    created_by = serializers.CharField(source="created_by.username", default=None)
    filter = serializers.DictField(source="conditions", child=serializers.CharField())
    parameters = serializers.DictField()

    class Meta:
        model = BulkAction
        fields = [
            "id", "state", "action", "filter", "parameters", "changed", "left_out", "undone_at", "progress",
            "progress_total", "error", "advice", "created_at", "started_at", "finished_at", "created_by",
        ]  # fmt: skip


class BulkActionPageSerializer(serializers.Serializer[Any]):
    results = BulkActionSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class BandCountSerializer(serializers.Serializer[Any]):
    band = serializers.IntegerField(allow_null=True)
    fitting = serializers.IntegerField()
    changing = serializers.IntegerField()


class PreviewSerializer(serializers.Serializer[Preview]):
    """`contrary` counts those whose reviews say the opposite; `left_out` why trajectories would stay as they are."""

    fitting = serializers.IntegerField()
    changing = serializers.IntegerField()
    contrary = serializers.IntegerField()
    left_out = serializers.DictField(child=serializers.IntegerField())
    bands = BandCountSerializer(many=True)


class BulkOrderSerializer(serializers.Serializer[Any]):
    """What to do with the trajectories that fit `filter`, or the saved filter of that id. With `dry_run`, a preview."""

    action = serializers.ChoiceField(choices=BulkAction.Action.choices)
    filter = serializers.DictField(
        child=serializers.CharField(), required=False, help_text="As for the list of trajectories."
    )
    saved_filter = serializers.IntegerField(required=False, min_value=1, max_value=2**62)
    tag = serializers.CharField(required=False)
    queue = serializers.IntegerField(required=False, min_value=1, max_value=2**62)
    assignee = serializers.CharField(required=False, help_text="Username of a reviewer.")
    reason = serializers.CharField(required=False, allow_blank=True)
    dry_run = serializers.BooleanField(default=False)

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        if ("filter" in fields) == ("saved_filter" in fields):
            raise serializers.ValidationError({"filter": "Give either a filter, which may be empty, or a saved one."})
        return fields


class BulkList(APIView):
    @extend_schema(operation_id="v1_projects_bulk_list", parameters=[AFTER], responses=BulkActionPageSerializer)
    def get(self, request: Request, project: str) -> Response:
        access = access_project(request, project, Role.CURATOR)
        try:
            page = list_bulk_actions(access, cursor=request.query_params.get("after"), size=100)
        except ValueError as error:
            raise serializers.ValidationError({"after": str(error)}) from error
        return Response({"results": BulkActionSerializer(page.rows, many=True).data, "next": page.next})

    @extend_schema(
        parameters=[KEY],
        request=BulkOrderSerializer,
        responses={200: PreviewSerializer, 202: BulkActionSerializer},
    )
    def post(self, request: Request, project: str) -> Response:
        """Start an action; poll its address for what becomes of it. With `dry_run`, what it would do."""
        access = access_project(request, project, Role.CURATOR)
        form = BulkOrderSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = form.validated_data
        order = _read_order(access, fields)
        conditions, chosen = _choose(access, fields)
        if fields["dry_run"]:
            return Response(PreviewSerializer(preview_bulk_action(chosen, order)).data)
        key = request.headers.get("Idempotency-Key", "")
        try:
            job = create_bulk_action(access, order, conditions=conditions, chosen=chosen, idempotency_key=key)
        except KeyReused as error:
            raise Conflict(str(error)) from error
        except ValueError as error:
            raise serializers.ValidationError({"filter": str(error)}) from error
        if job.state == JobState.QUEUED:
            run_bulk_action.delay_on_commit(job.pk)
        return Response(BulkActionSerializer(job).data, status=202)


def _read_order(access: Access, fields: dict[str, Any]) -> BulkOrder:
    """Raises Http404 for a queue of another project, ValidationError for what its action cannot be done with."""
    name = fields.get("assignee")
    order = BulkOrder(
        action=fields["action"],
        tag=fields.get("tag", ""),
        queue=get_queue(access, fields["queue"]) if "queue" in fields else None,
        assignee=User.objects.filter(username=name, memberships__project=access.project).first() if name else None,
        reason=fields.get("reason", ""),
    )
    try:
        return check_order(access.project, order)
    except ValueError as error:
        raise serializers.ValidationError({fields["action"]: str(error)}) from error


def _choose(access: Access, fields: dict[str, Any]) -> tuple[dict[str, str], QuerySet[Trajectory]]:
    """The conditions, and what fits them. Raises Http404 for a saved filter of another project."""
    if "saved_filter" in fields:
        conditions = dict(get_saved_filter(access, fields["saved_filter"]).conditions)
    else:
        conditions = fields["filter"]
    try:
        return read_conditions(conditions), choose_trajectories(access.project, conditions)
    except ValueError as error:
        raise serializers.ValidationError({"filter": str(error)}) from error


class BulkDetail(APIView):
    @extend_schema(responses=BulkActionSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        access = access_project(request, project, Role.CURATOR)
        return Response(BulkActionSerializer(get_bulk_action(access, pk)).data)


class BulkStop(APIView):
    @extend_schema(request=None, responses={202: BulkActionSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Stop after the current batch; what was changed by then stays so."""
        return _change(request, project, pk, stop_bulk_action)


class BulkResume(APIView):
    @extend_schema(request=None, responses={202: BulkActionSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Let a stopped or failed action go on."""
        return _change(request, project, pk, resume_bulk_action)


class BulkUndo(APIView):
    @extend_schema(request=None, responses={202: BulkActionSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Take back what the action changed and nobody has changed since; 409 while it runs, and the second time."""
        return _change(request, project, pk, undo_bulk_action)


def _change(request: Request, project: str, pk: int, change: Callable[[Access, BulkAction], None]) -> Response:
    access = access_project(request, project, Role.CURATOR)
    job = get_bulk_action(access, pk)
    try:
        change(access, job)
    except ValueError as error:
        raise Conflict(str(error)) from error
    if change is not stop_bulk_action:
        run_bulk_action.delay_on_commit(pk)
    return Response(BulkActionSerializer(get_bulk_action(access, pk)).data, status=202)


routes: list[URLPattern] = [
    path("bulk/", BulkList.as_view(), name="api-bulk-list"),
    path("bulk/<int:pk>/", BulkDetail.as_view(), name="api-bulk-detail"),
    path("bulk/<int:pk>/stop/", BulkStop.as_view(), name="api-bulk-stop"),
    path("bulk/<int:pk>/resume/", BulkResume.as_view(), name="api-bulk-resume"),
    path("bulk/<int:pk>/undo/", BulkUndo.as_view(), name="api-bulk-undo"),
]
