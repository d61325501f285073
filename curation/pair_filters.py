"""What pairs can be filtered by: an allow-list, used by the list and by REST alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import django_filters
from django.db.models import QuerySet

from curation.filters import BANDS
from curation.models import PreferencePair


class PairFilter(django_filters.FilterSet):
    """Each parameter is optional; together they narrow pairs as list_pairs gives them.

    A status or a warning finds no pair whose row keeps it from the caller.
    """

    status = django_filters.ChoiceFilter(
        choices=PreferencePair.Status.choices, method="filter_status", label="Status", empty_label="Any status"
    )
    origin = django_filters.ChoiceFilter(choices=PreferencePair.Origin.choices, empty_label="Any origin")
    band = django_filters.ChoiceFilter(
        choices=BANDS, method="filter_band", label="Difficulty", empty_label="Any difficulty"
    )
    warning = django_filters.ChoiceFilter(
        choices=[("none", "No warning"), *PreferencePair.Warning.choices],
        method="filter_warning",
        label="Warning",
        empty_label="With or without",
    )
    step_only = django_filters.ChoiceFilter(
        choices=[("true", "Single turns"), ("false", "Whole attempts")],
        method="filter_step_only",
        label="Compared",
        empty_label="Turns and attempts",
    )
    task = django_filters.CharFilter(field_name="task__key", lookup_expr="istartswith", label="Task begins with")

    class Meta:
        model = PreferencePair
        fields: list[str] = []

    def filter_band(self, queryset: QuerySet[PreferencePair], name: str, value: str) -> QuerySet[PreferencePair]:
        return queryset.filter(task__band=None if value == "unknown" else int(value))

    def filter_status(self, queryset: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return queryset.filter(kept_back=False, status=value)

    def filter_warning(self, queryset: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        queryset = queryset.filter(kept_back=False)
        return queryset.filter(warnings=[]) if value == "none" else queryset.filter(warnings__contains=[value])

    def filter_step_only(self, queryset: QuerySet[PreferencePair], name: str, value: str) -> QuerySet[PreferencePair]:
        return queryset.filter(step_only=value == "true")


FILTER_NAMES = frozenset(PairFilter.base_filters)


def read_conditions(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The filter's own parameters among `parameters`, empty ones and everything else left out."""
    return {name: str(parameters[name]) for name in sorted(FILTER_NAMES & set(parameters)) if parameters[name] != ""}
