"""REST: preference pairs, searching for them, and their length bias."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.api.problems import Conflict
from curation.jobs import search_pairs
from curation.models import PairSearch, PreferencePair, Revision, Role
from curation.pair_filters import FILTER_NAMES, PairFilter, read_conditions
from curation.permissions import Access, access_project, get_search
from curation.selectors.pages import BadCursor, take_page
from curation.selectors.pairs import (
    LengthBias,
    list_pairs,
    list_warnings,
    may_see_bias,
    may_see_result,
    may_see_sides,
    measure_length_bias,
)
from curation.services.pair_proposals import (
    MOST_PER_TASK,
    PROPOSED_ORIGINS,
    SearchRuns,
    create_search,
    stop_search,
)


class PairSerializer(serializers.ModelSerializer[PreferencePair]):
    """`chosen` and `rejected` stay empty for a reviewer who has not judged yet, and warnings that tell are left out.

    Of a pair in a blind queue `status`, `strength` and `confidence` stay empty too.
    """

    task = serializers.CharField(source="task.key")
    band = serializers.IntegerField(source="task.band", allow_null=True)
    judgement_count = serializers.IntegerField()
    judged_by_me = serializers.BooleanField()
    status = serializers.ChoiceField(choices=PreferencePair.Status.choices, allow_null=True)
    chosen = serializers.SerializerMethodField()
    rejected = serializers.SerializerMethodField()
    warnings = serializers.SerializerMethodField()

    class Meta:
        model = PreferencePair
        fields = [
            "id",
            "task",
            "band",
            "origin",
            "status",
            "strength",
            "confidence",
            "step_only",
            "shared_steps",
            "warnings",
            "judgement_count",
            "judged_by_me",
            "chosen",
            "rejected",
            "created_at",
        ]

    def to_representation(self, instance: PreferencePair) -> dict[str, Any]:
        told: dict[str, Any] = super().to_representation(instance)
        if may_see_result(instance):
            return told
        return told | {"status": None, "strength": None, "confidence": None}

    def get_chosen(self, pair: PreferencePair) -> dict[str, Any] | None:
        return self._tell_side(pair, pair.chosen, pair.chosen_characters)

    def get_rejected(self, pair: PreferencePair) -> dict[str, Any] | None:
        return self._tell_side(pair, pair.rejected, pair.rejected_characters)

    def get_warnings(self, pair: PreferencePair) -> list[str]:
        return [warning.value for warning in list_warnings(self.context["access"], pair)]

    def _tell_side(self, pair: PreferencePair, revision: Revision, characters: int) -> dict[str, Any] | None:
        access: Access = self.context["access"]
        if not may_see_sides(access, pair):
            return None
        known = characters or None
        return {"trajectory": revision.trajectory_id, "revision": revision.number, "characters": known}


class PairPageSerializer(serializers.Serializer[Any]):
    results = PairSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class ProposeSerializer(serializers.Serializer[Any]):
    origins = serializers.ListField(
        child=serializers.ChoiceField(choices=[(name, name.label) for name in PROPOSED_ORIGINS]),
        default=[PreferencePair.Origin.OUTCOME],
        allow_empty=False,
    )
    most_per_task = serializers.IntegerField(min_value=1, max_value=MOST_PER_TASK, default=3)
    between = serializers.ListField(
        child=serializers.CharField(max_length=120),
        max_length=2,
        default=list,
        help_text="The two models that are compared, where origins has models.",
    )


class SearchSerializer(serializers.ModelSerializer[PairSearch]):
    origins = serializers.ListField(child=serializers.CharField())
    unusable = serializers.DictField(
        child=serializers.IntegerField(), help_text="Pairs that no trainer could learn from, by reason."
    )

    class Meta:
        model = PairSearch
        fields = [
            "id",
            "state",
            "origins",
            "most_per_task",
            "between",
            "progress",
            "progress_total",
            "proposed",
            "unusable",
            "error",
            "advice",
            "created_at",
            "finished_at",
        ]


class BiasSerializer(serializers.Serializer[Any]):
    """How often the chosen side of confirmed pairs is the longer one, with a 95 % interval."""

    band = serializers.IntegerField(allow_null=True)
    pairs = serializers.IntegerField(help_text="Confirmed pairs whose sides are of known and different length.")
    longer = serializers.IntegerField(help_text="Those whose chosen side is the longer one.")
    share = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    median_ratio = serializers.FloatField(help_text="Of the chosen side's characters to the rejected side's.")


class BiasPageSerializer(serializers.Serializer[Any]):
    whole = BiasSerializer(allow_null=True)
    bands = BiasSerializer(many=True)


class PairList(APIView):
    @extend_schema(
        operation_id="v1_projects_pairs_list",
        parameters=[OpenApiParameter(name, OpenApiTypes.STR) for name in sorted(FILTER_NAMES | {"after"})],
        responses=PairPageSerializer,
    )
    def get(self, request: Request, project: str) -> Response:
        access = access_project(request, project)
        unknown = sorted(set(request.query_params) - FILTER_NAMES - {"after"})
        if unknown:
            raise serializers.ValidationError({unknown[0]: "There is no such filter."})
        chosen = PairFilter(read_conditions(request.query_params), queryset=list_pairs(access))
        if not chosen.is_valid():
            raise serializers.ValidationError(chosen.errors)
        try:
            page = take_page(chosen.qs, order="-id", cursor=request.query_params.get("after"), size=100)
        except (BadCursor, ValueError) as error:
            raise serializers.ValidationError({"after": str(error)}) from error
        rows = PairSerializer(page.rows, many=True, context={"access": access}).data
        return Response({"results": rows, "next": page.next})


class PairPropose(APIView):
    @extend_schema(request=ProposeSerializer, responses={202: SearchSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Look for pairs to propose; poll the search's address for what it comes to. One at a time in a project."""
        access = access_project(request, project, Role.CURATOR)
        form = ProposeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            search = create_search(access, **form.validated_data)
        except SearchRuns as error:
            raise Conflict(str(error)) from error
        except ValueError as error:
            raise serializers.ValidationError({"origins": str(error)}) from error
        search_pairs.delay_on_commit(search.pk)
        return Response(SearchSerializer(search).data, status=202)


