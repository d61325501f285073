"""REST: records sent straight into an import, and an import undone."""

from __future__ import annotations

from typing import Any

import orjson
from django.core.files.base import ContentFile
from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.imports import KEY, ImportSerializer, OptionsSerializer
from curation.api.problems import Conflict
from curation.jobs import run_import
from curation.models import JobState, Role
from curation.permissions import access_project, get_import
from curation.services.import_undo import undo_import
from curation.services.imports import ImportOptions, KeyReused, create_import

MOST_RECORDS = 10_000


class RecordsSerializer(OptionsSerializer):
    """`records` in any of the formats that a line of a file can have."""

    records = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=MOST_RECORDS)
    name = serializers.CharField(max_length=255, default="records.jsonl")


class ImportRecords(APIView):
    parser_classes = [JSONParser]

    @extend_schema(parameters=[KEY], request=RecordsSerializer, responses={202: ImportSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Take a batch of records in, as a file that holds them would be."""
        access = access_project(request, project, Role.CURATOR)
        form = RecordsSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields: dict[str, Any] = form.validated_data
        records, name = fields.pop("records"), fields.pop("name")
        key = request.headers.get("Idempotency-Key", "")
        try:
            content = ContentFile(b"".join(orjson.dumps(record) + b"\n" for record in records))
            options = ImportOptions(**fields)
            job = create_import(access, file=content, file_name=name, options=options, idempotency_key=key)
        except KeyReused as error:
            raise Conflict(str(error)) from error
        except (ValueError, TypeError) as error:
            raise serializers.ValidationError({"records": str(error)}) from error
        if job.state == JobState.QUEUED:
            run_import.delay_on_commit(job.pk)
        return Response(ImportSerializer(job).data, status=202)


class ImportUndo(APIView):
    @extend_schema(request=None, responses=ImportSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Remove what the import brought; 409 where something was built on it."""
        access = access_project(request, project, Role.CURATOR)
        try:
            undo_import(access, get_import(access, pk))
        except ValueError as error:
            raise Conflict(str(error)) from error
        return Response(ImportSerializer(get_import(access, pk)).data)


routes: list[URLPattern] = [
    path("imports/records/", ImportRecords.as_view(), name="api-import-records"),
    path("imports/<int:pk>/undo/", ImportUndo.as_view(), name="api-import-undo"),
]
