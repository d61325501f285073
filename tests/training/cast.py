"""Frozen dataset versions with real files, runs on them, and a worker of one's own to kill."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.db import connection

from curation.models import Dataset, DatasetRow, DatasetVersion, JobState, PreferencePair, Project, Trajectory
from curation.models.dataset import Split
from curation.services.dataset_files import locate_file
from tests.engine.rows import make_dpo_row, make_sft_row
from tests.factories import make_task, make_trajectory, owner_access
from training.models import Checkpoint, Run
from training.services.runs import launch_run
from training.services.supervision import Patience
from webapp.paths import BASE_DIR

QUICK = Patience(poll=0.2, hung=120, stop=120, terminate=10, outage=60)
SHORT: dict[str, Any] = {
    "adapter": "full",
    "max_steps": 3,
    "learning_rate": 3e-3,
    "batch_size": 2,
    "gradient_accumulation": 1,
    "max_length": 512,
    "logging_steps": 1,
    "save_steps": 2,
}
LONG = SHORT | {"max_steps": 100_000, "save_steps": 5}


def _freeze(rows: list[dict[str, Any]]) -> str:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    digest = hashlib.sha256(content).hexdigest()
    path = locate_file(digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return digest


def make_version(
    project: Project, kind: str = "sft", *, train: int = 6, held_out: int = 2, state: str = JobState.DONE
) -> DatasetVersion:
    """A frozen version whose rows are short made-up conversations; one trajectory or pair stands for all of them."""
    number = Dataset.objects.filter(project=project).count() + 1
    dataset = Dataset.objects.create(project=project, name=f"{kind} data {number}", kind=kind, recipe={})
    make_row = make_sft_row if kind == "sft" else make_dpo_row
    rows = [make_row(number) for number in range(train + held_out)]
    version = DatasetVersion.objects.create(
        dataset=dataset,
        number=1,
        recipe={},
        state=state,
        content_hash="a" * 64,
        train_sha256=_freeze(rows[:train]),
        eval_sha256=_freeze(rows[train:]),
    )
    task = make_task(project)
    origin = _make_origin(project, kind, make_trajectory(project, "look", task=task))
    for position, row in enumerate(rows):
        split = Split.TRAIN if position < train else Split.EVAL
        DatasetRow.objects.create(
            version=version, split=split, position=position, task=task, band=row["band"], characters=120, **origin
        )
    return version


def _make_origin(project: Project, kind: str, trajectory: Trajectory) -> dict[str, Any]:
    revision = trajectory.revisions.get()
    if kind == "sft":
        return {"revision": revision}
    other = make_trajectory(project, "drop", task=trajectory.task, success=False).revisions.get()
    pair = PreferencePair.objects.create(
        project=project, task=trajectory.task, chosen=revision, rejected=other, shared_steps=2, origin="outcome"
    )
    return {"pair": pair}


def make_run(project: Project, method: str = "sft", *, base: Checkpoint | None = None, **changes: Any) -> Run:
    """A queued run of three updates, or with the recipe's values changed."""
    return launch_run(
        owner_access(project),
        name=f"{method}-{Run.objects.count() + 1}",
        method=method,
        version=make_version(project, method),
        base=base,
        recipe=SHORT | changes,
    )


def make_checkpoint(project: Project, name: str = "given", **fields: Any) -> Checkpoint:
    return Checkpoint.objects.create(**{"project": project, "name": name, "kind": "base", "path": "/none"} | fields)


def start_worker(task: str, pk: int) -> subprocess.Popen[bytes]:
    """A process that supervises one job on the test's own database, as a Celery worker's would."""
    code = (
        "import django; django.setup()\n"
        "from training.services import supervision\n"
        f"supervision.{task}({pk}, patience=supervision.Patience(poll=0.2))"
    )
    settings = connection.settings_dict
    host = settings["HOST"] or settings["OPTIONS"]["host"]
    url = f"postgres://{settings['USER']}@/{settings['NAME']}?host={quote(host, safe='')}"
    environment = os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "webapp.settings"}
    return subprocess.Popen([sys.executable, "-c", code], cwd=BASE_DIR, env=environment)


def wait_for(condition: Callable[[], Any], *, seconds: float = 120) -> Any:
    """The first true value of `condition`. Fails the test where it does not come in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds:.0f} seconds in vain")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def read_log(run: Run) -> str:
    path: Path = run.directory / "log.txt"
    return path.read_text() if path.exists() else ""
