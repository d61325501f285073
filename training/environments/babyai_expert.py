"""BabyAI's expert bot as an adviser: it breaks ties at random, and thinks in words about what the agent has seen."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from training.environments.babyai_text import Style, View, describe_place, with_article

_ACTION_COUNT = 6
_MAX_SEARCHES = 200
_DOES = {
    "turn left": "I turn left",
    "turn right": "I turn right",
    "go forward": "I go forward",
    "pick up": "I pick it up",
    "drop": "I put down what I carry",
    "toggle": "I toggle it",
}


class StuckError(Exception):
    """The bot goes round in circles over its plan."""


class Expert:
    """Advises on one episode. It has to hear of every action, its own advice or not."""

    def __init__(self, env: Any, *, key: str, style: Style) -> None:
        self._env = env
        self._style = style
        self._rng = random.Random(key)  # noqa: S311 - for ties, not for secrets
        self._bot: Any = None
        self._lost = False
        self._taken: int | None = None
        self._advice: int | None = None

    def advise(self) -> int:
        """The number of the action to take now; the same until an action is taken."""
        if self._advice is None:
            self._advice = self._replan()
        return self._advice

    def prepare(self) -> None:
        """Before any action: a bot that has begun wants to be asked at every step, its advice used or not."""
        if self._bot is not None:
            self.advise()

    def note_action(self, number: int) -> None:
        """After an action: what the agent really did."""
        self._taken, self._advice = number, None

    def think(self, view: View, action: str) -> str:
        """Why the expert takes its action. Only what is in view is placed; what is not in view has been seen before."""
        if self._lost or not self._bot.stack:
            return "look around" if self._style == "compact" else f"I am not sure how to go on. {_DOES[action]}."
        if self._style == "compact":
            return self._think_compactly(view)
        return f"{self._reason(view)} {_act(view, action)}"

    def explain(self, view: View, action: str) -> str:
        """A thought for any action, in the same manner."""
        front = view.find(1, 0)
        if self._style == "compact":
            return f"try {action}"
        if action in ("turn left", "turn right"):
            return f"I want to see what is on my {action.removeprefix('turn ')}. {_DOES[action]}."
        if action == "go forward":
            return f"I want to see what is further ahead. {_DOES[action]}."
        if action == "drop":
            carried = f"the {view.carried}" if view.carried else "anything"
            return f"I do not need {carried} any more. {_act(view, action)}"
        where = f"There is {with_article(front)} right in front of me." if front else "Something may be in front of me."
        return f"{where} {_act(view, action)}"

    def _replan(self) -> int:
        """The bot's action. Where its plan has broken down, a new bot plans afresh from what was seen so far."""
        for _ in range(2):
            if self._bot is None:
                self._bot = _bot_class()(self._env, self._rng)
            try:
                number = int(self._bot.replan(self._taken))
            except Exception:  # after a stray action the bot fails in many ways: asserts, lookups, attributes of None
                number = _ACTION_COUNT
            if number < _ACTION_COUNT:
                self._lost = False
                return number
            seen = self._bot.vis_mask
            self._bot = _bot_class()(self._env, self._rng)
            self._bot.vis_mask = seen
            self._taken = None
        self._lost = True
        return self._rng.choice((0, 1, 2))

    def _reason(self, view: View) -> str:
        goal = self._bot.stack[-1]
        kind = type(goal).__name__
        front = view.find(1, 0)
        if kind == "GoNextToSubgoal":
            return self._reason_for_way(view, goal)
        if kind == "DropSubgoal":
            return f"The place in front of me is free for the {view.carried}."
        return f"The {front} is right in front of me." if front else "It is right in front of me."

    def _reason_for_way(self, view: View, goal: Any) -> str:
        if goal.reason == "Explore":
            wanted = self._wanted_name()
            return f"I do not know the way to the {wanted} yet, so I explore." if wanted else "I explore."
        name, place = self._locate(goal)
        if name is None:
            return self._reason_for_spot(view)
        task = f"I want to put the {view.carried} next to it." if goal.reason == "PutNext" and view.carried else ""
        seen = place is not None and view.find(*place)
        if place is None or not seen:
            return f"The {name} is not in view, but I have seen it. {task}".strip()
        return f"The {seen} is {describe_place(*place, self._style)}. {task}".strip()

    def _reason_for_spot(self, view: View) -> str:
        below = type(self._bot.stack[-2]).__name__ if len(self._bot.stack) > 1 else ""
        if below == "DropSubgoal" and view.carried:
            return f"I look for a free place for the {view.carried}."
        if below == "PickupSubgoal":
            return "I go to what I have to pick up."
        return "I go back to the door." if below == "OpenSubgoal" else "I go back to where I was heading."

    def _think_compactly(self, view: View) -> str:
        goal = self._bot.stack[-1]
        kind = type(goal).__name__
        if kind != "GoNextToSubgoal":
            words = {"PickupSubgoal": "pick up now", "DropSubgoal": "drop now", "OpenSubgoal": "open door"}
            return words.get(kind, "close door")
        if goal.reason == "Explore":
            return "explore"
        name, place = self._locate(goal)
        if name is None or place is None:
            return "go to spot"
        return f"go to {name} {describe_place(*place, 'compact')}" if view.find(*place) else f"go back to {name}"

    def _locate(self, goal: Any) -> tuple[str | None, tuple[int, int] | None]:
        """(name, (ahead, right)) of the object a goal leads to; no name where it leads to a bare place."""
        datum = goal.datum
        if hasattr(datum, "obj_set"):
            thing, position = self._bot.found.get(id(datum), (None, None))
        elif hasattr(datum, "cur_pos"):
            thing, position = datum, datum.cur_pos
        else:
            return None, None
        if thing is None or position is None:
            return None, None
        world = self._env.unwrapped
        offset = position[0] - world.agent_pos[0], position[1] - world.agent_pos[1]
        ahead = offset[0] * world.dir_vec[0] + offset[1] * world.dir_vec[1]
        right = offset[0] * world.right_vec[0] + offset[1] * world.right_vec[1]
        return f"{thing.color} {thing.type}", (int(ahead), int(right))

    def _wanted_name(self) -> str | None:
        """What the exploring is for, in the words of the mission or of the door that needs a key."""
        for goal in reversed(self._bot.stack):
            datum = goal.datum
            if hasattr(datum, "obj_set"):
                return " ".join(word for word in (datum.color, datum.type or "object") if word)
        return None


