"""Importing one file, against parsing it with orjson and one COPY of its records into the same PostgreSQL."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import orjson
from django.core.files.base import File
from django.db import connection, transaction

from curation.models import Import, Trajectory
from curation.permissions import Access
from curation.services.import_runs import run_import
from curation.services.imports import ImportOptions, create_import
from tests.bench.figures import Figure
from tests.factories import make_project, owner_access
from webapp.paths import BASE_DIR

RECORDS = 20_000
WORKERS = 2
ATTEMPTS_PER_TASK = 4
TURNS = 13  # with some 1,500 characters each: records of 20 KB, as tau-bench has them


def measure() -> Iterator[Figure]:
    records = [make_record(number) for number in range(RECORDS)]
    content = orjson.dumps(records)
    floor = measure_floor(content)
    access = owner_access(make_project())
    (job,) = take_in(access, [content])
    begun = time.perf_counter()
    run_import(job.pk)
    seconds = time.perf_counter() - begun
    check_imported(access)
    yield Figure("import", round(RECORDS / seconds, 1), "trajectories/s", round(RECORDS / floor, 1))
    yield Figure("import", round(len(content) / seconds), "bytes/s", round(len(content) / floor))
    shared = owner_access(make_project())
    jobs = take_in(shared, [orjson.dumps(records[first::WORKERS]) for first in range(WORKERS)])
    begun = time.perf_counter()
    workers = [start_worker(job) for job in jobs]
    if any(worker.wait() for worker in workers):
        raise SystemExit("a worker failed")
    seconds = time.perf_counter() - begun
    check_imported(shared)
    name = f"import of {WORKERS} files by {WORKERS} workers, their start counted"
    yield Figure(name, round(RECORDS / seconds, 1), "trajectories/s", round(RECORDS / floor, 1))


def take_in(access: Access, contents: Sequence[bytes]) -> list[Import]:
    """Imports that wait for a worker, one for each file."""
    return [
        create_import(access, file=File(BytesIO(content)), file_name=f"part-{number}.json", options=ImportOptions())
        for number, content in enumerate(contents)
    ]


def start_worker(job: Import) -> subprocess.Popen[bytes]:
    """A process that reads an import, as a worker does."""
    code = f"import django; django.setup(); from curation.jobs import run_import; run_import({job.pk})"
    return subprocess.Popen([sys.executable, "-c", code], cwd=BASE_DIR)


def check_imported(access: Access) -> None:
    found = Trajectory.objects.filter(project=access.project).count()
    if found != RECORDS:
        raise SystemExit(f"{found} of {RECORDS} records were imported")


def measure_floor(content: bytes) -> float:
    """Seconds to parse the file at once and to copy its records as JSONB."""
    begun = time.perf_counter()
    records = orjson.loads(content)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_floor (id bigint PRIMARY KEY, document jsonb)")
        with cursor.copy("COPY bench_floor (id, document) FROM STDIN") as copy:
            for number, record in enumerate(records):
                copy.write_row((number, orjson.dumps(record).decode()))
    return time.perf_counter() - begun


def make_record(number: int) -> dict[str, Any]:
    """A tau-bench result; the same number gives the same record."""
    rng = random.Random(number)
    task, trial = divmod(number, ATTEMPTS_PER_TASK)
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": make_text(rng, 900)},
        {"role": "user", "content": make_text(rng, 30)},
    ]
    for turn in range(TURNS):
        arguments = json.dumps({"reservation_id": f"R{rng.randrange(10**6)}", "note": make_text(rng, 10)})
        call = {"id": f"call_{turn}", "type": "function", "function": {"name": "look_up", "arguments": arguments}}
        messages.append({"role": "assistant", "content": make_text(rng, 20), "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": call["id"], "name": "look_up", "content": make_text(rng, 100)})
    instruction = f"Task {task}: " + make_text(random.Random(-task), 40)
    return {
        "task_id": task,
        "reward": float(rng.random() < 0.4),
        "trial": trial,
        "info": {"task": {"instruction": instruction}},
        "traj": messages,
    }


def make_text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


WORDS = [
    f"{start}{end}" for start in ("reser", "pass", "flig", "book", "can", "re", "ba") for end in ("ve", "ht", "gage")
]
