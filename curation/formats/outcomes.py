"""Rewards, trials and task ids as files record them: numbers, booleans, numbers written as text, or none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def read_reward(value: Any) -> tuple[float | None, bool | None, list[str]]:
    """(reward, success, warnings). Only a boolean says by itself whether the attempt succeeded."""
    if value is None:
        return None, None, []
    if isinstance(value, bool):
        return float(value), value, []
    number = _read_number(value)
    if number is None:
        return None, None, [f"a reward that is not a number: {str(value)[:40]!r}"]
    return number, None, []


def read_rewards(parts: Any) -> dict[str, float]:
    """Every part that is a number or a boolean."""
    if not isinstance(parts, Mapping):
        return {}
    numbers = {str(name): _read_number(value) for name, value in parts.items() if isinstance(value, int | float)}
    return {name: number for name, number in numbers.items() if number is not None}


def read_index(value: Any) -> int | None:
    """A trial's number, where it is one a database column holds."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31 else None


def read_task_id(value: Any) -> str | None:
    """A task's id as text, where it is a text or a whole number."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return str(value) or None


def _read_number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
