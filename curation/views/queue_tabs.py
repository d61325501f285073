"""What the pages of one queue share: its tabs, with the number of disagreements that wait for a curator."""

from __future__ import annotations

from typing import Any

from curation.models import Queue
from curation.permissions import Access
from curation.selectors.disagreements import count_disagreements


def tabs_context(access: Access, queue: Queue, tab: str) -> dict[str, Any]:
    """Context of parts/queue_tabs.html. Only curators are told of disagreements: others may be asked the same."""
    context: dict[str, Any] = {"queue": queue, "tab": tab, "pairwise": queue.kind == Queue.Kind.PAIRWISE}
    if access.is_curator:
        context["disagreements_open"], context["disagreements_decided"] = count_disagreements(queue)
    return context
