"""Workers for tests to kill: a process of its own on the tests' database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from django.db import connection

from webapp.paths import BASE_DIR, socket_folder


def kill_worker_after(said: bytes, program: str, *arguments: str) -> None:
    """Run a program that says where it has got to, and kill it once it has said `said`, its first line."""
    name = connection.settings_dict["NAME"]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "webapp.settings",
        "DATABASE_URL": f"postgres://whetstone@/{name}?host={socket_folder()}",
    }
    command = [sys.executable, "-c", program, *arguments]
    worker = subprocess.Popen(command, cwd=BASE_DIR, env=environment, stdout=subprocess.PIPE)
    assert worker.stdout is not None
    line = worker.stdout.readline()
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    worker.stdout.close()
    assert line == said
