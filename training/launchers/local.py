"""Engines on this machine: each a process in a session of its own, so that it outlives the worker that started it.

An engine is found again by its command line, which names its run directory: a process that was given the number of
a dead engine is never taken for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
from django.conf import settings

from training.run_dir import LOG_FILE, Kind

# All that an engine gets of the environment: no secret of the product is among it.
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_HOME",
    "NVIDIA_VISIBLE_DEVICES",
    "PYTORCH_CUDA_ALLOC_CONF",
)


@dataclass(frozen=True)
class Engine:
    """A running engine; `child` where this process started it, and so learns its exit code."""

    process: psutil.Process
    child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_alive(self) -> bool:
        if self.child is not None:
            return self.child.poll() is None
        try:
            return self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def wait(self, seconds: float) -> None:
        """Return when it has ended, or after so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired, psutil.TimeoutExpired):
            if self.child is not None:
                self.child.wait(seconds)
            else:
                self.process.wait(seconds)

    @property
    def exit_code(self) -> int | None:
        """Of an ended engine; negative: the signal that killed it. None where it was not our child."""
        return None if self.child is None else self.child.poll()

    def terminate(self) -> None:
        """Ask it to save a checkpoint and stop, as the stop file does."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it with everything that it started."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)


def start_engine(kind: Kind, directory: Path) -> Engine:
    """Start the engine of a prepared run directory. Raises OSError."""
    with (directory / LOG_FILE).open("ab") as log:
        child = subprocess.Popen(
            _command(kind, directory),
            cwd=settings.BASE_DIR,
            env=build_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Engine(psutil.Process(child.pid), child)


def find_engine(kind: Kind, directory: Path) -> Engine | None:
    """The engine that is at work on a run directory, whoever started it."""
    arguments = _command(kind, directory)[1:]
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[1:] == arguments:
                return Engine(process)
    return None


def build_environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    threads = os.environ.get("OMP_NUM_THREADS") or str(os.cpu_count() or 1)
    return passed_on | {"OMP_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}


def _command(kind: Kind, directory: Path) -> list[str]:
    return [sys.executable, "-m", f"training.engine.{kind}", str(directory)]
