"""REST: the frozen versions of datasets: freezing, removing, reading and comparing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.pages import read_page
from curation.api.problems import Conflict
from curation.jobs import freeze_version
from curation.models import DatasetRow, DatasetVersion, JobState, LeftOut, Role
from curation.models.dataset import Split
from curation.permissions import access_project, get_dataset, get_version
from curation.selectors.datasets import list_rows, summarize_version
from curation.selectors.version_comparison import DIFFERENCES, compare_versions, list_differences
from curation.services.dataset_files import read_row
from curation.services.datasets import VersionInUse, create_version, remove_version, retry_version
from curation.services.jobs import request_stop


class VersionSerializer(serializers.ModelSerializer[DatasetVersion]):
    class Meta:
        model = DatasetVersion
        fields = [
            "id",
            "dataset",
            "number",
            "state",
            "stage",
            "progress",
            "progress_total",
            "error",
            "advice",
            "recipe",
            "content_hash",
            "train_sha256",
            "eval_sha256",
            "software",
            "left_out",
            "created_at",
            "finished_at",
        ]


class BandSerializer(serializers.Serializer[Any]):
    band = serializers.IntegerField(allow_null=True)
    rows = serializers.IntegerField()


class SideStatsSerializer(serializers.Serializer[Any]):
    rows = serializers.IntegerField()
    tasks = serializers.IntegerField()
    tokens = serializers.IntegerField(help_text="An estimate: a quarter of the characters.")
    bands = serializers.SerializerMethodField()

    @extend_schema(responses=BandSerializer(many=True))
    def get_bands(self, side: Any) -> list[dict[str, float | None]]:
        return [{"band": band, "rows": rows} for band, rows in side.bands]


class StatsSerializer(serializers.Serializer[Any]):
    train = SideStatsSerializer()
    held_out = SideStatsSerializer()
    bias = serializers.FloatField(allow_null=True)
    left_out = serializers.SerializerMethodField()

    def get_left_out(self, stats: Any) -> dict[str, int]:
        return dict(stats.left_out)


class VersionDetailSerializer(VersionSerializer):
    stats = serializers.SerializerMethodField()

    class Meta(VersionSerializer.Meta):
        fields = [*VersionSerializer.Meta.fields, "stats", "statistics"]

    @extend_schema(responses=StatsSerializer)
    def get_stats(self, version: DatasetVersion) -> Any:
        return StatsSerializer(summarize_version(version)).data


class RowSerializer(serializers.ModelSerializer[DatasetRow]):
    task = serializers.CharField(source="task.key")
    trajectory = serializers.IntegerField(source="revision.trajectory_id", default=None, allow_null=True)

    class Meta:
        model = DatasetRow
        fields = [
            "split",
            "position",
            "task",
            "trajectory",
            "revision",
            "pair",
            "band",
            "weight",
            "characters",
            "content_sha256",
        ]


class RowPageSerializer(serializers.Serializer[Any]):
    results = RowSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class LeftOutRowSerializer(serializers.ModelSerializer[LeftOut]):
    class Meta:
        model = LeftOut
        fields = ["trajectory", "pair", "band", "stage", "reason"]


class LeftOutPageSerializer(serializers.Serializer[Any]):
    results = LeftOutRowSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class BandChangeSerializer(serializers.Serializer[Any]):
    """Rows to train on, and their supervised tokens times weight."""

    band = serializers.IntegerField(allow_null=True)
    rows_before = serializers.IntegerField()
    rows_after = serializers.IntegerField()
    tokens_before = serializers.FloatField()
    tokens_after = serializers.FloatField()


class FieldChangeSerializer(serializers.Serializer[Any]):
    """Both values as JSON; empty where a recipe has no such field."""

    field = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()


class VersionComparisonSerializer(serializers.Serializer[Any]):
    older = serializers.IntegerField(source="older.pk")
    newer = serializers.IntegerField(source="newer.pk")
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="added, removed, changed, moved")
    same = serializers.IntegerField()
    bands = BandChangeSerializer(many=True)
    recipe = FieldChangeSerializer(many=True)


class VersionList(APIView):
    @extend_schema(responses=VersionSerializer(many=True))
    def get(self, request: Request, project: str, pk: int) -> Response:
        dataset = get_dataset(access_project(request, project), pk)
        return Response(VersionSerializer(dataset.versions.order_by("-number"), many=True).data)

    @extend_schema(request=None, responses={202: VersionSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Freeze the next version; poll it until its state is done, failed or stopped."""
        access = access_project(request, project, Role.CURATOR)
        dataset = get_dataset(access, pk)
        try:
            version = create_version(access, dataset)
        except ValueError as error:
            raise Conflict(str(error)) from error
        freeze_version.delay_on_commit(version.pk)
        return Response(VersionSerializer(version).data, status=202)


