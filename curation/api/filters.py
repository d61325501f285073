"""REST: saved filters."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.filters import choose_trajectories, join_conditions, read_conditions
from curation.models import Role, SavedFilter
from curation.permissions import access_project, get_saved_filter
from curation.selectors.bulk import list_saved_filters
from curation.services.saved_filters import NameTaken, remove_filter, rename_filter, save_filter


class SavedFilterSerializer(serializers.ModelSerializer[SavedFilter]):
    """`filter` as for the list of trajectories; `replace` lets it take the place of one that has the name."""

    filter = serializers.DictField(source="conditions", child=serializers.CharField())
    replace = serializers.BooleanField(write_only=True, default=False)
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True)

    class Meta:
        model = SavedFilter
        fields = ["id", "name", "filter", "replace", "created_at", "created_by"]


class NameSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()


class SavedFilterPageSerializer(serializers.Serializer[Any]):
    results = SavedFilterSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class FilterList(APIView):
    @extend_schema(operation_id="v1_projects_filters_list", responses=SavedFilterPageSerializer)
    def get(self, request: Request, project: str) -> Response:
        saved = list_saved_filters(access_project(request, project))
        return Response({"results": SavedFilterSerializer(saved, many=True).data, "next": None})

    @extend_schema(request=SavedFilterSerializer, responses={201: SavedFilterSerializer})
    def post(self, request: Request, project: str) -> Response:
        access = access_project(request, project, Role.CURATOR)
        form = SavedFilterSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = form.validated_data
        try:
            choose_trajectories(access.project, fields["conditions"])
            conditions = read_conditions(fields["conditions"])
            saved = save_filter(
                access,
                name=fields["name"],
                conditions=conditions,
                rules=join_conditions(conditions),
                replace=fields["replace"],
            )
        except NameTaken as error:
            raise serializers.ValidationError({"name": str(error)}) from error
        except ValueError as error:
            raise serializers.ValidationError({"filter": str(error)}) from error
        return Response(SavedFilterSerializer(saved).data, status=201)


class FilterDetail(APIView):
    @extend_schema(responses=SavedFilterSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(SavedFilterSerializer(get_saved_filter(access_project(request, project), pk)).data)

    @extend_schema(request=NameSerializer, responses=SavedFilterSerializer)
    def patch(self, request: Request, project: str, pk: int) -> Response:
        """Rename it."""
        access = access_project(request, project, Role.CURATOR)
        saved = get_saved_filter(access, pk)
        form = NameSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            rename_filter(access, saved, name=form.validated_data["name"])
        except ValueError as error:
            raise serializers.ValidationError({"name": str(error)}) from error
        return Response(SavedFilterSerializer(get_saved_filter(access, pk)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, project: str, pk: int) -> Response:
        access = access_project(request, project, Role.CURATOR)
        remove_filter(access, get_saved_filter(access, pk))
        return Response(status=204)


routes: list[URLPattern] = [
    path("filters/", FilterList.as_view(), name="api-filter-list"),
    path("filters/<int:pk>/", FilterDetail.as_view(), name="api-filter-detail"),
]
