"""What an agent sees in BabyAI, in words: a 7 by 7 view in front of it, and what it carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Style = Literal["natural", "compact"]

_HIDDEN = ("unseen", "empty", "wall", "floor")
_DOOR_STATES = {0: "open", 1: "closed", 2: "locked"}
_RAYS = {"ahead": (0, -1), "left": (-1, 0), "right": (1, 0)}


@dataclass(frozen=True, order=True)
class Sight:
    """An object in view: cells ahead (0 or more), cells to the right (negative: left), and its name."""

    ahead: int
    right: int
    name: str


@dataclass(frozen=True)
class View:
    """All objects in view, nearest first, and the distance of the walls straight ahead, left and right."""

    sights: tuple[Sight, ...]
    walls: dict[str, int]
    carried: str | None

    def find(self, ahead: int, right: int) -> str | None:
        """The name of what is seen at a place, if anything."""
        return next((seen.name for seen in self.sights if (seen.ahead, seen.right) == (ahead, right)), None)


def read_view(image: Any, carried: str | None) -> View:
    """The view from an observation's image, an array of (column, row, (type, colour, state))."""
    from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT

    size = image.shape[0]
    own_x, own_y = size // 2, size - 1
    sights = []
    for x in range(size):
        for y in range(size):
            kind = IDX_TO_OBJECT[int(image[x, y, 0])]
            if kind in _HIDDEN or (x, y) == (own_x, own_y):
                continue
            name = f"{IDX_TO_COLOR[int(image[x, y, 1])]} {kind}"
            if kind == "door":
                name = f"{_DOOR_STATES[int(image[x, y, 2])]} {name}"
            sights.append(Sight(own_y - y, x - own_x, name))
    sights.sort(key=lambda seen: (seen.ahead + abs(seen.right), seen))
    walls: dict[str, int] = {}
    for direction, (dx, dy) in _RAYS.items():
        x, y, distance = own_x + dx, own_y + dy, 1
        while 0 <= x < size and 0 <= y < size and IDX_TO_OBJECT[int(image[x, y, 0])] not in ("unseen", "wall"):
            x, y, distance = x + dx, y + dy, distance + 1
        if 0 <= x < size and 0 <= y < size and IDX_TO_OBJECT[int(image[x, y, 0])] == "wall":
            walls[direction] = distance
    return View(tuple(sights), walls, carried)


def describe_view(view: View, style: Style) -> str:
    """The observation text."""
    if style == "compact":
        objects = " ; ".join(f"{seen.name} {describe_place(seen.ahead, seen.right, style)}" for seen in view.sights)
        walls = " ".join(f"wall {direction} {distance}" for direction, distance in view.walls.items())
        return f"see {objects or 'nothing'} . {walls} . hold {view.carried or 'nothing'}"
    things = [f"{with_article(seen.name)} {describe_place(seen.ahead, seen.right, style)}" for seen in view.sights]
    things += [
        f"a wall {_count_steps(distance)} {'forward' if direction == 'ahead' else direction}"
        for direction, distance in view.walls.items()
    ]
    seen = f"You see {', '.join(things)}." if things else "You see nothing of interest."
    return f"{seen} You carry {with_article(view.carried) if view.carried else 'nothing'}."


def describe_place(ahead: int, right: int, style: Style) -> str:
    """A place relative to the agent: "2 steps forward and 1 step left"."""
    side = "right" if right > 0 else "left"
    if style == "compact":
        return f"{ahead} ahead {f'{abs(right)} {side}' if right else '0 side'}"
    pieces = []
    if ahead:
        pieces.append(f"{_count_steps(abs(ahead))} {'forward' if ahead > 0 else 'back'}")
    if right:
        pieces.append(f"{_count_steps(abs(right))} {side}")
    return " and ".join(pieces) or "here"


def with_article(name: str) -> str:
    return f"an {name}" if name.startswith("open") else f"a {name}"


def _count_steps(count: int) -> str:
    return f"{count} step{'s' if count != 1 else ''}"
