"""What trajectories can be filtered by: an allow-list, used by the list, by queues and by REST alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import django_filters
from django import forms
from django.db.models import Exists, OuterRef, QuerySet

from curation.models import Project, QueueItem, Trajectory
from curation.rule_kinds import FlagRule, TaskIdRule
from curation.rules import (
    AllOf,
    BandRule,
    ImportRule,
    ModelRule,
    Not,
    OutcomeRule,
    QueueRule,
    Rule,
    RuleError,
    SourceRule,
    StatusRule,
    TagRule,
    TaskRule,
    parse_rule,
    write_rule,
)
from curation.selectors.rules import match_rule

OUTCOMES = [("success", "Success"), ("failure", "Failure"), ("none", "No outcome")]
BANDS = [
    (str(number), f"{number} · {name}")
    for number, name in enumerate(["trivial", "easy", "medium", "hard", "expert"], 1)
]
BANDS.append(("unknown", "Unknown"))
CORRECTED = [("yes", "Corrected"), ("no", "As imported")]


class ConditionsForm(forms.Form):
    """Refuses rules that do not hold together."""

    def clean_where(self) -> str:
        try:
            text: str = self.cleaned_data["where"]
            return text and write_rule(parse_rule(text))
        except RuleError as error:
            raise forms.ValidationError(str(error)) from None


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
    task_id = django_filters.NumberFilter(field_name="task_id", label="Task number", min_value=1, max_value=2**62)
    model = django_filters.CharFilter(field_name="model", lookup_expr="exact", label="Model")
    source = django_filters.ChoiceFilter(choices=Trajectory.Source.choices, empty_label="Any source")
    tag = django_filters.CharFilter(method="filter_tag", label="Tag")
    corrected = django_filters.ChoiceFilter(
        choices=CORRECTED, method="filter_corrected", label="Corrected", empty_label="Any"
    )
    in_queue = django_filters.NumberFilter(method="filter_queue", label="In queue", min_value=1, max_value=2**62)
    origin = django_filters.NumberFilter(field_name="origin_id", label="Import", min_value=1, max_value=2**62)

    where = django_filters.CharFilter(
        method="filter_where", label="More rules", widget=forms.HiddenInput, help_text="Rules as JSON: curation.rules."
    )

    class Meta:
        model = Trajectory
        fields: list[str] = []
        form = ConditionsForm

    def filter_where(self, queryset: QuerySet[Trajectory], name: str, value: str) -> QuerySet[Trajectory]:
        return queryset.filter(match_rule(parse_rule(value)))

    def filter_outcome(self, queryset: QuerySet[Trajectory], name: str, value: str) -> QuerySet[Trajectory]:
        return queryset.filter(success={"success": True, "failure": False, "none": None}[value])

    def filter_band(self, queryset: QuerySet[Trajectory], name: str, value: str) -> QuerySet[Trajectory]:
        return queryset.filter(task__band=None if value == "unknown" else int(value))

    def filter_tag(self, queryset: QuerySet[Trajectory], name: str, value: str) -> QuerySet[Trajectory]:
        return queryset.filter(tags__contains=[value])

    def filter_corrected(self, queryset: QuerySet[Trajectory], name: str, value: str) -> QuerySet[Trajectory]:
        return queryset.filter(head_number__gt=0) if value == "yes" else queryset.filter(head_number=0)

    def filter_queue(self, queryset: QuerySet[Trajectory], name: str, value: int) -> QuerySet[Trajectory]:
        return queryset.filter(Exists(QueueItem.objects.filter(queue_id=int(value), trajectory=OuterRef("pk"))))


CORRECTED_RULE = FlagRule(rule="corrected")
RULE_OF: dict[str, Callable[[str], Rule]] = {
    "outcome": lambda value: OutcomeRule.model_validate({"values": [value]}),
    "status": lambda value: StatusRule.model_validate({"values": [value]}),
    "band": lambda value: BandRule.model_validate({"values": [value]}),
    "task": lambda value: TaskRule(begins=value),
    "model": lambda value: ModelRule(values=[value]),
    "source": lambda value: SourceRule.model_validate({"values": [value]}),
    "tag": lambda value: TagRule(values=[value]),
    "corrected": lambda value: (
        FlagRule(rule="corrected") if value == "yes" else Not(negated=FlagRule(rule="corrected"))
    ),
    "in_queue": lambda value: QueueRule(queue=int(value)),
    "origin": lambda value: ImportRule(values=[int(value)]),
    "task_id": lambda value: TaskIdRule(task=int(value)),
    "where": parse_rule,
}
"""Each condition of the list as a rule."""


FILTER_NAMES = frozenset(TrajectoryFilter.base_filters)


def read_conditions(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The filter's own parameters among `parameters`, empty ones and everything else left out."""
    return {name: str(parameters[name]) for name in sorted(FILTER_NAMES & set(parameters)) if parameters[name] != ""}


def choose_trajectories(project: Project, conditions: Mapping[str, Any]) -> QuerySet[Trajectory]:
    """The project's trajectories that fit all conditions. Raises ValueError for one that does not exist or is wrong."""
    if unknown := sorted(set(conditions) - FILTER_NAMES):
        raise ValueError(f"There is no condition {unknown[0]!r}.")
    chosen = TrajectoryFilter(read_conditions(conditions), queryset=Trajectory.objects.filter(project=project))
    if not chosen.is_valid():
        raise ValueError(describe_problem(chosen))
    return chosen.qs


def describe_problem(chosen: TrajectoryFilter) -> str:
    """What is wrong with the first condition that is."""
    name, errors = next(iter(chosen.errors.items()))
    return f"{TrajectoryFilter.base_filters[name].label or name}: {errors[0]}"


def describe_conditions(conditions: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each condition in words: what is compared, and with what."""
    words = []
    for name, value in conditions.items():
        condition = TrajectoryFilter.base_filters.get(name)
        if condition is not None:
            choices = dict(condition.extra.get("choices", ()))
            words.append((str(condition.label or name.capitalize()), str(choices.get(value, value))))
    return words


def join_conditions(conditions: Mapping[str, str]) -> AllOf:
    """Conditions that choose_trajectories accepts, as rules."""
    parts: list[Rule] = []
    for name, value in conditions.items():
        rule = RULE_OF[name](value)
        parts += rule.all if isinstance(rule, AllOf) else [rule]
    return AllOf(all=parts)
