"""The most memory that importing takes, in the process that reads the file, against the most that it may take."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from django.core.files.base import File

from curation.models import JobState
from curation.services.imports import ImportOptions, create_import
from tests.bench.figures import Figure
from tests.bench.importing import make_record, start_worker
from tests.factories import make_project, owner_access

FILE_BYTES = 2 * 2**30
TRAJECTORY_BYTES = 100 * 2**20
MEGABYTE = 10**6
PLACE = b'"task_id":0'


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "attempts.json")
        _write_many(path, opening=b"", between=b"\n", closing=b"\n")
        yield Figure("peak memory, 2 GB of JSON lines", _import(path), "MB", 400)
        _write_many(path, opening=b"[", between=b",", closing=b"]")
        yield Figure("peak memory, 2 GB in one JSON array", _import(path), "MB", 400)
        path.write_bytes(orjson.dumps([make_long_record(TRAJECTORY_BYTES)]))
        yield Figure("peak memory, one trajectory of 100 MB", _import(path), "MB", 1000)


def _import(path: Path) -> int:
    """Megabytes that a process of its own takes at most while it imports the file, as a worker does."""
    with path.open("rb") as stream:
        access = owner_access(make_project())
        job = create_import(access, file=File(stream), file_name=path.name, options=ImportOptions())
    child = start_worker(job)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    job.refresh_from_db()
    if job.state != JobState.DONE or not job.imported or job.rejected or job.unchanged:
        raise SystemExit(f"the import went wrong: {job.imported} imported, {job.rejected} rejected. {job.error}")
    return usage.ru_maxrss * 1024 // MEGABYTE


def _write_many(path: Path, *, opening: bytes, between: bytes, closing: bytes) -> None:
    """Records of some 20 KB, each of another task, until the file is large enough."""
    records = [orjson.dumps(make_record(number) | {"task_id": 0}) for number in range(100)]
    with path.open("wb") as file:
        number = 0
        while file.tell() < FILE_BYTES:
            file.write(between if number else opening)
            file.write(records[number % len(records)].replace(PLACE, b'"task_id":%d' % number))
            number += 1
        file.write(closing)


def make_long_record(size: int) -> dict[str, Any]:
    """One attempt of many turns."""
    record = make_record(0)
    turns = record["traj"][2:]
    record["traj"] += turns * (size // len(orjson.dumps(turns)))
    return record
