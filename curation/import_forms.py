"""The form of an import."""

from __future__ import annotations

from django import forms

from curation.formats.registry import FORMATS
from curation.models import Trajectory

FORMAT_CHOICES = [("", "Found by its content"), *((known.name, known.label) for known in FORMATS)]


class ImportForm(forms.Form):
    file = forms.FileField(
        label="File", allow_empty_file=True, help_text="Choose it or drop it here. JSON or JSON lines, plain or gzip."
    )
    format = forms.ChoiceField(choices=FORMAT_CHOICES, required=False)
    model = forms.CharField(
        max_length=120, required=False, help_text="Which model acted; needed only where the file does not say."
    )
    source = forms.ChoiceField(
        choices=Trajectory.Source.choices,
        initial=Trajectory.Source.STRONG_MODEL,
        help_text="Where these attempts come from.",
    )
