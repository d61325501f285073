"""Which requests the live server is answering. It answers in threads of the tests' own process."""

from __future__ import annotations

import time
from threading import Lock
from typing import Any

from django.core.signals import request_finished, request_started

SILENCE = 0.2
"""Seconds without a request after which none is on its way from a page that was closed."""

LONGEST = 30.0


class Answering:
    def __init__(self) -> None:
        self._lock = Lock()
        self._last = time.monotonic()
        self.open = 0

    def watch(self) -> None:
        request_started.connect(self._begin)
        request_finished.connect(self._end)

    def wait(self) -> None:
        """Until all is answered and nothing comes any more; then no more is watched. Raises TimeoutError."""
        until = time.monotonic() + LONGEST
        while self.open or time.monotonic() - self._last < SILENCE:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.open} requests are not answered after {LONGEST} s")
            time.sleep(0.01)
        request_started.disconnect(self._begin)
        request_finished.disconnect(self._end)

    def _begin(self, **_: Any) -> None:
        self._count(1)

    def _end(self, **_: Any) -> None:
        self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self.open += change
            self._last = time.monotonic()
