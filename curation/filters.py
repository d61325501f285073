"""What trajectories can be filtered by: an allow-list, used by the list, by queues and by REST alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import django_filters
from django.db.models import QuerySet

from curation.models import Trajectory

OUTCOMES = [("success", "Success"), ("failure", "Failure"), ("none", "No outcome")]
BANDS = [
    (str(number), f"{number} · {name}")
    for number, name in enumerate(["trivial", "easy", "medium", "hard", "expert"], 1)
]
BANDS.append(("unknown", "Unknown"))


class TrajectoryFilter(django_filters.FilterSet):
    """Each parameter is optional; together they narrow."""

    outcome = django_filters.ChoiceFilter(
        choices=OUTCOMES, method="filter_outcome", label="Outcome", empty_label="Any outcome"
    )
    status = django_filters.ChoiceFilter(choices=Trajectory.Status.choices, empty_label="Any status")
    band = django_filters.ChoiceFilter(
        choices=BANDS, method="filter_band", label="Difficulty", empty_label="Any difficulty"
    )
    task = django_filters.CharFilter(field_name="task__key", lookup_expr="istartswith", label="Task begins with")
    model = django_filters.CharFilter(field_name="model", lookup_expr="exact", label="Model")
    source = django_filters.ChoiceFilter(choices=Trajectory.Source.choices, empty_label="Any source")
    origin = django_filters.NumberFilter(field_name="origin_id", label="Import", min_value=1, max_value=2**62)

    class Meta:
        model = Trajectory
        fields: list[str] = []

    def filter_outcome(self, queryset: QuerySet[Trajectory], name: str, value: str) -> QuerySet[Trajectory]:
        return queryset.filter(success={"success": True, "failure": False, "none": None}[value])

    def filter_band(self, queryset: QuerySet[Trajectory], name: str, value: str) -> QuerySet[Trajectory]:
        return queryset.filter(task__band=None if value == "unknown" else int(value))


FILTER_NAMES = frozenset(TrajectoryFilter.base_filters)


def read_conditions(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The filter's own parameters among `parameters`, empty ones and everything else left out."""
    return {name: str(parameters[name]) for name in sorted(FILTER_NAMES & set(parameters)) if parameters[name] != ""}
