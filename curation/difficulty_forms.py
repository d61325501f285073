"""The form of a project's difficulty target."""

from __future__ import annotations

from typing import Any

from django import forms

from curation.bias import Target, TargetError, read_target
from curation.difficulty import BANDS

KINDS = [
    ("pool", "As collected: the share that each difficulty has of all attempts"),
    ("uniform", "Uniform: a fifth for each difficulty"),
    ("manual", "By hand: the shares below"),
]


class TargetForm(forms.Form):
    """Shares are given in per cent."""

    kind = forms.ChoiceField(choices=KINDS, widget=forms.RadioSelect, label="Target")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for band in BANDS:
            self.fields[f"share_{band}"] = forms.FloatField(
                min_value=0,
                max_value=100,
                required=False,
                label=f"Difficulty {band}, per cent",
                widget=forms.NumberInput(attrs={"step": "any"}),
            )

    @property
    def share_fields(self) -> list[forms.BoundField]:
        return [self[f"share_{band}"] for band in BANDS]

    def clean(self) -> dict[str, Any]:
        """Adds the target, as `target`."""
        fields = super().clean() or {}
        if self.errors:
            return fields
        manual = fields["kind"] == "manual"
        shares = {str(band): (fields.get(f"share_{band}") or 0) / 100 for band in BANDS} if manual else {}
        try:
            fields["target"] = read_target({"kind": fields["kind"], "shares": shares})
        except TargetError as error:
            raise forms.ValidationError(str(error)) from error
        return fields


def begin_form(target: Target) -> TargetForm:
    """The form as it stands for a target."""
    shares = {f"share_{band}": round(100 * share, 4) for band, share in target.shares.items()}
    return TargetForm(initial={"kind": target.kind, **shares})
