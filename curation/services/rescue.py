"""Rescue: failed attempts at tasks that a selection lacks go to people who correct them, instead of being discarded."""

from __future__ import annotations

from curation.models import Queue, Role
from curation.permissions import Access
from curation.selectors.difficulty import find_rescue, list_failures, rescue_conditions
from curation.services.queues import create_queue, extend_queue


def rescue_band(access: Access, band: int) -> tuple[Queue, int]:
    """Put the failed attempts of a band into its correction queue, which is made where there is none.

    Returns the queue, and how many were not in it. Raises ValueError where there is nothing to put in.
    """
    access.require(Role.CURATOR)
    failures = list_failures(access.project, band)
    queue = find_rescue(access.project, band)
    if queue is not None:
        return queue, extend_queue(access, queue, failures)
    name = f"Correct failures, difficulty {band}"
    queue = create_queue(access, name=name, trajectories=failures, conditions=rescue_conditions(band))
    return queue, queue.items.count()
