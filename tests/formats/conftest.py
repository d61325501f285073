"""Property tests measure no time: the machine they run on may be busy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("patient", settings(), deadline=None, database=None)
settings.load_profile("patient")
