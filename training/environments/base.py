"""What an environment is: Gymnasium's signatures, with text as observation and text as action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, Protocol, TypedDict, runtime_checkable


class Info(TypedDict):
    """What comes with each observation.

    `success`: the mission is accomplished. `action_valid`: the last action was one of the environment's actions
    (true before the first). `admissible`: the actions that would change something now, where that is known.
    """

    mission: str
    success: bool
    action_valid: bool
    admissible: NotRequired[list[str]]


class UnknownEnvironment(ValueError):
    """An environment, level or option that does not exist; the text says which, and what there is."""


@runtime_checkable
class Environment(Protocol):
    """A text environment. Importing its module is cheap; making or resetting one may import what it needs."""

    name: str
    levels: Sequence[str]
    actions: Sequence[str]
    rules: str
    """What an agent is told before its first observation."""

    def max_steps(self, level: str) -> int:
        """Steps after which an episode of this level is truncated."""
        ...

    def reset(self, *, seed: int, options: Mapping[str, Any] | None = None) -> tuple[str, Info]:
        """Begin an episode of `options["level"]`; the same seed and level give the same one."""
        ...

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        """(observation, reward, terminated, truncated, info). An action that does not exist costs a step."""
        ...


@runtime_checkable
class ExpertEnvironment(Environment, Protocol):
    """An environment that knows what an expert would do."""

    def oracle(self) -> tuple[str, str]:
        """(thought, action) of the expert now; asking twice before a step gives the same answer."""
        ...

    def explain(self, action: str) -> str:
        """A thought for this action now, in the expert's manner, whether the action is good or not."""
        ...
