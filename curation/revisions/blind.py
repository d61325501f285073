"""A document for somebody who must not know how the attempt went, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TELLING_KEYS = ("model_name", "metrics", "extra")


def leave_out_telling(document: Mapping[str, Any]) -> dict[str, Any]:
    """Its steps alone, in their plain form, without what would tell."""
    return {"steps": [{key: step[key] for key in step if key not in TELLING_KEYS} for step in document["steps"]]}
