"""Forms of queues and reviews."""

from __future__ import annotations

from django import forms
from django.http import QueryDict

from curation.models import Queue, Review, StepLabel
from curation.models.review import FailureMode
from curation.services.reviews import Answer


class QueueForm(forms.ModelForm[Queue]):
    class Meta:
        model = Queue
        fields = ["name", "order", "reviews_wanted", "lease_minutes", "blind"]


class AnswerForm(forms.Form):
    """The review panel. Labels come as `label-<step>`, the first error as `first_error`."""

    verdict = forms.ChoiceField(choices=Review.Verdict.choices, required=False)
    grade = forms.TypedChoiceField(choices=[(n, n) for n in range(1, 6)], coerce=int, empty_value=None, required=False)
    failure_modes = forms.MultipleChoiceField(choices=FailureMode.choices, required=False)
    comment = forms.CharField(required=False, max_length=20_000)
    first_error = forms.IntegerField(min_value=1, max_value=10**6, required=False)

    def read_answer(self) -> Answer:
        """The answer of a valid form."""
        fields = self.cleaned_data
        data = self.data
        labels: dict[int, str] = {}
        if isinstance(data, QueryDict):
            for name in data:
                step = name.removeprefix("label-")
                if step != name and step.isdecimal() and len(step) < 7 and data[name] in StepLabel.Label.values:
                    labels[int(step)] = str(data[name])
        return Answer(
            verdict=fields["verdict"],
            grade=fields["grade"],
            failure_modes=fields["failure_modes"],
            comment=fields["comment"],
            labels=labels,
            first_error=fields["first_error"],
        )
