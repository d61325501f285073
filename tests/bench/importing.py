"""Importing one file, against parsing it with orjson and one COPY of its records into the same PostgreSQL."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import orjson
from django.core.files.base import File
from django.db import connection, transaction

from curation.models import Trajectory
from curation.services.import_runs import run_import
from curation.services.imports import ImportOptions, create_import
from tests.bench.figures import Figure
from tests.factories import make_project, owner_access

RECORDS = 2000
ATTEMPTS_PER_TASK = 4
TURNS = 13  # with some 1,500 characters each: records of 20 KB, as tau-bench has them


def measure() -> Iterator[Figure]:
    content = orjson.dumps([make_record(number) for number in range(RECORDS)])
    floor = measure_floor(content)
    access = owner_access(make_project())
    job = create_import(access, file=File(BytesIO(content)), file_name="attempts.json", options=ImportOptions())
    begun = time.perf_counter()
    run_import(job.pk)
    seconds = time.perf_counter() - begun
    found = Trajectory.objects.filter(origin=job).count()
    if found != RECORDS:
        raise SystemExit(f"{found} of {RECORDS} records were imported")
    yield Figure("trajectories per second", round(RECORDS / seconds, 1), "1/s", round(RECORDS / floor, 1))
    yield Figure("bytes per second", round(len(content) / seconds), "B/s", round(len(content) / floor))


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
