"""The forms of a recipe: one for each kind, its words and bounds from curation.recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from pydantic import BaseModel

from curation.models import Dataset, PreferencePair, Trajectory
from curation.recipe import DatasetRecipe, DPODatasetRecipe, RecipeError, SFTDatasetRecipe, dump_recipe, read_recipe

BANDS = ("1", "2", "3", "4", "5")


class RecipeForm(forms.Form):
    """What both kinds have. Once valid, `read_recipe` gives the recipe."""

    kind = ""
    recipe_model: type[BaseModel]

    name = forms.CharField(max_length=120, label="Name")
    held_out = forms.FloatField(min_value=0, max_value=0.9, widget=forms.NumberInput(attrs={"step": "0.05"}))
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for band in BANDS:
            self.fields[f"weight_{band}"] = forms.FloatField(
                min_value=0.1,
                max_value=10,
                required=False,
                label=f"Band {band}",
                widget=forms.NumberInput(attrs={"step": "0.1", "placeholder": "1"}),
            )
        for name, described in self.recipe_model.model_fields.items():
            if name in self.fields:
                self.fields[name].label = described.title
                self.fields[name].help_text = described.description or ""

    @property
    def own_fields(self) -> list[forms.BoundField]:
        """The fields of this kind alone."""
        shared = RecipeForm.base_fields
        return [field for field in self if field.name not in shared and not field.name.startswith("weight_")]

    @property
    def weight_fields(self) -> list[forms.BoundField]:
        return [self[f"weight_{band}"] for band in BANDS]

    @property
    def weights_chosen(self) -> bool:
        """Whether any weight is filled in, so that the page shows them."""
        return any(field.value() not in (None, "") for field in self.weight_fields)

    def clean(self) -> dict[str, Any]:
        fields = self.cleaned_data
        plain = {name: fields[name] for name in self.recipe_model.model_fields if name in fields}
        plain["band_weights"] = {
            band: fields[f"weight_{band}"] for band in BANDS if fields.get(f"weight_{band}") is not None
        }
        try:
            self.recipe = read_recipe(plain | {"kind": self.kind})
        except RecipeError as error:
            if not self.errors:
                self.add_error(None, str(error))
        return fields


class SFTRecipeForm(RecipeForm):
    kind = "sft"
    recipe_model = SFTDatasetRecipe

    statuses = forms.MultipleChoiceField(choices=Trajectory.Status.choices, widget=forms.CheckboxSelectMultiple)
    only_successes = forms.BooleanField(required=False)
    most_per_task = forms.IntegerField(min_value=1, max_value=1000, required=False)
    sources = forms.MultipleChoiceField(
        choices=Trajectory.Source.choices, widget=forms.CheckboxSelectMultiple, required=False
    )
    models = forms.MultipleChoiceField(widget=forms.CheckboxSelectMultiple, required=False)
    skip_wrong_steps = forms.BooleanField(required=False)

    def __init__(self, *args: Any, models: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["models"]
        assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101  # narrows the type
        field.choices = [(name, name) for name in models]


class DPORecipeForm(RecipeForm):
    kind = "dpo"
    recipe_model = DPODatasetRecipe

    minimum_strength = forms.TypedChoiceField(choices=PreferencePair.Strength.choices, coerce=int)
    most_per_episode = forms.IntegerField(min_value=1, max_value=1000, required=False)


def make_form(kind: str, *, data: Any = None, recipe: DatasetRecipe | None = None, models: list[str]) -> RecipeForm:
    """The form of a kind of dataset (SFT unless it is "dpo"), filled with `recipe` where nothing was sent."""
    is_dpo = kind == Dataset.Kind.DPO
    plain = dump_recipe(recipe or (DPODatasetRecipe() if is_dpo else SFTDatasetRecipe()))
    weights: Mapping[str, float] = plain["band_weights"]
    initial = plain | {f"weight_{band}": weight for band, weight in weights.items()}
    if is_dpo:
        return DPORecipeForm(data, initial=initial)
    return SFTRecipeForm(data, initial=initial, models=models)
