"""The forms of an import: what to take in, and what to make of it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from pydantic import ValidationError

from curation.formats.mapping import FieldMapping, MappedFormat
from curation.formats.redaction import KINDS
from curation.formats.registry import FORMATS
from curation.models import SavedMapping, Trajectory
from curation.services.imports import ImportOptions

FORMAT_CHOICES = [("", "Found by its content"), *((known.name, known.label) for known in FORMATS)]
MAPPING_FIELDS = [
    ("messages", "Messages", "The list of messages: conversation, data.turns, ..."),
    ("role", "Role", "Within a message."),
    ("content", "Text", "Within a message."),
    ("task_id", "Task", ""),
    ("reward", "Reward", ""),
    ("success", "Success", ""),
    ("model", "Model", ""),
    ("tools", "Tools", ""),
    ("trial", "Trial", ""),
]


class SourceForm(forms.Form):
    """One of: a file, a URL, a folder of the server."""

    file = forms.FileField(
        label="File",
        required=False,
        allow_empty_file=True,
        help_text="Choose it or drop it here: JSON, JSON lines, Parquet, CSV or text; packed too, or a zip of many.",
    )
    url = forms.URLField(
        label="or an address", required=False, max_length=2000, assume_scheme="https",
        help_text="A public http or https address of a file.",
    )  # fmt: skip
    folder = forms.CharField(label="or a folder of the server", required=False, max_length=1000)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if settings.IMPORT_FOLDERS:
            self.fields["folder"].help_text = f"In {' or '.join(map(str, settings.IMPORT_FOLDERS))}."
        else:
            del self.fields["folder"]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if (
            sum(bool(values.get(name)) or (name == "file" and values.get(name) is not None) for name in self.fields)
            != 1
        ):
            raise forms.ValidationError("Choose one: a file, an address, or a folder.")
        return values


class OptionsForm(forms.Form):
    """What an import is to make of its records."""

    format = forms.ChoiceField(choices=[*FORMAT_CHOICES, (MappedFormat.name, MappedFormat.label)], required=False)
    source = forms.ChoiceField(
        choices=Trajectory.Source.choices,
        initial=Trajectory.Source.STRONG_MODEL,
        help_text="Where these attempts come from.",
    )
    model = forms.CharField(
        max_length=120, required=False, help_text="Which model acted; needed only where the file does not say."
    )
    redact = forms.MultipleChoiceField(
        label="Take out before storing",
        choices=list(KINDS.items()),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="What is replaced is counted; the originals are not stored.",
    )

    def options(self) -> ImportOptions:
        """Call it on a valid form, one that names a format or none."""
        return ImportOptions(**self.cleaned_data)


class MappingForm(forms.Form):
    """Where the fields of a trajectory stand; each path in the notation of JMESPath."""

    saved = forms.ModelChoiceField(SavedMapping.objects.none(), required=False, label="A saved mapping")
    save_as = forms.CharField(label="Save this mapping as", max_length=120, required=False)

    def __init__(self, *args: Any, mappings: list[SavedMapping], suggested: FieldMapping | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        saved = self.fields["saved"]
        assert isinstance(saved, forms.ModelChoiceField)  # noqa: S101  # declared above
        saved.queryset = SavedMapping.objects.filter(pk__in=[mapping.pk for mapping in mappings])
        for name, label, help_text in MAPPING_FIELDS:
            self.fields[name] = forms.CharField(
                label=label,
                help_text=help_text,
                max_length=300,
                required=False,
                initial=getattr(suggested, name) if suggested else "",
                widget=forms.TextInput(attrs={"list": "paths", "class": "mono", "autocomplete": "off"}),
            )
        self._suggested = suggested

    @property
    def paths(self) -> list[forms.BoundField]:
        return [self[name] for name, _, _ in MAPPING_FIELDS]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        saved = values.get("saved")
        if saved is not None:
            values["mapping"] = saved.mapping
            return values
        given = {name: values.get(name, "") for name, _, _ in MAPPING_FIELDS if values.get(name)}
        roles = self._suggested.roles if self._suggested else {}
        try:
            values["mapping"] = FieldMapping(**given, roles=roles).model_dump()
        except ValidationError as error:
            for complaint in error.errors(include_url=False):
                name = str(complaint["loc"][0]) if complaint["loc"] else None
                text = "This is needed." if complaint["type"] == "missing" else complaint["msg"]
                self.add_error(name if name in self.fields else None, text.removeprefix("Value error, "))
        return values
