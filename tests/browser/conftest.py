"""Between two tests of the browser: what a page sent as it was closed is answered before the database is emptied."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.answering import Answering


@pytest.fixture(autouse=True)
def answering() -> Iterator[Answering]:
    """The live server's requests. A page keeps its draft by a beacon as it goes: what writes while tables are emptied
    and what empties them would wait for each other."""
    watched = Answering()
    watched.watch()
    yield watched
    watched.wait()
