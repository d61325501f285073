"""A long trajectory for tests: every kind of text, errors here and there, a long observation, and a subagent."""

from __future__ import annotations

from typing import Any

from curation.models import Project, Revision, Trajectory
from tests.factories import make_document, make_trajectory

MARKDOWN = (
    "# Plan\n\nI will **look** at `shelf`:\n\n- one\n- two\n\n```python\nfor shelf in shelves:\n    look(shelf)\n```"
)
TERMINAL = "\x1b[1;31mFAILED\x1b[0m 2 tests\n\x1b[32mpassed\x1b[0m 7 tests"
JSON = '{"shelf": 7, "items": ["lamp", null, true], "price": 38.5}'
STEPS = 1030
ERRORS = (203, 801)
NEEDLE = "needle 100% sharp"
NEEDLE_STEP = 700
LONG_STEP = 120
LONG_NEEDLE = "at the far end"


def make_long_trajectory(project: Project, *, steps: int = STEPS) -> Trajectory:
    """Step ids 1 and 2 are the system's and the user's; the rest are the agent's."""
    trajectory = make_trajectory(project)
    document = make_document(*[f"go {number}" for number in range(3, steps + 1)])
    found = document["steps"]
    for step, text in ((3, MARKDOWN), (4, "[a link](https://example.org/) ![map](https://example.org/map.png)")):
        found[step - 1]["message"][0]["text"] = text
    for step, text in ((3, TERMINAL), (4, JSON), *((step, "Error: no such shelf") for step in ERRORS if step <= steps)):
        answer(found[step - 1], text)
    if steps >= NEEDLE_STEP:
        answer(found[NEEDLE_STEP - 1], f"On the shelf is a {NEEDLE}.")
    if steps >= LONG_STEP:
        answer(found[LONG_STEP - 1], "A long shelf. " * 2000 + LONG_NEEDLE)
    found[4]["observation"]["results"][0]["subagent_trajectory_ref"] = [{"trajectory_id": "helper"}]
    found[4]["metrics"] = {"prompt_tokens": 1200, "completion_tokens": 34}
    document["subagent_trajectories"] = [make_subagent("helper", below=[make_subagent("deeper")])]
    Revision.objects.create(trajectory=trajectory, number=1, document=document, reason="made longer")
    trajectory.head_number, trajectory.step_count = 1, steps
    trajectory.save(update_fields=["head_number", "step_count"])
    return trajectory


def answer(step: dict[str, Any], text: str) -> None:
    step["observation"]["results"][0]["content"][0]["text"] = text


def make_subagent(name: str, *, below: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    steps = [
        {"step_id": 1, "source": "user", "message": f"Help, {name}."},
        {"step_id": 2, "source": "agent", "message": f"This is {name}."},
    ]
    subagent = {
        "schema_version": "ATIF-v1.8",
        "trajectory_id": name,
        "agent": {"name": f"model-of-{name}", "version": "1"},
        "steps": steps,
    }
    return subagent | ({"subagent_trajectories": below} if below else {})
