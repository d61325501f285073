"""Forms of pairs: what is searched for, and what is said of a pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from curation.models import Judgement, PreferencePair
from curation.services.pair_proposals import MOST_PER_TASK, PROPOSED_ORIGINS
from curation.services.pairs import LONGEST_REASON, PairAnswer


class SearchForm(forms.Form):
    """What pairs to propose. `models` are the names to choose from."""

    origins = forms.MultipleChoiceField(
        label="Propose",
        choices=[(origin, PreferencePair.Origin(origin).label) for origin in PROPOSED_ORIGINS],
        initial=[PreferencePair.Origin.OUTCOME],
        widget=forms.CheckboxSelectMultiple,
    )
    most_per_task = forms.IntegerField(
        label="Most pairs of one task", min_value=1, max_value=MOST_PER_TASK, initial=3, help_text="Of all kinds."
    )
    one = forms.ChoiceField(label="This model", required=False)
    other = forms.ChoiceField(label="Against this one", required=False)

    def __init__(self, *args: Any, models: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("one", "other"):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)  # noqa: S101  # narrows the type
            field.choices = [("", "Choose a model"), *((model, model) for model in models)]

    def clean(self) -> dict[str, Any]:
        fields: dict[str, Any] = self.cleaned_data
        one, other = fields.get("one"), fields.get("other")
        if PreferencePair.Origin.MODELS in fields.get("origins", []) and not (one and other and one != other):
            self.add_error("other", "Choose two different models to compare.")
        return fields

    def read_choice(self) -> dict[str, Any]:
        """The keyword arguments of create_search, of a valid form."""
        fields = self.cleaned_data
        between = [fields["one"], fields["other"]]
        return {"origins": fields["origins"], "most_per_task": fields["most_per_task"], "between": between}


class JudgementForm(forms.Form):
    """The answer below a pair, with the sides as they were shown."""

    answer = forms.ChoiceField(choices=Judgement.Answer.choices)
    reason = forms.CharField(required=False, max_length=LONGEST_REASON)
    left = forms.IntegerField(min_value=1, max_value=2**62)
    right = forms.IntegerField(min_value=1, max_value=2**62)
    seconds = forms.IntegerField(min_value=0, max_value=2**31 - 1, required=False)

    def read_answer(self) -> PairAnswer:
        """The answer of a valid form."""
        fields = self.cleaned_data
        return PairAnswer(
            answer=fields["answer"],
            left_id=fields["left"],
            right_id=fields["right"],
            reason=fields["reason"],
            seconds=fields["seconds"] or 0,
        )
