"""REST: what a correction looks like, and what a tool's schema says of a call."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema, extend_schema_field
from pydantic import TypeAdapter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.models import Trajectory
from curation.permissions import Access, access_project, get_revision, get_trajectory, require_correction
from curation.revisions import MAX_TEXT, Edit
from curation.revisions.tool_schema import check_call
from curation.selectors.corrections import read_tools


def describe_edits() -> dict[str, Any]:
    """The kinds of edits as OpenAPI 3.0 describes things: without references, constants and null."""
    described = TypeAdapter(Edit).json_schema()
    kinds = described.pop("$defs")

    def write(value: Any) -> Any:
        if isinstance(value, list):
            return [write(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return write(kinds[value["$ref"].rsplit("/", 1)[1]])
        options = [option for option in value.get("anyOf", []) if option != {"type": "null"}]
        if len(options) == 1:
            return write(options[0]) | {"nullable": True}
        plain = {key: write(item) for key, item in value.items() if key not in ("const", "discriminator")}
        return plain | ({"enum": [value["const"]]} if "const" in value else {})

    written: dict[str, Any] = write(described)
    return written


@extend_schema_field(describe_edits())
class EditField(serializers.DictField):
    """One edit in its plain form; what it must hold is checked where it is parsed."""


class CorrectionSerializer(serializers.Serializer[Any]):
    """`edit` is told apart by its `kind`; `base` is the revision that it was made on."""

    base = serializers.IntegerField(min_value=0, max_value=2**31 - 1)
    reason = serializers.CharField(max_length=300, allow_blank=True)
    edit = EditField()


class CallSerializer(serializers.Serializer[Any]):
    """A call as it would be typed: arguments are the JSON text of an object."""

    function_name = serializers.CharField(max_length=MAX_TEXT, allow_blank=True)
    arguments_raw = serializers.CharField(max_length=MAX_TEXT, allow_blank=True, trim_whitespace=False)


class CallCheckSerializer(serializers.Serializer[Any]):
    """What is wrong with a call, a sentence each; `remark` says what can be said where nothing is."""

    problems = serializers.ListField(child=serializers.CharField())
    remark = serializers.CharField(allow_blank=True)


def access_correction(request: Request, project: str, pk: int) -> tuple[Access, Trajectory]:
    """A trajectory that the caller may correct. Raises Http404 and PermissionDenied."""
    access = access_project(request, project)
    trajectory = get_trajectory(access, pk)
    require_correction(access, trajectory)
    return access, trajectory


class CallCheckView(APIView):
    @extend_schema(
        operation_id="v1_projects_trajectories_check_call", request=CallSerializer, responses={200: CallCheckSerializer}
    )
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Check a call against the tool definitions of the newest revision. Nothing is saved; it is advice."""
        access, trajectory = access_correction(request, project, pk)
        form = CallSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        tools = read_tools(get_revision(access, trajectory, trajectory.head_number))
        check = check_call(form.validated_data["function_name"], form.validated_data["arguments_raw"], tools)
        return Response({"problems": check.problems, "remark": check.remark})


routes: list[URLPattern] = [
    path("trajectories/<int:pk>/check-call/", CallCheckView.as_view(), name="api-call-check"),
]
