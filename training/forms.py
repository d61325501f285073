"""The launch form, built from the typed recipes; and the form for a model that was put on the server by hand."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import annotated_types
from django import forms
from django.http import Http404
from pydantic.fields import FieldInfo

from curation.models import DatasetVersion
from curation.models.dataset import Split
from curation.permissions import Access, get_version
from training.models import Checkpoint, Run
from training.permissions import get_checkpoint, get_run
from training.recipes import CHOICES, PRESETS, DPORecipe, SFTRecipe
from training.selectors.runs import list_checkpoints, list_versions
from training.services.runs import LONGEST_NAME, RECIPES, get_preset, suggest_name

SUGGESTED = re.compile(r"(sft|dpo)-\d+")


@dataclass(frozen=True)
class Launch:
    """What a launch is about, looked up in the project: other projects' ids are not found (404)."""

    method: str
    version: DatasetVersion | None
    base: Checkpoint | None
    preset: str
    clone: Run | None

    @property
    def basis(self) -> SFTRecipe | DPORecipe:
        preset = get_preset(self.preset)
        return preset.sft if self.method == "sft" else preset.dpo


def read_launch(access: Access, given: Mapping[str, str]) -> Launch:
    """Read a launch from form values or a query, with a sensible choice for what is not given. Raises Http404."""
    clone = get_run(access, pk) if (pk := read_id(given.get("clone"))) else None
    version: DatasetVersion | None
    if pk := read_id(given.get("version")):
        version = get_version(access, pk)
    elif "version" in given:
        version = None
    else:
        version = clone.dataset_version if clone else list_versions(access, with_rows_in=Split.TRAIN).first()
    method = version.dataset.kind if version else "sft"
    if method not in RECIPES:
        raise Http404(f"{version} is to be exported: the engine trains on {' and '.join(RECIPES)} only.")
    preset = given.get("preset") or PRESETS[0].slug
    if preset not in {known.slug for known in PRESETS}:
        raise Http404("No such preset.")
    return Launch(method, version, _read_base(access, given, method, clone), preset, clone)


def _read_base(access: Access, given: Mapping[str, str], method: str, clone: Run | None) -> Checkpoint | None:
    if pk := read_id(given.get("base")):
        return get_checkpoint(access, pk)
    if "base" in given:
        return None
    if clone is not None:
        return clone.base
    if method == "dpo":  # its reference should be what SFT made
        return list_checkpoints(access).filter(kind=Checkpoint.Kind.SFT).order_by("-pk").first()
    return None


def read_id(value: object) -> int | None:
    """An id from a form value or a query; None where it is empty. Raises Http404 for anything but a number."""
    text = str(value or "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Http404(f"{text[:40]!r} is not an id.")
    return int(text)


class LaunchForm(forms.Form):
    """Name, idempotency key, and a field for each value of the method's recipe; an empty one means the preset's."""

    name = forms.CharField(max_length=LONGEST_NAME)
    key = forms.CharField(max_length=100, widget=forms.HiddenInput)

    def __init__(self, access: Access, launch: Launch, given: Mapping[str, str], *, is_sent: bool) -> None:
        initial = {name: given[name] for name in RECIPES[launch.method].model_fields if given.get(name)}
        if launch.clone is not None and launch.clone.method == launch.method:
            initial = _find_changes(launch.clone, launch.basis) | initial
        name = given.get("name", "")
        if not name or (SUGGESTED.fullmatch(name) and not name.startswith(f"{launch.method}-")):
            name = suggest_name(access, launch.method)
        initial |= {"name": name, "key": given.get("key") or str(uuid.uuid4())}
        super().__init__(given if is_sent else None, initial=initial)
        basis = launch.basis.model_dump()
        for name, info in RECIPES[launch.method].model_fields.items():
            self.fields[name] = _make_field(name, info, basis[name])

    @property
    def recipe_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name not in ("name", "key")]

    @property
    def has_changes(self) -> bool:
        """Whether a value other than the preset's was typed in, or does not fit."""
        names = [field.name for field in self.recipe_fields]
        return any(self.initial.get(name) for name in names) or any(name in self.errors for name in names)

    def read_changes(self) -> dict[str, Any]:
        """The recipe's values that were typed in, of a valid form."""
        names = [field.name for field in self.recipe_fields]
        return {name: self.cleaned_data[name] for name in names if self.cleaned_data[name] not in (None, "")}


class CheckpointForm(forms.Form):
    name = forms.CharField(max_length=120)
    path = forms.CharField(max_length=500, label="Directory", help_text="Below the models folder of the server.")


def _find_changes(run: Run, basis: SFTRecipe | DPORecipe) -> dict[str, Any]:
    ours = basis.model_dump()
    return {name: value for name, value in run.recipe.items() if value is not None and ours.get(name) != value}


def _make_field(name: str, info: FieldInfo, basis: Any) -> forms.Field:
    shared: dict[str, Any] = {"label": info.title, "help_text": info.description, "required": False}
    if get_origin(info.annotation) is Literal:
        described = CHOICES.get(name, {})
        choices = [("", f"As in the preset: {basis}")]
        choices += [(value, described.get(value, value)) for value in get_args(info.annotation)]
        return forms.ChoiceField(choices=choices, **shared)
    bounds = _read_bounds(info)
    placeholder = {"placeholder": "none" if basis is None else f"{basis:g}" if isinstance(basis, float) else str(basis)}
    if float in (info.annotation, *get_args(info.annotation)):
        widget = forms.NumberInput(attrs=placeholder | {"step": "any"})
        return forms.FloatField(widget=widget, max_value=bounds[1], validators=[_refuse_not_finite], **shared)
    widget = forms.NumberInput(attrs=placeholder)
    return forms.IntegerField(widget=widget, min_value=bounds[0], max_value=bounds[1], **shared)


def _read_bounds(info: FieldInfo) -> tuple[Any, Any]:
    low = next((limit.ge for limit in info.metadata if isinstance(limit, annotated_types.Ge)), None)
    high = next((limit.le for limit in info.metadata if isinstance(limit, annotated_types.Le)), None)
    return low, high


def _refuse_not_finite(value: float) -> None:
    if not math.isfinite(value):
        raise forms.ValidationError("A finite number is needed.")
