"""What all tests of queues share."""

from __future__ import annotations

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    """Counts of large queues are kept for some seconds, under numbers that the next test may use again."""
    cache.clear()
