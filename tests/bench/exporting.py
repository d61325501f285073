"""Trajectories on their way out: the export of a filter over HTTP, against COPY of the same documents; and freezing."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from statistics import median

import orjson
from django.db import connection
from django.urls import reverse

from curation.models import DatasetVersion, Project, Revision, Task, Trajectory
from curation.services.datasets import create_dataset, create_version
from tests.bench.figures import Figure
from tests.bench.importing import make_text
from tests.bench.reading import MEGABYTE, server_memory
from tests.bench.reviewing import serve, sign_in
from tests.factories import make_document, make_project, owner_access
from webapp.paths import BASE_DIR

DOCUMENTS = 20_000
TASKS = 2_000
TURNS = 13
TIMES = 5
BLOCK = 2**20
FEW = 1_000
COPY = "COPY (SELECT document FROM curation_revision) TO STDOUT"
FREEZE = """
import time
from pathlib import Path
import django
django.setup()
from curation.services.datasets import freeze_version
begun = time.perf_counter()
freeze_version({pk})
seconds = time.perf_counter() - begun
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(seconds, status["VmHWM"].split()[0])  # ru_maxrss would tell of the process that started this one
"""


def measure() -> Iterator[Figure]:
    project = fill_project()
    with serve() as port:
        cookie = sign_in(owner_access(project).user)
        export(port, cookie, project)  # warm
        floors, waits, sizes, grown = [], [], [], []
        for _ in range(TIMES):
            floors.append(time_floor())
            seconds, size, memory = export(port, cookie, project)
            waits.append(seconds)
            sizes.append(size)
            grown.append(memory)
        megabytes = sizes[0] / MEGABYTE
        yield Figure("export", round(megabytes / median(waits), 1), "MB/s", round(megabytes / median(floors), 1))
        yield Figure("memory that an export takes", median(grown), "MB", 20.0)
    few, all_of_them = freeze(project, FEW), freeze(project, DOCUMENTS)
    yield Figure(
        "freeze_20k", round(DOCUMENTS / all_of_them[0], 1), "rows/s", round(DOCUMENTS / time_least_freeze(), 1)
    )
    peak = f"peak memory of freezing {DOCUMENTS:,} rows, against {FEW:,}"
    yield Figure(peak, all_of_them[1], "MB", few[1])


def fill_project() -> Project:
    """Accepted trajectories, each with a document of some 20 KB."""
    project = make_project()
    chance = random.Random(1)
    tasks = Task.objects.bulk_create(
        Task(project=project, key=f"t{n}", fingerprint=f"{n:064d}", instruction=f"Task {n}.", band=1 + n % 5)
        for n in range(TASKS)
    )
    for first in range(0, DOCUMENTS, 500):
        made = Trajectory.objects.bulk_create(
            Trajectory(
                project=project,
                task=tasks[number % TASKS],
                source="strong-model",
                model="bench",
                success=True,
                completion="completed",
                content_hash=f"{number:064d}",
                step_count=TURNS + 2,
                tool_call_count=TURNS,
                character_count=20_000,
                status="accepted",
            )
            for number in range(first, first + 500)
        )
        Revision.objects.bulk_create(
            Revision(trajectory=one, number=0, document=make_long_document(chance, one.task.key)) for one in made
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return project


def make_long_document(chance: random.Random, key: str) -> dict[str, object]:
    document = make_document(*[make_text(chance, 20) for _ in range(TURNS)], key=key)
    for step in document["steps"][2:]:
        step["observation"]["results"][0]["content"][0]["text"] = make_text(chance, 110) + '\n"quoted" C:\\path\n'
    return document


def time_floor() -> float:
    """Seconds in which the database hands out the documents."""
    begun = time.perf_counter()
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        for _ in copy:
            pass
    return time.perf_counter() - begun


def export(port: int, cookie: str, project: Project) -> tuple[float, int, float]:
    """Seconds, bytes, and the megabytes by which the server grew at most."""
    address = reverse("curation:trajectory-list-export", args=[project.slug])
    client = HTTPConnection("127.0.0.1", port, timeout=60)
    before = most = server_memory()
    begun = time.perf_counter()
    client.request("GET", f"{address}?format=whetstone&status=accepted", headers={"Cookie": cookie})
    answer = client.getresponse()
    if answer.status != 200:
        raise SystemExit(f"the export was answered with {answer.status}")
    size, lines, watched = 0, 0, 0.0
    while block := answer.read(BLOCK):
        size += len(block)
        lines += block.count(b"\n")
        if size // (50 * BLOCK) > watched:
            watched = size // (50 * BLOCK)
            most = max(most, server_memory())
    seconds = time.perf_counter() - begun
    if lines != DOCUMENTS:
        raise SystemExit(f"{lines} of {DOCUMENTS} documents were exported")
    return seconds, size, round(most - before, 1)


def freeze(project: Project, rows: int) -> tuple[float, int]:
    """Seconds, and the most megabytes, of a process of its own that freezes so many rows."""
    access = owner_access(project)
    recipe = {"kind": "sft", "held_out": 0, "most_rows": rows}
    version = create_version(access, create_dataset(access, name=f"{rows} rows", recipe=recipe))
    done = subprocess.run(
        [sys.executable, "-c", FREEZE.format(pk=version.pk)], cwd=BASE_DIR, capture_output=True, text=True, check=True
    )
    if DatasetVersion.objects.get(pk=version.pk).rows.count() != rows:
        raise SystemExit("not every row was frozen")
    seconds, kilobytes = done.stdout.split()
    return float(seconds), int(kilobytes) * 1024 // MEGABYTE


def time_least_freeze() -> float:
    """Seconds to read every document from COPY, and to write and hash it as a line of JSON."""
    begun, digest = time.perf_counter(), hashlib.sha256()
    with tempfile.TemporaryFile() as file, connection.cursor() as cursor, cursor.copy(COPY) as copy:
        for row in copy:
            document = orjson.loads(bytes(row).replace(b"\\\\", b"\\"))
            line = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
            file.write(line)
            digest.update(line)
    return time.perf_counter() - begun
