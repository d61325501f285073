"""REST: the caller's projects, and making one."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.models import ApiToken, Project, User
from curation.permissions import access_project
from curation.selectors.projects import list_projects
from curation.services.projects import create_project


class ProjectSerializer(serializers.ModelSerializer[Project]):
    class Meta:
        model = Project
        fields = ["id", "slug", "name", "guidelines", "success_threshold", "created_at"]
        read_only_fields = ["id", "slug", "created_at"]


class ProjectList(APIView):
    @extend_schema(responses=ProjectSerializer(many=True))
    def get(self, request: Request) -> Response:
        rows = list_projects(request.user)
        if isinstance(request.auth, ApiToken):
            rows = rows.filter(project_id=request.auth.project_id)
        return Response(ProjectSerializer([row.project for row in rows], many=True).data)

    @extend_schema(request=ProjectSerializer, responses={201: ProjectSerializer})
    def post(self, request: Request) -> Response:
        if isinstance(request.auth, ApiToken) or not isinstance(request.user, User):
            raise PermissionDenied("A token belongs to one project; projects are made by a signed-in person.")
        form = ProjectSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields: dict[str, Any] = form.validated_data
        return Response(ProjectSerializer(create_project(request.user, **fields)).data, status=201)


class ProjectDetail(APIView):
    @extend_schema(responses=ProjectSerializer)
    def get(self, request: Request, project: str) -> Response:
        return Response(ProjectSerializer(access_project(request, project).project).data)


urlpatterns: list[URLPattern] = [path("projects/", ProjectList.as_view(), name="api-project-list")]
routes: list[URLPattern] = [path("", ProjectDetail.as_view(), name="api-project-detail")]
