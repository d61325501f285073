"""Forms of model judges."""

from __future__ import annotations

from typing import Any

from django import forms

from curation.models import Judge, Rubric
from curation.permissions import Access
from curation.services.judges import LONGEST_INSTRUCTIONS, MOST_PRICE, JudgeDraft


class _RubricField(forms.ModelChoiceField[Rubric]):
    def label_from_instance(self, rubric: Rubric) -> str:
        return f"{rubric.queue.name}, version {rubric.number}"


class JudgeForm(forms.Form):
    """What a judge is made of. The key is never sent back to the browser."""

    name = forms.CharField(max_length=120)
    base_url = forms.CharField(
        max_length=300,
        label="Address",
        widget=forms.URLInput(attrs={"placeholder": "https://models.example/v1"}),
        help_text="Of an OpenAI-compatible endpoint, up to and with its /v1.",
    )
    model = forms.CharField(max_length=120, help_text="As the endpoint calls it.")
    key = forms.CharField(
        max_length=500,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Stored encrypted, and never shown again. Empty where the endpoint wants none.",
    )
    key_variable = forms.CharField(
        max_length=80,
        required=False,
        label="Or a key of the server",
        widget=forms.TextInput(attrs={"placeholder": "WHETSTONE_JUDGE_KEY_...", "autocomplete": "off"}),
        help_text="Name of an environment variable of the server, where an administrator allowed this address.",
    )
    unit = forms.ChoiceField(choices=Judge.Unit.choices, label="Judges")
    instructions = forms.CharField(
        max_length=LONGEST_INSTRUCTIONS,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text="What makes a trajectory worth learning from. How to answer is added to it.",
    )
    rubric = _RubricField(
        Rubric.objects.none(),
        required=False,
        label="Criteria of",
        empty_label="No criteria",
        help_text="Of a queue's rubric; copied, so that later versions change nothing here.",
    )
    concurrency = forms.IntegerField(min_value=1, max_value=64, initial=4, label="Questions at once")
    price_in = forms.FloatField(
        min_value=0, max_value=MOST_PRICE, initial=0, label="Price of a million prompt tokens", widget=forms.NumberInput
    )
    price_out = forms.FloatField(
        min_value=0, max_value=MOST_PRICE, initial=0, label="Price of a million answer tokens", widget=forms.NumberInput
    )

    def __init__(self, data: Any = None, *, access: Access) -> None:
        super().__init__(data, initial={"instructions": access.project.guidelines})
        in_force = Rubric.objects.filter(queue__project=access.project, pk__in=access.project.queues.values("rubric"))
        field = self.fields["rubric"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101  # narrows the type
        field.queryset = in_force.exclude(criteria=[]).select_related("queue").order_by("queue__name")
        for price in ("price_in", "price_out"):
            self.fields[price].widget.attrs["step"] = "any"

    @property
    def draft(self) -> JudgeDraft:
        """Of a valid form."""
        fields = dict(self.cleaned_data)
        rubric: Rubric | None = fields.pop("rubric")
        return JudgeDraft(criteria=rubric.criteria if rubric else [], **fields)


class LimitForm(forms.Form):
    """The most that a run may cost, in the unit of the judge's prices."""

    most_cost = forms.FloatField(
        required=False,
        min_value=0,
        max_value=MOST_PRICE,
        label="The most it may cost",
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text="It stops before it has cost more. Empty: no limit.",
    )
