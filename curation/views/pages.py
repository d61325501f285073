"""Pages of a list."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from curation.selectors.pages import BadCursor, take_page


def page_context(request: HttpRequest, rows: Any, *, order: str = "id") -> dict[str, Any]:
    """`page` of `rows` after the cursor in the address, the first one where that is damaged, and `problem`."""
    try:
        return {"page": take_page(rows, order=order, cursor=request.GET.get("after")), "problem": ""}
    except (BadCursor, ValueError) as error:
        return {"page": take_page(rows, order=order, cursor=None), "problem": str(error)}
