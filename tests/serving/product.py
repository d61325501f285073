"""The real product as a subprocess of the tests, with its own WHETSTONE_HOME, port and PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from webapp.paths import BASE_DIR

LONGEST_START = 180.0
LONGEST_STOP = 60.0


def find_free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Product:
    """`python -m webapp.serve` under a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = find_free_port()
        self.url = f"http://localhost:{self.port}"
        self.output_path = home.with_name("output.txt")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """A user's environment: nothing of the tests' settings."""
        ours = ("WHETSTONE_", "DJANGO_", "PYTEST_", "DATABASE_URL", "CELERY_", "SECRET_KEY", "GRANIAN_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        ours_here = {"WHETSTONE_JUDGE_HOSTS": "127.0.0.1"}  # the tests' own endpoints
        return {**kept, **ours_here, "WHETSTONE_HOME": str(self.home), "PORT": str(self.port)}

    @property
    def output(self) -> str:
        """What the terminal shows, of this start only."""
        return self.output_path.read_text() if self.output_path.exists() else ""

    @property
    def admin_password(self) -> str:
        """The first account's password."""
        return (self.home / "secrets" / "admin_password").read_text().strip()

    def start(self) -> float:
        """Start and wait until the product says where it is; return the seconds that took."""
        began = time.monotonic()
        with self.output_path.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "webapp.serve"],
                cwd=BASE_DIR,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        while self.url not in self.output:
            if self.process.poll() is not None or time.monotonic() - began > LONGEST_START:
                self.stop()
                raise RuntimeError(f"the product did not start:\n{self.output}")
            time.sleep(0.1)
        return time.monotonic() - began

    def stop(self) -> int:
        """Press Ctrl-C and wait for the end; return the exit status. What does not stop is killed."""
        if self.process is None:
            return 0
        processes = self.list_processes()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(LONGEST_STOP)
        except subprocess.TimeoutExpired:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            raise

    def run_command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a manage.py command beside the running product."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=BASE_DIR, env=self.environment, capture_output=True, text=True, timeout=300)

    def list_processes(self) -> list[psutil.Process]:
        """The product's processes, the starting one included."""
        if self.process is None or self.process.poll() is not None:
            return []
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def find_program(self, *words: str) -> psutil.Process:
        """The main process of the program in whose command line all these words stand."""
        for process in self.list_processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                line = " ".join(process.cmdline())
                if all(word in line for word in words):
                    return process
        raise LookupError(f"no process runs {' '.join(words)}")