class SearchDetail(APIView):
    @extend_schema(responses=SearchSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(SearchSerializer(get_search(access_project(request, project), pk)).data)


class SearchStop(APIView):
    @extend_schema(request=None, responses={202: SearchSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Stop after the task that is being looked at; what was proposed stays."""
        access = access_project(request, project, Role.CURATOR)
        try:
            stop_search(access, get_search(access, pk))
        except ValueError as error:
            raise Conflict(str(error)) from error
        return Response(SearchSerializer(get_search(access, pk)).data, status=202)


class PairLengthBias(APIView):
    @extend_schema(responses=BiasPageSerializer)
    def get(self, request: Request, project: str) -> Response:
        """The length bias of the confirmed pairs, in all and by band; not for those who only judge."""
        access = access_project(request, project)
        if not may_see_bias(access):
            raise PermissionDenied("Who judges pairs is not told which side is usually the longer one.")
        found = measure_length_bias(access)
        whole = found.pop("all", None)
        bands = [_tell_bias(bias, band=band) for band, bias in found.items()]
        return Response({"whole": whole and _tell_bias(whole, band=None), "bands": bands})


def _tell_bias(bias: LengthBias, *, band: object) -> dict[str, Any]:
    low, high = bias.interval
    counts = {"pairs": bias.pairs, "longer": bias.longer, "median_ratio": bias.median_ratio}
    return {"band": band, **counts, "share": bias.share, "low": low, "high": high}


routes: list[URLPattern] = [
    path("pairs/", PairList.as_view(), name="api-pair-list"),
    path("pairs/propose/", PairPropose.as_view(), name="api-pair-propose"),
    path("pairs/searches/<int:pk>/", SearchDetail.as_view(), name="api-pair-search-detail"),
    path("pairs/searches/<int:pk>/stop/", SearchStop.as_view(), name="api-pair-search-stop"),
    path("pairs/length-bias/", PairLengthBias.as_view(), name="api-pair-length-bias"),
]
