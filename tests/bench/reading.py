"""Opening a long trajectory over HTTP, against reading its first steps by one query; and what it costs in memory."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any
from urllib.parse import urlencode

import psutil
from django.urls import reverse

from curation.models import Revision, Trajectory
from curation.selectors.trajectories import read_steps
from tests.bench.figures import Figure
from tests.bench.reviewing import Browser, serve, sign_in
from tests.factories import make_document, make_project, make_trajectory, make_user, owner_access

STEPS = 1000
TIMES = 20
OPENINGS = 100
MEGABYTE = 10**6
WORDS = ("the", "shelf", "lamp", "behind", "door", "opens", "when", "agent", "takes", "one", "step", "and", "reads")
CODE = "```python\nfor shelf in shelves:\n    if shelf.holds('lamp'):\n        take(shelf, 'lamp')\n```\n"


def measure() -> Iterator[Figure]:
    project = make_project(make_user("lead"))
    trajectory = make_wide_trajectory(make_trajectory(project))
    revision = Revision.objects.defer("document").get(trajectory=trajectory, number=1)
    floor = time_calls(lambda: read_steps(revision))
    with serve() as port:
        browser = Browser(port, sign_in(owner_access(project).user))

        def ask(name: str, **query: str | int) -> float:
            address = reverse(f"curation:trajectory-{name}", args=[project.slug, trajectory.pk])
            return time_calls(lambda: browser.ask("GET", f"{address}?{urlencode(query)}"))

        yield Figure("open_1000_steps", ask("detail"), "ms", floor)
        yield Figure("jump_to_step_700", ask("steps", first=681), "ms", floor)
        yield Figure("find_in_1000_steps", ask("find", q="not to be found"), "ms", floor)
        yield Figure("unfold_one_text", ask("text", step=700, part="result-0"), "ms", floor)
        before = server_memory()
        address = reverse("curation:trajectory-detail", args=[project.slug, trajectory.pk])
        for _ in range(OPENINGS):
            browser.ask("GET", address)
        yield Figure(f"memory kept after {OPENINGS} openings", server_memory() - before, "MB", 10.0)


def time_calls(call: Callable[[], Any]) -> float:
    """The median, in milliseconds, once it is warm."""
    call()
    waits = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        call()
        waits.append(1000 * (time.perf_counter() - begun))
    return round(median(waits), 1)


def server_memory() -> float:
    """Megabytes that the web server's processes hold."""
    family = psutil.Process().children(recursive=True)
    held = sum(one.memory_info().rss for one in family if "granian" in " ".join(one.cmdline()))
    return round(held / MEGABYTE, 1)


def make_wide_trajectory(trajectory: Trajectory) -> Trajectory:
    """One of STEPS steps and 10 MB: Markdown with code, arguments, and observations of every kind."""
    chance = random.Random(1)
    document = make_document(*["x"] * (STEPS - 2))
    for number, step in enumerate(document["steps"][2:]):
        step["message"][0]["text"] = f"## Step {number}\n\n{make_words(chance, 900)}\n\n- **one**\n- `two`\n\n{CODE}"
        arguments = {"shelf": number, "why": make_words(chance, 300), "order": [1, 2, 3]}
        step["tool_calls"][0] |= {"arguments": arguments, "arguments_raw": json.dumps(arguments)}
        items = [{"id": n, "name": make_words(chance, 30), "price": n * 1.5} for n in range(100)]
        output = {
            0: json.dumps(items[:40]),
            1: json.dumps(items),
            2: "\x1b[32mpassed\x1b[0m " + make_words(chance, 3500),
            3: make_words(chance, 17000),
        }[number % 4]
        step["observation"]["results"][0]["content"][0]["text"] = output
    Revision.objects.create(trajectory=trajectory, number=1, document=document)
    Trajectory.objects.filter(pk=trajectory.pk).update(head_number=1, step_count=STEPS)
    size = len(json.dumps(document)) / MEGABYTE
    if not 9 < size < 12:
        raise SystemExit(f"the trajectory is {size:.1f} MB long")
    return trajectory


def make_words(chance: random.Random, length: int) -> str:
    words = [f"{chance.choice(WORDS)}{chance.randrange(100)}" for _ in range(length // 4)]
    return " ".join(words)[:length]
