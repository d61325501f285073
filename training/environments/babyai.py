"""BabyAI levels (package minigrid) as a text environment, with its expert bot as the oracle."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from training.environments.babyai_expert import Expert
from training.environments.babyai_text import Style, View, describe_view, read_view
from training.environments.base import Info, UnknownEnvironment

ACTIONS = ("turn left", "turn right", "go forward", "pick up", "drop", "toggle")

# Registered level, and a step limit of about 3 times the expert's mean (5, 5, 7, 17, 20 and 35 steps), within which it
# solves 300 of 300. The levels' own limits are so generous that a random agent looks good.
_LEVELS = {
    "GoToObj": ("BabyAI-GoToObj-v0", 15),
    "GoToLocal": ("BabyAI-GoToLocal-v0", 18),
    "PutNextS5N3": ("BabyAI-PutNextLocalS5N3-v0", 20),
    "GoToSeqS5R2": ("BabyAI-GoToSeqS5R2-v0", 60),
    "UnlockPickup": ("BabyAI-UnlockPickup-v0", 50),
    "BlockedUnlockPickup": ("BabyAI-BlockedUnlockPickup-v0", 90),
}

_RULES = """You act in a grid world of rooms, doors and objects. You see a few cells in front of you, never behind you.
Each turn, think, then call `act` with one action:
- turn left, turn right: turn on the spot by a quarter.
- go forward: move one cell ahead, if it is free or an open door.
- pick up: take the object right in front of you. You can carry one.
- drop: put what you carry on the free cell in front of you.
- toggle: open or close the door in front of you (a locked one needs the key of its colour), or open a box.
You have done the mission as soon as its state is reached; to go to an object is to stand before it and face it."""


class BabyAI:
    """One episode at a time; `reset` begins the next. Not for use by two threads at once."""

    name = "babyai"
    levels: Sequence[str] = tuple(_LEVELS)
    actions: Sequence[str] = ACTIONS
    rules = _RULES

    def __init__(self, style: Style = "natural") -> None:
        if style not in ("natural", "compact"):
            raise UnknownEnvironment(f"There is no style {style!r}. Known: natural, compact.")
        self._style: Style = style
        self._worlds: dict[str, Any] = {}
        self._done = True

    def max_steps(self, level: str) -> int:
        return _find_level(level)[1]

    def reset(self, *, seed: int, options: Mapping[str, Any] | None = None) -> tuple[str, Info]:
        """Begin an episode; without a level in `options` it is the easiest. Raises UnknownEnvironment."""
        level = str((options or {}).get("level", self.levels[0]))
        self._limit = self.max_steps(level)
        with contextlib.redirect_stdout(io.StringIO()):  # pygame greets, and levels report rejected samples
            if level not in self._worlds:
                self._worlds[level] = _make_world(level)
            self._env = self._worlds[level]
            observation, _ = self._env.reset(seed=seed)
        self._world = self._env.unwrapped
        self._world.max_steps = self._limit + 1  # the limit is ours, and counts invalid actions too
        self._steps = 0
        self._done = False
        self._see(observation)
        self._expert = Expert(self._env, key=f"{level}/{seed}", style=self._style)
        return self._describe(), self._info(valid=True)

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        """Take an action by its words. Raises RuntimeError before the first episode and after the end of one."""
        if self._done:
            raise RuntimeError("no episode is going on: reset the environment first")
        self._steps += 1
        words = action.strip().lower()
        valid, success = words in ACTIONS, False
        terminated = False
        if valid:
            number = ACTIONS.index(words)
            self._expert.prepare()
            observation, reward, terminated, _, _ = self._env.step(number)
            self._see(observation)
            self._expert.note_action(number)
            terminated, success = bool(terminated), bool(terminated and reward > 0)
        truncated = not terminated and self._steps >= self._limit
        self._done = terminated or truncated
        text = self._describe() if valid else f"There is no such action. {self._describe()}"
        if success and self._style == "natural":
            text += " You have accomplished the mission."
        return text, float(success), terminated, truncated, self._info(valid=valid, success=success)

    def oracle(self) -> tuple[str, str]:
        """The expert's thought and action. The thought says only what is in view, was in view, or is the mission's."""
        number = self._expert.advise()
        return self._expert.think(self._view, ACTIONS[number]), ACTIONS[number]

    def explain(self, action: str) -> str:
        return self._expert.explain(self._view, action)

    def _see(self, observation: Mapping[str, Any]) -> None:
        carried = self._world_carried()
        self._view: View = read_view(observation["image"], carried)
        self._mission = str(observation["mission"])

    def _world_carried(self) -> str | None:
        carried = self._env.unwrapped.carrying
        return f"{carried.color} {carried.type}" if carried else None

    def _describe(self) -> str:
        return describe_view(self._view, self._style)

    def _info(self, *, valid: bool, success: bool = False) -> Info:
        return Info(mission=self._mission, success=success, action_valid=valid, admissible=self._admissible())

    def _admissible(self) -> list[str]:
        """The actions that would change something here; turning always does."""
        front, carried = self._world.grid.get(*self._world.front_pos), self._world.carrying
        possible = {
            "go forward": front is None or front.can_overlap(),
            "pick up": front is not None and front.can_pickup() and carried is None,
            "drop": front is None and carried is not None,
            "toggle": front is not None and front.type in ("door", "box"),
        }
        return ["turn left", "turn right", *(action for action, can in possible.items() if can)]


def _find_level(level: str) -> tuple[str, int]:
    if level not in _LEVELS:
        raise UnknownEnvironment(f"babyai has no level {level!r}. Known: {', '.join(_LEVELS)}.")
    return _LEVELS[level]


def _make_world(level: str) -> Any:
    import gymnasium
    import minigrid  # noqa: F401 - registers the levels

    return gymnasium.make(_find_level(level)[0], disable_env_checker=True)
