"""Keyset pages: the next page starts after the last row shown, so page 1,000 costs what page 1 does."""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, Q, QuerySet

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows, and the cursor of the page after them (None on the last page)."""

    rows: list[Row]
    next: str | None


class BadCursor(ValueError):
    """The cursor was not made by this product, or for another order."""


def take_page(queryset: QuerySet[Row], *, order: str, cursor: str | None, size: int = 50) -> Page[Row]:
    """A page of `queryset` by `order`, a non-null field or annotation, "-" in front for descending; ties go by id.

    `order` comes from an allow-list of the caller's, never straight from a request. Raises BadCursor.
    """
    field, descending = order.lstrip("-"), order.startswith("-")
    if cursor:
        value, pk = _read_cursor(cursor)
        beyond = "lt" if descending else "gt"
        if field in ("id", "pk"):
            queryset = queryset.filter(**{f"pk__{beyond}": pk})
        else:
            queryset = queryset.filter(Q(**{f"{field}__{beyond}": value}) | Q(**{field: value, f"pk__{beyond}": pk}))
    sign = "-" if descending else ""
    rows = list(queryset.order_by(*dict.fromkeys([order, f"{sign}pk"]))[: size + 1])
    if len(rows) <= size:
        return Page(rows, None)
    last = rows[size - 1]
    return Page(rows[:size], _write_cursor(getattr(last, field), last.pk))


def _write_cursor(value: object, pk: int) -> str:
    plain = value if isinstance(value, (int, float, str)) else str(value)
    return base64.urlsafe_b64encode(json.dumps([plain, pk]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int | float | str, int]:
    try:
        value, pk = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, TypeError, RecursionError) as error:
        raise BadCursor("This page's address is damaged; start again from the first page.") from error
    plain = isinstance(value, (int, str)) or (isinstance(value, float) and math.isfinite(value))
    if not isinstance(pk, int) or isinstance(value, bool) or not plain:
        raise BadCursor("This page's address is damaged; start again from the first page.")
    return value, pk
