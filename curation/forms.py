"""Forms of projects, members and tokens."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.text import slugify

from curation.models import Project, Role, User


class ProjectForm(forms.ModelForm[Project]):
    class Meta:
        model = Project
        fields = ["name", "guidelines", "success_threshold"]
        widgets = {"guidelines": forms.Textarea(attrs={"rows": 5})}

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"].strip()
        if not slugify(name):
            raise forms.ValidationError("A name needs at least one letter or digit.")
        return name


class MemberForm(forms.Form):
    """Adds a member, or changes the roles of one. A new person gets a random first password, shown once."""

    username = forms.CharField(max_length=150, validators=[User.username_validator])
    roles = forms.MultipleChoiceField(choices=Role.choices, widget=forms.CheckboxSelectMultiple)


class TokenForm(forms.Form):
    name = forms.CharField(max_length=80)
    scopes = forms.MultipleChoiceField(choices=Role.choices, widget=forms.CheckboxSelectMultiple)


def first_error(form: forms.BaseForm) -> str:
    """The first error of a form in one line, with its field's label."""
    for name, errors in form.errors.items():
        label: Any = form.fields[name].label if name in form.fields else None
        return f"{label or name.replace('_', ' ').capitalize()}: {errors[0]}" if name != "__all__" else str(errors[0])
    return ""
