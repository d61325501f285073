"""What tasks can be filtered by: an allow-list, used by the list, its exports and REST alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import django_filters
from django.db.models import Exists, OuterRef, QuerySet

from curation.filters import BANDS
from curation.models import DatasetRow, Task, Trajectory
from curation.models.dataset import Split
from curation.selectors.tasks import REACHED

BASES = [("graded", "People's grades"), ("attempts", "Attempts"), ("unknown", "Nothing yet")]
HAS = [
    ("success", "A success"),
    ("reviewed", "A reviewed success or rescue"),
    ("accepted", "An accepted attempt"),
    ("no-accepted", "No accepted attempt"),
]
YES = [("yes", "Yes"), ("no", "No")]


class TaskFilter(django_filters.FilterSet):
    """Each parameter is optional; together they narrow."""

    band = django_filters.ChoiceFilter(
        choices=BANDS, method="filter_band", label="Difficulty", empty_label="Any difficulty"
    )
    basis = django_filters.ChoiceFilter(
        choices=BASES, method="filter_basis", label="Known from", empty_label="Anything"
    )
    has = django_filters.ChoiceFilter(choices=HAS, method="filter_has", label="Has", empty_label="Anything")
    bands_apart = django_filters.ChoiceFilter(
        choices=YES, method="filter_flag", label="People and attempts disagree", empty_label="Any"
    )
    grades_apart = django_filters.ChoiceFilter(
        choices=YES, method="filter_flag", label="Grades to be decided", empty_label="Any"
    )
    key = django_filters.CharFilter(field_name="key", lookup_expr="istartswith", label="Key begins with")
    version = django_filters.NumberFilter(
        method="filter_version", label="In dataset version", min_value=1, max_value=2**62
    )

    class Meta:
        model = Task
        fields: list[str] = []

    def filter_band(self, queryset: QuerySet[Task], name: str, value: str) -> QuerySet[Task]:
        return queryset.filter(band=None if value == "unknown" else int(value))

    def filter_basis(self, queryset: QuerySet[Task], name: str, value: str) -> QuerySet[Task]:
        if value == "graded":
            return queryset.filter(human_grade__isnull=False)
        return queryset.filter(human_grade=None, pass_rate__isnull=value == "unknown")

    def filter_has(self, queryset: QuerySet[Task], name: str, value: str) -> QuerySet[Task]:
        attempts = Trajectory.objects.filter(REACHED[value.removeprefix("no-")], task=OuterRef("pk"))
        return queryset.filter(~Exists(attempts) if value.startswith("no-") else Exists(attempts))

    def filter_flag(self, queryset: QuerySet[Task], name: str, value: str) -> QuerySet[Task]:
        return queryset.filter(**{name: value == "yes"})

    def filter_version(self, queryset: QuerySet[Task], name: str, value: int) -> QuerySet[Task]:
        """Tasks with training rows in it."""
        rows = DatasetRow.objects.filter(version=int(value), split=Split.TRAIN, task=OuterRef("pk"))
        return queryset.filter(Exists(rows))


TASK_FILTER_NAMES = frozenset(TaskFilter.base_filters)


def read_task_conditions(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The filter's own parameters among `parameters`, empty ones and everything else left out."""
    return {name: str(parameters[name]) for name in sorted(TASK_FILTER_NAMES & set(parameters)) if parameters[name]}
