"""The form of a recipe: one for all kinds, each with the fields of its own; words and bounds from curation.recipe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.functional import cached_property

from curation.models import Dataset, FilterVersion, PreferencePair, Trajectory
from curation.recipe import RECIPES, DatasetRecipe, Evaluation, FilterOrigin, dump_recipe, read_recipe
from curation.recipe_checks import RecipeError
from curation.recipe_filters import join_rules, split_rules
from curation.rules import RuleError, dump_rule, read_rule

BANDS = ("1", "2", "3", "4", "5")
BAND_FIELDS = {"share": "target_shares", "quota": "quotas", "weight": "band_weights"}
FILTER_FIELDS = ("statuses", "only_successes", "sources", "models")
REVISIONS = [("latest", "The newest"), ("accepted", "The newest accepted"), ("corrected", "Corrected ones only")]
TARGETS = [
    ("none", "None: take what the filter leaves"),
    ("project", "The project's target"),
    ("pool", "As collected"),
    ("uniform", "Every difficulty alike"),
    ("by-hand", "By hand"),
]
REACH = [("quotas", "Quotas"), ("weights", "Weights")]
TURNS = [("both", "Whole continuations and single turns"), ("whole", "Whole continuations"), ("single", "Single turns")]


def _boxes(choices: Sequence[tuple[Any, Any]] = ()) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(choices=choices, widget=forms.CheckboxSelectMultiple, required=False)


def _number(step: str, **bounds: Any) -> forms.FloatField:
    return forms.FloatField(widget=forms.NumberInput(attrs={"step": step}), **bounds)


class RecipeForm(forms.Form):
    """Once valid, `recipe` is what was asked for. A field that its kind has not is not there."""

    name = forms.CharField(max_length=120, label="Name")
    filter = forms.ChoiceField(
        required=False, label="Saved filter", help_text="What it leaves, and what is asked below."
    )
    statuses = _boxes(Trajectory.Status.choices)
    only_successes = forms.BooleanField(
        required=False, label="Only recorded successes", help_text="Corrected failures are left out as well."
    )
    sources = _boxes([choice for choice in Trajectory.Source.choices if choice[0] != Trajectory.Source.INSTRUCTION])
    models = _boxes()
    rules = forms.CharField(
        required=False,
        label="More rules",
        help_text="As JSON, as a filter shows them.",
        widget=forms.Textarea(attrs={"rows": 3, "class": "mono", "spellcheck": "false"}),
    )
    revisions = forms.ChoiceField(choices=REVISIONS)
    minimum_strength = forms.TypedChoiceField(choices=PreferencePair.Strength.choices, coerce=int)
    turns = forms.ChoiceField(choices=TURNS)
    without_warnings = _boxes(PreferencePair.Warning.choices)
    skip_wrong_steps = forms.BooleanField(required=False)
    most_of_one = _number("0.1", min_value=1, max_value=100, required=False)
    most_per_task = forms.IntegerField(min_value=1, max_value=1000, required=False)
    most_per_attempt = forms.IntegerField(min_value=1, max_value=1000, required=False)
    target = forms.ChoiceField(choices=TARGETS)
    reach = _boxes(REACH)
    least_weight = _number("0.05", min_value=0.01, max_value=1)
    most_weight = _number("0.5", min_value=1, max_value=100)
    instruction_share = _number("0.05", min_value=0, max_value=0.9)
    held_out = _number("0.05", min_value=0, max_value=0.9)
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1)
    evaluation_tasks = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3, "class": "mono"}))
    evaluation_tags = forms.CharField(required=False)
    evaluation_benchmarks = forms.CharField(required=False)
    evaluation_datasets = forms.TypedMultipleChoiceField(
        coerce=int, widget=forms.CheckboxSelectMultiple, required=False
    )
    evaluation_similarity = _number("0.05", min_value=0.5, max_value=1, required=False)
    most_rows = forms.IntegerField(min_value=1, max_value=10_000_000, required=False)
    most_tokens = forms.IntegerField(min_value=1, max_value=10**12, required=False)

    def __init__(
        self,
        data: Any = None,
        *,
        kind: str,
        initial: dict[str, Any],
        models: Sequence[str],
        filters: Sequence[FilterVersion],
        datasets: Sequence[Dataset],
    ) -> None:
        super().__init__(data, initial=initial)
        self.kind, self.saved = kind, {str(version.pk): version for version in filters}
        described = RECIPES[kind].model_fields
        for name in list(self.fields):
            part, _, rest = name.partition("_")
            field = Evaluation.model_fields[rest] if part == "evaluation" else described.get(name)
            if field is None and name not in ("name", "filter", "rules", *FILTER_FIELDS):
                del self.fields[name]
            elif field is not None and field.title:
                self.fields[name].label, self.fields[name].help_text = field.title, field.description or ""
        for name, label in (("statuses", "Review status"), ("sources", "Sources"), ("models", "Models")):
            self.fields[name].label, self.fields[name].help_text = label, "None chosen: all."
        self._offer("models", [(name, name) for name in models])
        self._offer("filter", [("", "None"), *((pk, str(version)) for pk, version in self.saved.items())])
        self._offer("evaluation_datasets", [(dataset.pk, dataset.name) for dataset in datasets])
        for band in BANDS:
            self.fields[f"share_{band}"] = _number("0.05", min_value=0, max_value=1, required=False)
            self.fields[f"quota_{band}"] = forms.IntegerField(min_value=0, max_value=10_000_000, required=False)
            self.fields[f"weight_{band}"] = _number("0.1", min_value=0.1, max_value=10, required=False)
            for part in BAND_FIELDS:
                self.fields[f"{part}_{band}"].label = f"Difficulty {band}"

    def _offer(self, name: str, choices: list[tuple[Any, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  # narrows the type
        field.choices = choices

    def list_fields(self, *names: str) -> list[forms.BoundField]:
        """Those of these that the kind has."""
        return [self[name] for name in names if name in self.fields]

    @property
    def kind_words(self) -> str:
        return str(Dataset.Kind(self.kind).label)

    @property
    def filter_fields(self) -> list[forms.BoundField]:
        return self.list_fields("statuses", "minimum_strength", "turns", "only_successes")

    @property
    def more_filter_fields(self) -> list[forms.BoundField]:
        return self.list_fields(
            "filter", "sources", "models", "rules", "revisions", "without_warnings", "skip_wrong_steps"
        )

    @property
    def limit_fields(self) -> list[forms.BoundField]:
        return self.list_fields(
            "most_per_task", "most_per_attempt", "most_of_one", "instruction_share", "most_rows", "most_tokens"
        )

    @property
    def evaluation_fields(self) -> list[forms.BoundField]:
        names = [f"evaluation_{name}" for name in ("tasks", "tags", "benchmarks", "datasets", "similarity")]
        return self.list_fields(*names)

    @property
    def band_groups(self) -> list[tuple[str, str, list[forms.BoundField]]]:
        """The fields by difficulty: title, help and the five."""
        described = RECIPES[self.kind].model_fields
        return [
            (described[name].title or "", described[name].description or "", [self[f"{part}_{band}"] for band in BANDS])
            for part, name in BAND_FIELDS.items()
        ]

    @cached_property
    def opened(self) -> set[str]:
        """The folded parts in which something is wrong, or differs from what a new recipe has."""
        by_band = [field for *_, fields in self.band_groups for field in fields]
        parts = {
            "filter": self.more_filter_fields,
            "difficulty": [self["target"], self["reach"], *by_band],
            "limits": self.limit_fields,
            "evaluation": self.evaluation_fields,
        }
        usual = write_initial(read_recipe({"kind": self.kind}), self.saved.values())
        return {
            part
            for part, fields in parts.items()
            if any(field.errors or _show(field.value()) != _show(usual.get(field.name)) for field in fields)
        }

    def clean_rules(self) -> Any:
        text = self.cleaned_data["rules"].strip()
        if not text:
            return None
        try:
            plain = json.loads(text)
        except ValueError as error:
            raise forms.ValidationError(f"This is no JSON: {error}.") from None
        if not isinstance(plain, dict):
            raise forms.ValidationError('Rules are an object, such as {"all": []}.')
        try:
            return read_rule(plain)
        except RuleError as error:
            raise forms.ValidationError(str(error)) from None

    def clean(self) -> dict[str, Any]:
        fields = self.cleaned_data
        if self.errors:
            return fields
        plain: dict[str, Any] = {
            name: fields[name] for name in RECIPES[self.kind].model_fields if name in fields and name != "filter"
        }
        for part, name in BAND_FIELDS.items():
            given = {band: fields[f"{part}_{band}"] for band in BANDS}
            plain[name] = {band: value for band, value in given.items() if value is not None}
        plain["evaluation"] = {
            "tasks": _read_lines(fields["evaluation_tasks"]),
            "tags": _read_words(fields["evaluation_tags"]),
            "benchmarks": _read_words(fields["evaluation_benchmarks"]),
            "datasets": fields["evaluation_datasets"],
            "similarity": fields["evaluation_similarity"],
        }
        version = self.saved.get(fields["filter"])
        saved = read_rule(version.rules) if version else None
        plain["filter"] = {"name": version.filter.name, "version": version.number} if version else None
        where = join_rules(saved, fields["rules"], **{name: fields[name] for name in FILTER_FIELDS})
        try:
            self.recipe = read_recipe(plain | {"kind": self.kind, "where": dump_rule(where)})
        except RecipeError as error:
            self.add_error(self._place(error.field), error.words)
        return fields

    def _place(self, field: str) -> str | None:
        """The field of the form that stands for one of the recipe."""
        name, *rest = field.split(".")
        groups = {recipe: part for part, recipe in BAND_FIELDS.items()}
        if name in groups:
            return f"{groups[name]}_{rest[0] if rest else 1}"
        if name == "evaluation" and rest:
            name = f"evaluation_{rest[0]}"
        name = "rules" if name == "where" else name
        return name if name in self.fields else None


def write_initial(recipe: DatasetRecipe, filters: Any) -> dict[str, Any]:
    """The fields of the form that say what a recipe says."""
    plain = dump_recipe(recipe)
    initial: dict[str, Any] = {name: value for name, value in plain.items() if name not in ("where", "filter")}
    for part, name in BAND_FIELDS.items():
        initial |= {f"{part}_{band}": value for band, value in plain[name].items()}
    evaluation = plain["evaluation"]
    initial |= {
        "evaluation_tasks": "\n".join(evaluation["tasks"]),
        "evaluation_tags": ", ".join(evaluation["tags"]),
        "evaluation_benchmarks": ", ".join(evaluation["benchmarks"]),
        "evaluation_datasets": evaluation["datasets"],
        "evaluation_similarity": evaluation["similarity"],
    }
    saved = next((version for version in filters if _is_from(version, recipe.filter)), None)
    quick, rest = split_rules(recipe.where, read_rule(saved.rules) if saved else None)
    initial |= quick | {"filter": str(saved.pk) if saved and rest is not recipe.where else ""}
    return initial | {"rules": json.dumps(dump_rule(rest), indent=1) if rest is not None else ""}


def make_form(
    kind: str,
    *,
    data: Any = None,
    recipe: DatasetRecipe | None = None,
    target: str = "",
    models: Sequence[str],
    filters: Sequence[FilterVersion],
    datasets: Sequence[Dataset],
) -> RecipeForm:
    """The form of a kind of dataset (SFT where it is none), filled with `recipe` where nothing was sent.

    `target` is what a new recipe begins with: one that is to be reached, by weights.
    """
    kind = kind if kind in RECIPES else Dataset.Kind.SFT
    plain: dict[str, Any] = {"kind": kind}
    if target in {name for name, _ in TARGETS} - {"none", "by-hand"}:
        plain |= {"target": target, "reach": ["weights"]}
    initial = write_initial(recipe or read_recipe(plain), filters)
    return RecipeForm(data, kind=kind, initial=initial, models=models, filters=filters, datasets=datasets)


def _show(value: Any) -> str:
    """A value as text, whether it was sent or is a default: nothing, 0 and no box are the same."""
    text = str(value or "")
    return "" if text in ("0", "0.0") else text


def _is_from(version: FilterVersion, origin: FilterOrigin | None) -> bool:
    return origin is not None and (version.filter.name, version.number) == (origin.name, origin.version)


def _read_lines(text: str) -> list[str]:
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def _read_words(text: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
