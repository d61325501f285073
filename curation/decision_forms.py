"""Forms of curators: deciding a trajectory, and naming the known answer of a gold item."""

from __future__ import annotations

from django import forms

from curation.models import Review

GRADES = [("", "-"), *((number, number) for number in range(1, 6))]
LARGEST = 2**62


class DecisionForm(forms.Form):
    verdict = forms.ChoiceField(
        choices=Review.Verdict.choices,
        error_messages={
            "required": "Choose a verdict: accept, reject or unsure.",
            "invalid_choice": "Choose a verdict: accept, reject or unsure.",
        },
    )
    grade = forms.TypedChoiceField(choices=GRADES, coerce=int, empty_value=None, required=False)
    comment = forms.CharField(required=False, max_length=20_000)


class GoldForm(forms.Form):
    """A trajectory and what is known of it."""

    trajectory = forms.IntegerField(min_value=1, max_value=LARGEST, label="Trajectory, by its number")
    verdict = forms.ChoiceField(choices=Review.Verdict.choices[:2], label="Known verdict")
    grade = forms.TypedChoiceField(
        choices=GRADES, coerce=int, empty_value=None, required=False, label="Known difficulty, if it is to count"
    )


class GoldPairForm(forms.Form):
    """A pair and which side is better."""

    pair = forms.IntegerField(min_value=1, max_value=LARGEST, label="Pair, by its number")
    winner = forms.ChoiceField(
        choices=[("chosen", "The side that is chosen now"), ("rejected", "The other side")], label="Better side"
    )
