"""BabyAI's expert bot as an adviser that breaks ties at random and thinks in words."""

from __future__ import annotations

import random
from collections import deque
from functools import cache
from typing import Any

from training.environments.babyai_text import Style, View, describe_place

_TURNS = (0, 1)
_PHRASES = {
    "turn left": "I turn left",
    "turn right": "I turn right",
    "go forward": "I go forward",
    "pick up": "I pick it up",
    "drop": "I put down what I carry",
    "toggle": "I open it",
}


class Expert:
    """Advises on one episode. Asked before every step or not, it follows what the agent really did."""

    def __init__(self, env: Any, *, key: str, style: Style) -> None:
        self._env = env
        self._style = style
        self._rng = random.Random(key)  # noqa: S311 - ties, not secrets
        self._bot = _bot_class()(env, self._rng)
        self._advice: int | None = None
        self._taken: int | None = None
        self._behind = False

    def note_action(self, number: int) -> None:
        """Tell what the agent did; what it was advised is asked first, for the bot has to be asked before each step."""
        raise NotImplementedError
