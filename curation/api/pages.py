"""Pages of a list over REST."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request

from curation.selectors.pages import BadCursor, Page, take_page


def read_page(request: Request, rows: QuerySet[Any], *, order: str) -> Page[Any]:
    """The page after the cursor in `after`. Raises ValidationError for one that is damaged."""
    try:
        return take_page(rows, order=order, cursor=request.query_params.get("after"), size=100)
    except (BadCursor, ValueError) as error:
        raise serializers.ValidationError({"after": str(error)}) from error
