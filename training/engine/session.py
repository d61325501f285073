"""One run of the engine: its status, heartbeat, stop request and end. Light: it is running before torch is imported."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Literal, TypeVar

from training.engine.failures import StopRequested, explain_failure
from training.run_dir import (
    BASE_DIR,
    DPOJob,
    EvaluateJob,
    RunDirError,
    SFTJob,
    State,
    Status,
    clear_stop,
    is_stop_requested,
    read_job,
    read_status,
    write_status,
)

HEARTBEAT_SECONDS = 2.0
LOCK_FILE = ".lock"

JobT = TypeVar("JobT", SFTJob, DPOJob, EvaluateJob)
End = Literal["done", "stopped"]


class Session:
    """Writes status.json from the main thread and, every two seconds, from a thread of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._status = Status(state="starting", pid=os.getpid(), heartbeat=time.time())
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._signalled = False
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def start(self) -> None:
        signal.signal(signal.SIGTERM, self._note_signal)
        signal.signal(signal.SIGINT, self._note_signal)
        self._write()
        self._thread.start()

    def enter(self, stage: str) -> None:
        """Name what is being done now. Raises StopRequested when a stop was asked for."""
        self.check_stop()
        print(stage, flush=True)
        self._update(state="running", stage=stage)

    def report_progress(self, step: int, steps: int) -> None:
        """Only noted: the heartbeat writes it."""
        with self._lock:
            self._status.step, self._status.steps = step, steps

    def is_stop_requested(self) -> bool:
        return self._signalled or is_stop_requested(self.directory)

    def check_stop(self) -> None:
        if self.is_stop_requested():
            raise StopRequested

    def end(self, state: State, *, error: str | None = None, advice: str | None = None) -> None:
        """Write the last status: no heartbeat follows it."""
        self._ended.set()
        self._thread.join()
        self._update(state=state, stage="", error=error, advice=advice)

    def _update(self, **changes: object) -> None:
        with self._lock:
            self._status = self._status.model_copy(update=changes)
        self._write()

    def _write(self) -> None:
        with self._lock:
            self._status.heartbeat = time.time()
            try:
                write_status(self.directory, self._status)
            except OSError as error:  # a full disk ends the run where it matters, not here
                print(f"status.json could not be written: {error}", file=sys.stderr, flush=True)

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            self._write()

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True


def run_session(job_type: type[JobT], work: Callable[[Session, JobT], End]) -> int:
    """Run `work` on the directory named on the command line; every end, good or bad, is in status.json.

    Returns the exit code: 0 when done or stopped, 1 when it failed, 2 when another engine is at work there. A run that
    is done is left as it is.
    """
    parser = argparse.ArgumentParser(description=f"Run a Whetstone job ({job_type.__name__}).")
    parser.add_argument("run_dir", type=Path, help="the run directory, with its job.json")
    directory = parser.parse_args().run_dir.resolve()
    if not directory.is_dir():
        parser.error(f"{directory} is not a directory")
    with (directory / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another engine is at work in this run directory.", file=sys.stderr)
            return 2
        return _run_locked(directory, job_type, work)


def _run_locked(directory: Path, job_type: type[JobT], work: Callable[[Session, JobT], End]) -> int:
    if _is_done(directory):
        print("This run is done already.")
        return 0
    set_environment()
    session = Session(directory)
    session.start()
    try:
        job = read_job(directory)
        if not isinstance(job, job_type):
            kind = job_type.model_fields["kind"].default
            raise RunDirError(f"job.json asks for {job.kind}, this is the engine for {kind}")
        session.check_stop()
        state: State = work(session, job)
    except StopRequested:
        state = "stopped"
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        cause, advice = explain_failure(error)
        print(f"Failed: {cause}\n{advice}", file=sys.stderr, flush=True)
        session.end("failed", error=cause, advice=advice)
        return 1
    clear_stop(directory)  # the request was obeyed, or came too late: starting again means going on
    session.end(state)
    print(state, flush=True)
    return 0


def _is_done(directory: Path) -> bool:
    try:
        status = read_status(directory)
    except RunDirError:
        return False
    return status is not None and status.state == "done"


def set_environment() -> None:
    """Before torch and transformers are imported: nothing is fetched, nothing is reported, no bars in the log."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "warning")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    if "WORLD_SIZE" not in os.environ:  # one process uses one GPU; TRL refuses more without a launcher
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[0]


def find_base(directory: Path, job: SFTJob | DPOJob | EvaluateJob) -> Path:
    """The model directory a job starts from; the run's own tiny model where it names none."""
    return Path(job.base.path) if job.base.path is not None else directory / BASE_DIR
