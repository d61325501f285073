"""Forms of the review workbench: the answer to an item, and how a queue is worked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict

from curation.models import Membership, Project, Queue, Review, Role, StepLabel, User
from curation.models.review import FailureMode
from curation.services.reviews import Answer


class QueueChangeForm(forms.ModelForm[Queue]):
    """What of a queue may change while people work in it."""

    class Meta:
        model = Queue
        fields = ["name", "reviewers", "lease_minutes", "gold_percent"]
        widgets = {"reviewers": forms.CheckboxSelectMultiple}
        labels = {"reviewers": "Who may take from it", "gold_percent": "Gold items, in per cent"}

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        members = Membership.objects.filter(project=project, roles__contains=[Role.REVIEWER])
        reviewers = self.fields["reviewers"]
        assert isinstance(reviewers, forms.ModelMultipleChoiceField)  # noqa: S101  # narrows the type
        reviewers.queryset = User.objects.filter(pk__in=members.values("user")).order_by("username")


class QueueForm(QueueChangeForm):
    """A new queue."""

    class Meta(QueueChangeForm.Meta):
        fields = ["name", "order", "seed", "reviews_wanted", "blind", "lease_minutes", "reviewers", "gold_percent"]
        labels = QueueChangeForm.Meta.labels | {"seed": "Seed of the random order"}


class AnswerForm(forms.Form):
    """The review panel.

    Labels come as `label-<step>`, what went wrong at a step as `mode-<step>`, the level given for a criterion as
    `score-<key>`.
    """

    verdict = forms.ChoiceField(choices=Review.Verdict.choices, required=False)
    grade = forms.TypedChoiceField(choices=[(n, n) for n in range(1, 6)], coerce=int, empty_value=None, required=False)
    failure_modes = forms.MultipleChoiceField(choices=FailureMode.choices, required=False)
    comment = forms.CharField(required=False, max_length=20_000)
    first_error = forms.IntegerField(min_value=1, max_value=10**6, required=False)
    rubric = forms.IntegerField(min_value=1, max_value=10**6, required=False)
    revision = forms.IntegerField(min_value=0, max_value=10**6, required=False)
    seconds = forms.IntegerField(min_value=0, max_value=10**6, required=False)

    def read_answer(self) -> Answer:
        """The answer of a valid form. Raises ValueError for a score that is no number."""
        fields = self.cleaned_data
        labels = {step: label for step, label in self._read_steps("label-").items() if label in StepLabel.Label.values}
        modes = {step: mode for step, mode in self._read_steps("mode-").items() if mode in FailureMode.values}
        return Answer(
            verdict=fields["verdict"],
            grade=fields["grade"],
            failure_modes=fields["failure_modes"],
            comment=fields["comment"],
            labels=labels,
            failure_mode_of=modes,
            first_error=fields["first_error"],
            scores={key: _read_level(key, level) for key, level in self._read_fields("score-").items() if level},
            rubric=fields["rubric"],
            revision=fields["revision"],
            seconds=fields["seconds"] or 0,
        )

    def _read_steps(self, prefix: str) -> dict[int, str]:
        fields = self._read_fields(prefix)
        return {int(step): value for step, value in fields.items() if step.isdecimal() and len(step) < 7}

    def _read_fields(self, prefix: str) -> dict[str, str]:
        """The fields whose name begins with `prefix`, by the rest of their name."""
        assert isinstance(self.data, QueryDict)  # noqa: S101  # narrows the type: forms of pages are
        return {name.removeprefix(prefix): str(self.data[name]) for name in self.data if name.startswith(prefix)}


def _read_level(key: str, level: str) -> int:
    if not (level.isdecimal() and len(level) < 3):
        raise ValueError(f"The criterion {key!r} has no level {level[:20]!r}.")
    return int(level)
