"""Reviewers at work on one queue: save and next, over HTTP, against what the same server does without any work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from urllib.parse import urlencode

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.db.models import Count

from curation.models import Project, Queue, Reservation, Review, Role, Trajectory, User
from curation.services.queues import create_queue
from tests.bench.figures import Figure
from tests.factories import make_document, make_member, make_project, make_user, owner_access
from tests.serving.product import find_free_port
from webapp.paths import BASE_DIR
from webapp.supervision import PRODUCT

ITEMS = 100_000
TASKS = 5_000
TEAMS = (8, 32)
SECONDS = 20.0
CSRF = "c" * 32

FILL = """
INSERT INTO curation_task (project_id, key, dataset, fingerprint, instruction, attempts, successes, band, bands_apart,
    grades_apart)
SELECT %(project)s, 'task-' || n, '', repeat('f', 64), 'Do the thing.', 20, 10, 1 + n %% 5, false, false
FROM generate_series(1, %(tasks)s) AS n;
INSERT INTO curation_trajectory (project_id, task_id, source, model, success, completion, content_hash, step_count,
    tool_call_count, character_count, status, head_number, tags, created_at, agent_character_count, bad_argument_count,
    context_overflow, error_count, loop_length, unknown_tool_count, unreadable_count)
SELECT %(project)s, first.id + n %% %(tasks)s, 'strong-model', 'bench', n %% 2 = 0, 'completed', md5(n::text), 14, 12,
    2000, 'unreviewed', 0, '{}', now(), 1000, 0, false, 0, 0, 0, 0
FROM generate_series(1, %(items)s) AS n, (SELECT min(id) AS id FROM curation_task WHERE project_id = %(project)s) first;
INSERT INTO curation_revision (trajectory_id, number, document, reason, created_at)
SELECT id, 0, %(document)s::jsonb, '', now() FROM curation_trajectory WHERE project_id = %(project)s;
ANALYZE
"""


@dataclass
class Team:
    """What some reviewers did: the milliseconds of each save and next."""

    waits: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def p95(self) -> float:
        return sorted(self.waits)[int(0.95 * len(self.waits))]


def measure() -> Iterator[Figure]:
    project = fill_project()
    with serve() as port:
        for size in TEAMS:
            queue = create_queue(owner_access(project), name=f"{size}", trajectories=Trajectory.objects.all())
            people = [sign_in(make_member(project, Role.REVIEWER).user) for _ in range(size)]
            idle = work(people, partial(ask_for_nothing, port))
            team = work(people, partial(review, port, project, queue))
            check(queue, len(team.waits))
            rate, floor = len(team.waits) / SECONDS, len(idle.waits) / SECONDS
            yield Figure(f"reviews_{size}", round(rate, 1), "reviews/s", round(floor, 1))
            yield Figure(f"save_next_p95_{size}", round(team.p95, 1), "ms", round(idle.p95, 1))


def fill_project() -> Project:
    project = make_project(make_user("lead"))
    document = json.dumps(make_document(*[f"look at thing {number}" for number in range(12)]))
    with connection.cursor() as cursor:
        for statement in FILL.split(";\n"):
            cursor.execute(statement, {"project": project.pk, "tasks": TASKS, "items": ITEMS, "document": document})
    return project


@contextmanager
def serve() -> Iterator[int]:
    """The web server as the product runs it, on a free port."""
    port = find_free_port()
    environment = os.environ | {"GRANIAN_HOST": "127.0.0.1", "GRANIAN_PORT": str(port)}
    command = [sys.executable, "-m", *PRODUCT["web"].command.split()]
    server = subprocess.Popen(command, cwd=BASE_DIR, env=environment, stdout=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                HTTPConnection("127.0.0.1", port).connect()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(30)


def sign_in(user: User) -> str:
    """The cookies of somebody who signed in."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return f"whetstone_session={session.session_key}; whetstone_csrf={CSRF}"


def work(cookies: list[str], begin: Callable[[str], Callable[[], None]]) -> Team:
    """Everybody does the same thing over and over, all at once, for SECONDS."""
    team = Team()
    until = time.monotonic() + SECONDS

    def work_alone(cookie: str) -> None:
        try:
            again = begin(cookie)
            while time.monotonic() < until:
                begun = time.perf_counter()
                again()
                team.waits.append(1000 * (time.perf_counter() - begun))
        except (OSError, ValueError) as error:
            team.problems.append(repr(error))

    threads = [threading.Thread(target=work_alone, args=[cookie]) for cookie in cookies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if team.problems:
        raise SystemExit(f"a reviewer could not go on: {team.problems[0]}")
    return team


class Browser:
    """One person's connection."""

    def __init__(self, port: int, cookie: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        kind = "application/x-www-form-urlencoded"
        self._headers = {"Cookie": cookie, "X-CSRFToken": CSRF, "Content-Type": kind}

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **fields: str) -> str:
        """Where the answer leads, or the path itself. Raises ValueError for a status that is no success."""
        body = urlencode(fields) or None
        self._connection.request(method, path, body=body, headers=self._headers | (headers or {}))
        answer = self._connection.getresponse()
        answer.read()
        if answer.status not in (200, 302):
            raise ValueError(f"{method} {path}: {answer.status}")
        return answer.headers.get("Location") or answer.headers.get("HX-Push-Url") or path


def ask_for_nothing(port: int, cookie: str) -> Callable[[], None]:
    """One request, as a review takes, that has nothing to do."""
    browser = Browser(port, cookie)

    def again() -> None:
        browser.ask("GET", "/sign-in/")

    return again


def review(port: int, project: Project, queue: Queue, cookie: str) -> Callable[[], None]:
    """Save the answer to the item at hand, and be shown the next, as htmx asks for it."""
    browser = Browser(port, cookie)
    place = browser.ask("POST", f"/p/{project.slug}/queues/{queue.pk}/next/")
    browser.ask("GET", place)

    def again() -> None:
        nonlocal place
        here = place
        place = browser.ask("POST", place, {"HX-Request": "true"}, verdict="accept", grade="3", revision="0")
        if place == here:
            raise ValueError(f"{here} was not saved")

    return again


def check(queue: Queue, reviews: int) -> None:
    """Every save was kept once, and no item was reviewed more often than wanted."""
    kept = Review.objects.filter(item__queue=queue).exclude(submitted_at=None)
    done = Reservation.objects.filter(item__queue=queue, state=Reservation.State.DONE)
    most = kept.values("item").annotate(n=Count("id")).order_by("-n").values_list("n", flat=True).first()
    if (kept.count(), done.count(), most) != (reviews, reviews, queue.reviews_wanted):
        raise SystemExit(f"{reviews} saves, {kept.count()} reviews, {done.count()} done, {most} of one item")
