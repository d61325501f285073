"""Forms of bulk actions and saved filters."""

from __future__ import annotations

from typing import Any

from django import forms

from curation.models import BulkAction, Role, User
from curation.permissions import Access
from curation.selectors.bulk import BulkOrder, list_single_queues
from curation.services.bulk import LONGEST_REASON, LONGEST_TAG, check_order
from curation.services.saved_filters import LONGEST_NAME

Action = BulkAction.Action
NEEDS = {
    Action.ACCEPT: {"reason"},
    Action.REJECT: {"reason"},
    Action.TAG: {"tag"},
    Action.UNTAG: {"tag"},
    Action.QUEUE: {"queue"},
    Action.ASSIGN: {"queue", "assignee"},
}
"""The fields of each action."""


class BulkForm(forms.Form):
    """What an action needs to be told, and nothing that another one does.

    Its fields have a prefix in requests: the filter has a tag, too.
    """

    prefix = "do"

    tag = forms.CharField(max_length=LONGEST_TAG, widget=forms.TextInput(attrs={"list": "tags", "autocomplete": "off"}))
    reason = forms.CharField(
        max_length=LONGEST_REASON, required=False, label="Why", help_text="Kept with each decision; may stay empty."
    )

    def __init__(self, data: Any, *, access: Access, action: str) -> None:
        super().__init__(data)
        self._access, self._action = access, action
        self.order = BulkOrder(action=action)
        reviewers = User.objects.filter(
            memberships__project=access.project, memberships__roles__contains=[Role.REVIEWER]
        )
        self.fields["queue"] = forms.ModelChoiceField(
            list_single_queues(access),
            empty_label="Choose a queue",
            error_messages={"invalid_choice": "There is no such queue in this project."},
        )
        self.fields["assignee"] = forms.ModelChoiceField(
            reviewers.order_by("username"),
            to_field_name="username",
            label="Reviewer",
            empty_label="Choose a reviewer",
            error_messages={"invalid_choice": "There is no such reviewer in this project."},
        )
        for name in set(self.fields) - NEEDS[Action(action)]:
            del self.fields[name]

    @property
    def told(self) -> list[forms.BoundField]:
        """The fields that what would change depends on."""
        return [field for field in self if field.name != "reason"]

    def clean(self) -> dict[str, Any]:
        fields = super().clean() or {}
        if not self.errors:
            try:
                self.order = check_order(self._access.project, BulkOrder(action=self._action, **fields))
            except ValueError as error:
                raise forms.ValidationError(str(error)) from error
        return fields


class FilterForm(forms.Form):
    """A name for the conditions that come with it."""

    name = forms.CharField(max_length=LONGEST_NAME)
    replace = forms.BooleanField(required=False, label="Replace the saved filter of this name, if there is one")