def _act(view: View, action: str) -> str:
    front = view.find(1, 0)
    if action == "drop" and view.carried:
        return f"I put down the {view.carried}."
    if action == "toggle" and front and "door" in front:
        return f"I {'close' if front.startswith('open') else 'open'} it."
    return f"{_DOES[action]}."


@cache
def _bot_class() -> Any:
    from minigrid.utils.baby_ai_bot import BabyAIBot

    class TieBreakingBot(BabyAIBot):  # type: ignore[misc]  # minigrid is not followed by the type checker
        """The expert bot without its habits: of ways and turns that are equally good it takes one at random."""

        def __init__(self, mission: Any, rng: random.Random) -> None:
            self._rng = rng
            self._searches = 0
            self.found: dict[int, Any] = {}
            """What the plan of this moment leads to: (object, position) by the identity of its description."""
            super().__init__(mission)

        def replan(self, action_taken: int | None = None) -> Any:
            self._searches = 0
            self.found.clear()
            actions = self.mission.unwrapped.actions
            return super().replan(None if action_taken is None else actions(action_taken))

        def _find_obj_pos(self, obj_desc: Any, adjacent: bool = False) -> Any:
            self.found[id(obj_desc)] = super()._find_obj_pos(obj_desc, adjacent)
            return self.found[id(obj_desc)]

        def _breadth_first_search(self, initial_states: Any, accept_fn: Any, ignore_blockers: bool) -> Any:
            """The bot's search, straight on before turning, but left before right as often as right before left."""
            self._searches += 1
            if self._searches > _MAX_SEARCHES:
                raise StuckError
            flip = self._rng.choice((1, -1))
            grid = self.mission.unwrapped.grid
            came_from: dict[Any, Any] = {}
            queue: list[Any] = [(state, None) for state in initial_states]
            for state, previous in queue:
                i, j, di, dj = state
                if (i, j) in came_from:
                    continue
                cell = grid.get(i, j)
                came_from[(i, j)] = previous
                if accept_fn((i, j), cell):
                    return _trace((i, j), came_from), (i, j), came_from
                if not self.vis_mask[i, j] or not _can_pass(cell, ignore_blockers):
                    continue
                for dx, dy in ((di, dj), (-dj * flip, di * flip), (dj * flip, -di * flip), (-di, -dj)):
                    queue.append(((i + dx, j + dy, dx, dy), (i, j)))
            return None, None, came_from

        def _closest_wall_or_door_given_dir(self, position: Any, direction: Any) -> float:
            """How far it is to a wall, plus a fraction that decides between equal distances."""
            return float(super()._closest_wall_or_door_given_dir(position, direction)) + self._rng.random() / 2

    return TieBreakingBot


def _trace(position: tuple[int, int], came_from: dict[Any, Any]) -> list[Any]:
    path, step = [], position
    while step:
        path.append(step)
        step = came_from[step]
    return path


def _can_pass(cell: Any, ignore_blockers: bool) -> bool:
    if cell is None:
        return True
    if cell.type == "wall":
        return False
    return bool(cell.is_open) if cell.type == "door" else ignore_blockers
