"""What fills a queue: the filter of trajectories, or of pairs, by the queue's kind; for pages and REST alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curation import filters, pair_filters
from curation.models import Queue
from curation.permissions import Access
from curation.selectors.pairs import list_pairs
from curation.selectors.trajectories import list_trajectories

ItemFilter = filters.TrajectoryFilter | pair_filters.PairFilter


def choose_items(access: Access, kind: str, parameters: Mapping[str, Any]) -> tuple[ItemFilter, dict[str, str]]:
    """The filter of that kind of queue, and its conditions among the parameters of a request."""
    if kind == Queue.Kind.PAIRWISE:
        conditions = pair_filters.read_conditions(parameters)
        return pair_filters.PairFilter(conditions, queryset=list_pairs(access)), conditions
    conditions = filters.read_conditions(parameters)
    return filters.TrajectoryFilter(conditions, queryset=list_trajectories(access)), conditions