class VersionDetail(APIView):
    @extend_schema(responses=VersionDetailSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(VersionDetailSerializer(get_version(access_project(request, project), pk)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, project: str, pk: int) -> Response:
        """Remove a version; 409 where a run or an evaluation uses it, or while it is being frozen."""
        access = access_project(request, project, Role.CURATOR)
        try:
            remove_version(access, get_version(access, pk))
        except VersionInUse as error:
            raise Conflict(str(error)) from error
        return Response(status=204)


class VersionRetry(APIView):
    @extend_schema(request=None, responses={202: VersionSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Freeze a version again that failed or was stopped."""
        access = access_project(request, project, Role.CURATOR)
        version = get_version(access, pk)
        try:
            retry_version(access, version)
        except ValueError as error:
            raise Conflict(str(error)) from error
        freeze_version.delay_on_commit(version.pk)
        version.refresh_from_db()
        return Response(VersionSerializer(version).data, status=202)


class VersionStop(APIView):
    @extend_schema(request=None, responses={202: VersionSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Ask the freezing to stop; 409 where it has ended."""
        version = get_version(access_project(request, project, Role.CURATOR), pk)
        if not request_stop(version):
            raise Conflict(f"Version {version.number} had ended already.")
        version.refresh_from_db()
        return Response(VersionSerializer(version).data, status=202)


class RowList(APIView):
    @extend_schema(
        operation_id="v1_projects_versions_rows_list",
        parameters=[OpenApiParameter("split", enum=Split.values), OpenApiParameter("after", OpenApiTypes.STR)],
        responses=RowPageSerializer,
    )
    def get(self, request: Request, project: str, pk: int) -> Response:
        """What the rows of one side were made from; `train` unless `split` names the other."""
        version = get_version(access_project(request, project), pk)
        split = _choose(request, "split", Split.values, Split.TRAIN)
        return Response(_take_page(request, list_rows(version).filter(split=split), RowSerializer, order="position"))


class RowDetail(APIView):
    @extend_schema(operation_id="v1_projects_versions_row", responses={(200, "application/json"): OpenApiTypes.OBJECT})
    def get(self, request: Request, project: str, pk: int, split: str, position: int) -> HttpResponse:
        """A row exactly as it stands in the file; `position` counts from 0."""
        version = get_version(access_project(request, project), pk)
        return HttpResponse(read_version_row(version, split, position), content_type="application/json")


class LeftOutList(APIView):
    @extend_schema(
        parameters=[OpenApiParameter(name, OpenApiTypes.STR) for name in ("stage", "reason", "after")],
        responses=LeftOutPageSerializer,
    )
    def get(self, request: Request, project: str, pk: int) -> Response:
        """Trajectories or pairs that fitted the version's filter, and are not in it."""
        version = get_version(access_project(request, project), pk)
        rows = version.left_out_rows.all()
        for name in ("stage", "reason"):
            if name in request.query_params:
                rows = rows.filter(**{name: request.query_params[name]})
        return Response(_take_page(request, rows, LeftOutRowSerializer, order="id"))


class VersionComparison(APIView):
    @extend_schema(operation_id="v1_projects_versions_compare", responses=VersionComparisonSerializer)
    def get(self, request: Request, project: str, pk: int, other: int) -> Response:
        """What changed between two versions of a dataset, the older one first whichever is named first."""
        return Response(VersionComparisonSerializer(compare_versions(*_get_both(request, project, pk, other))).data)


class DifferenceList(APIView):
    @extend_schema(parameters=[OpenApiParameter("after", OpenApiTypes.STR)], responses=RowPageSerializer)
    def get(self, request: Request, project: str, pk: int, other: int, kind: str) -> Response:
        """The rows behind a count of a comparison: added, removed, changed or moved."""
        older, newer = sorted(_get_both(request, project, pk, other), key=lambda version: version.number)
        if kind not in DIFFERENCES:
            raise Http404(f"There is no difference {kind!r}. Known: {', '.join(DIFFERENCES)}.")
        return Response(_take_page(request, list_differences(older, newer, kind), RowSerializer, order="id"))


def _get_both(request: Request, project: str, pk: int, other: int) -> tuple[DatasetVersion, DatasetVersion]:
    access = access_project(request, project)
    one, another = get_version(access, pk), get_version(access, other)
    if one.dataset_id != another.dataset_id:
        raise Http404("They are versions of two datasets.")
    for version in (one, another):
        if version.state != JobState.DONE:
            raise Conflict(f"Version {version.number} is {version.state}: there is nothing to compare.")
    return one, another


def read_version_row(version: DatasetVersion, split: str, position: int) -> bytes:
    """Raises Http404 where there is no such row, or its file is gone."""
    if split not in Split.values or version.state != JobState.DONE:
        raise Http404("There is no such row.")
    try:
        return read_row(version.train_sha256 if split == Split.TRAIN else version.eval_sha256, position)
    except IndexError as error:
        raise Http404(f"Side {split} has no row {position}.") from error
    except FileNotFoundError as error:
        raise Http404("The file of this version is gone from the server.") from error


def _choose(request: Request, name: str, known: Sequence[str], usual: str) -> str:
    value: str = request.query_params.get(name, usual)
    if value not in known:
        raise serializers.ValidationError({name: f"One of {', '.join(known)}."})
    return value


def _take_page(
    request: Request, rows: QuerySet[Any], serializer: type[serializers.Serializer[Any]], *, order: str
) -> dict[str, Any]:
    page = read_page(request, rows, order=order)
    return {"results": serializer(page.rows, many=True).data, "next": page.next}


routes: list[URLPattern] = [
    path("datasets/<int:pk>/versions/", VersionList.as_view(), name="api-version-list"),
    path("versions/<int:pk>/", VersionDetail.as_view(), name="api-version-detail"),
    path("versions/<int:pk>/retry/", VersionRetry.as_view(), name="api-version-retry"),
    path("versions/<int:pk>/stop/", VersionStop.as_view(), name="api-version-stop"),
    path("versions/<int:pk>/rows/", RowList.as_view(), name="api-version-row-list"),
    path("versions/<int:pk>/rows/<slug:split>/<int:position>/", RowDetail.as_view(), name="api-version-row"),
    path("versions/<int:pk>/left-out/", LeftOutList.as_view(), name="api-version-left-out"),
    path("versions/<int:pk>/compare/<int:other>/", VersionComparison.as_view(), name="api-version-compare"),
    path("versions/<int:pk>/compare/<int:other>/<slug:kind>/", DifferenceList.as_view(), name="api-version-difference"),
]
