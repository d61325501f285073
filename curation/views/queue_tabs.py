"""What the pages of one queue share: its tabs, with the number of disagreements that wait for a curator."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from curation.models import Queue
from curation.permissions import Access
from curation.selectors.disagreements import count_disagreements
from curation.selectors.pages import BadCursor, take_page


def tabs_context(access: Access, queue: Queue, tab: str) -> dict[str, Any]:
    """Context of parts/queue_tabs.html. Only curators are told of disagreements: others may be asked the same."""
    context: dict[str, Any] = {"queue": queue, "tab": tab, "pairwise": queue.kind == Queue.Kind.PAIRWISE}
    if access.is_curator:
        context["disagreements_open"], context["disagreements_decided"] = count_disagreements(queue)
    return context


def page_context(request: HttpRequest, rows: Any, *, order: str = "id") -> dict[str, Any]:
    """`page` of `rows` after the cursor in the address, the first one where that is damaged, and `problem`."""
    try:
        return {"page": take_page(rows, order=order, cursor=request.GET.get("after")), "problem": ""}
    except (BadCursor, ValueError) as error:
        return {"page": take_page(rows, order=order, cursor=None), "problem": str(error)}
