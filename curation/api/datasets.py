"""REST: datasets, which are recipes under a name."""

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
from curation.api.recipes import check_recipe
from curation.models import Dataset, Role
from curation.permissions import access_project, get_dataset
from curation.services.datasets import create_dataset


class DatasetSerializer(serializers.ModelSerializer[Dataset]):
    """`recipe` has a `kind`, and a default for every other field: see the preview of a recipe."""

    kind = serializers.CharField(read_only=True)
    recipe = serializers.JSONField()

    class Meta:
        model = Dataset
        fields = ["id", "name", "kind", "recipe", "created_at"]


class DatasetPageSerializer(serializers.Serializer[Any]):
    results = DatasetSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class DatasetList(APIView):
    @extend_schema(
        operation_id="v1_projects_datasets_list",
        parameters=[OpenApiParameter("after", OpenApiTypes.STR)],
        responses=DatasetPageSerializer,
    )
    def get(self, request: Request, project: str) -> Response:
        access = access_project(request, project)
        page = read_page(request, Dataset.objects.filter(project=access.project), order="-id")
        return Response({"results": DatasetSerializer(page.rows, many=True).data, "next": page.next})

    @extend_schema(request=DatasetSerializer, responses={201: DatasetSerializer})
    def post(self, request: Request, project: str) -> Response:
        access = access_project(request, project, Role.CURATOR)
        form = DatasetSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        recipe = check_recipe(form.validated_data["recipe"])
        try:
            dataset = create_dataset(access, name=form.validated_data["name"], recipe=recipe)
        except ValueError as error:
            raise serializers.ValidationError({"name": str(error)}) from error
        return Response(DatasetSerializer(dataset).data, status=201)


class DatasetDetail(APIView):
    @extend_schema(responses=DatasetSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(DatasetSerializer(get_dataset(access_project(request, project), pk)).data)


routes: list[URLPattern] = [
    path("datasets/", DatasetList.as_view(), name="api-dataset-list"),
    path("datasets/<int:pk>/", DatasetDetail.as_view(), name="api-dataset-detail"),
]
