"""What all tests of judges share: an endpoint of their own that may be asked, and retries that do not wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache

from curation.services import judge_calls
from tests.judges.endpoint import FakeEndpoint, serve_endpoint


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.JUDGE_HOSTS = ["127.0.0.1"]
    monkeypatch.setattr(judge_calls, "FIRST_WAIT", 0.01)
    cache.clear()


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with serve_endpoint() as served:
        yield served
