"""REST: what a recipe would come to, and what it leaves out."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.models import Role
from curation.permissions import access_project
from curation.recipe import RECIPES, DatasetRecipe, PairRecipe, read_recipe
from curation.recipe_checks import RecipeError
from curation.selectors.action_samples import count_sampled_actions, draw_sample
from curation.selectors.candidates import select_candidates
from curation.selectors.previews import list_left_out, preview_recipe
from curation.waterfall import dump_stages

LEFT_OUT_AT_ONCE = 1000


class RecipeSideSerializer(serializers.Serializer[Any]):
    rows = serializers.IntegerField()
    tasks = serializers.IntegerField()
    tokens = serializers.FloatField(help_text="Supervised ones, an estimate: the agent's own characters / 4.")


class RecipeBandSerializer(serializers.Serializer[Any]):
    """Shares are of supervised tokens times weight, among known bands."""

    band = serializers.IntegerField(allow_null=True, help_text="Null: unknown.")
    rows = serializers.IntegerField()
    tasks = serializers.IntegerField()
    tokens = serializers.FloatField()
    weight = serializers.FloatField(allow_null=True)
    share = serializers.FloatField(allow_null=True)
    target = serializers.FloatField(allow_null=True)
    pool = serializers.FloatField(allow_null=True)
    held_out_rows = serializers.IntegerField()
    held_out_tasks = serializers.IntegerField()


class RecipeBiasSerializer(serializers.Serializer[Any]):
    bias = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True, help_text="Where the 95 % interval of the bias begins.")
    high = serializers.FloatField(allow_null=True)
    shift = serializers.FloatField(allow_null=True, help_text="Mean pass rate less the target's.")
    retention = serializers.DictField(child=serializers.FloatField(allow_null=True))
    flagged = serializers.ListField(child=serializers.IntegerField(), help_text="Bands retained less than .8.")
    hard_tasks = serializers.IntegerField()
    hard_covered = serializers.IntegerField()
    effective_tasks = serializers.FloatField(allow_null=True)


class LeftOutCountSerializer(serializers.Serializer[Any]):
    stage = serializers.CharField()
    reason = serializers.CharField()
    rows = serializers.IntegerField()


class RecipeOverlapSerializer(serializers.Serializer[Any]):
    task = serializers.CharField()
    evaluation = serializers.CharField()
    similarity = serializers.FloatField()


class RecipeElsewhereSerializer(serializers.Serializer[Any]):
    dataset = serializers.CharField()
    version = serializers.IntegerField()
    tasks = serializers.ListField(child=serializers.CharField())


class PairLengthsSerializer(serializers.Serializer[Any]):
    pairs = serializers.IntegerField()
    longer = serializers.FloatField(help_text="Share of pairs whose chosen side is the longer one; .5 says nothing.")
    ratio = serializers.FloatField(allow_null=True, help_text="Median of chosen through rejected.")


class RecipeActionSerializer(serializers.Serializer[Any]):
    action = serializers.CharField()
    taught = serializers.IntegerField()
    rejected = serializers.IntegerField()
    rare = serializers.BooleanField(help_text="Nearly absent: less than 1 % of the most frequent action.")


class ActionSampleSerializer(serializers.Serializer[Any]):
    rows = serializers.IntegerField(help_text="Rows that were read.")
    too_long = serializers.IntegerField(help_text="Rows that were drawn and passed over, being too long to read here.")
    actions = RecipeActionSerializer(many=True)


class RecipePreviewSerializer(serializers.Serializer[Any]):
    """`problems` keep a version from being frozen. `bands` are of the training rows; `before` measures what the filter
    took, `after` what is trained on."""

    train = RecipeSideSerializer()
    held_out = RecipeSideSerializer()
    instruction = RecipeSideSerializer()
    bands = RecipeBandSerializer(many=True)
    before = RecipeBiasSerializer()
    after = RecipeBiasSerializer()
    stages = serializers.SerializerMethodField(help_text="The waterfall: supervised tokens by band.")
    left_out = LeftOutCountSerializer(many=True)
    lengths = serializers.DictField(child=serializers.FloatField(), help_text="Quantiles of supervised tokens.")
    pair_lengths = PairLengthsSerializer(allow_null=True)
    desirable = serializers.IntegerField(allow_null=True)
    undesirable = serializers.IntegerField(allow_null=True)
    repeated = serializers.IntegerField(help_text="Training rows that repeat another one, or nearly so.")
    across = serializers.IntegerField(help_text="Training rows that nearly repeat a held-out one.")
    shared = serializers.IntegerField(help_text="Fingerprints on both sides: none.")
    overlaps = RecipeOverlapSerializer(many=True, help_text="Tasks kept out for being evaluation tasks; at most 20.")
    overlap_count = serializers.IntegerField()
    elsewhere = RecipeElsewhereSerializer(many=True, help_text="Tasks to train on that another dataset holds out.")
    problems = serializers.ListField(child=serializers.CharField())
    warnings = serializers.ListField(child=serializers.CharField())

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get_stages(self, preview: Any) -> list[dict[str, Any]]:
        return dump_stages(preview.stages)


class LeftOutRequestSerializer(serializers.Serializer[Any]):
    recipe = serializers.JSONField()
    stage = serializers.CharField(max_length=20)
    reason = serializers.CharField(max_length=300)
    after = serializers.IntegerField(default=0, min_value=0, help_text="The last id of the page before.")


class LeftOutSerializer(serializers.Serializer[Any]):
    of = serializers.ChoiceField(choices=["trajectory", "pair"])
    ids = serializers.ListField(child=serializers.IntegerField())
    next = serializers.IntegerField(allow_null=True, help_text="What to send as `after` for the next page.")


class RecipePreview(APIView):
    @extend_schema(request=OpenApiTypes.OBJECT, responses=RecipePreviewSerializer)
    def post(self, request: Request, project: str) -> Response:
        """What a recipe, the body of the request, would come to now.

        Every field but `kind` has a default; an error names the field. GET gives the fields as a JSON schema.
        """
        access = access_project(request, project, Role.CURATOR)
        recipe = check_recipe(request.data)
        return Response(RecipePreviewSerializer(preview_recipe(access, recipe)).data)

    @extend_schema(operation_id="v1_projects_datasets_recipes", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, project: str) -> Response:
        """The recipe of each kind as a JSON schema, with what each field means."""
        access_project(request, project)
        return Response({kind: recipe.model_json_schema() for kind, recipe in RECIPES.items()})


class RecipeLeftOut(APIView):
    @extend_schema(request=LeftOutRequestSerializer, responses=LeftOutSerializer)
    def post(self, request: Request, project: str) -> Response:
        """The trajectories (or pairs) that a recipe leaves out for one reason, as the preview names it."""
        access = access_project(request, project, Role.CURATOR)
        form = LeftOutRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        recipe = check_recipe(asked["recipe"])
        selection = select_candidates(access.project, recipe, with_revisions=False)
        ids = list_left_out(
            selection, stage=asked["stage"], reason=asked["reason"], after=asked["after"], size=LEFT_OUT_AT_ONCE + 1
        )
        page = ids[:LEFT_OUT_AT_ONCE]
        of = "pair" if isinstance(recipe, PairRecipe) else "trajectory"
        return Response(
            LeftOutSerializer({"of": of, "ids": page, "next": page[-1] if len(ids) > LEFT_OUT_AT_ONCE else None}).data
        )


class RecipeActions(APIView):
    @extend_schema(request=OpenApiTypes.OBJECT, responses=ActionSampleSerializer)
    def post(self, request: Request, project: str) -> Response:
        """How often a recipe, the body of the request, would teach each action: counted in a small random sample."""
        access = access_project(request, project, Role.CURATOR)
        recipe = check_recipe(request.data)
        selection = select_candidates(access.project, recipe, with_revisions=False)
        drawn = draw_sample(recipe, selection.candidates)
        return Response(ActionSampleSerializer(count_sampled_actions(access.project, drawn)).data)


def check_recipe(plain: Any) -> DatasetRecipe:
    if not isinstance(plain, dict):
        raise serializers.ValidationError({"recipe": f"A recipe is an object with a kind: {', '.join(RECIPES)}."})
    try:
        return read_recipe(plain)
    except RecipeError as error:
        raise serializers.ValidationError({"recipe": str(error)}) from error


routes: list[URLPattern] = [
    path("datasets/preview/", RecipePreview.as_view(), name="api-dataset-preview"),
    path("datasets/preview/left-out/", RecipeLeftOut.as_view(), name="api-dataset-left-out"),
    path("datasets/preview/actions/", RecipeActions.as_view(), name="api-dataset-actions"),
]
