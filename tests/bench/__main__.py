"""Measurements against a floor taken in the same run: `python -m tests.bench [NAME ...]`, one JSON line per figure."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django  # the settings are chosen first

django.setup()

from django.core.management import call_command  # noqa: E402 the applications are loaded first

from tests.bench import exporting, fitting, importing, memory, previewing, reading, reviewing  # noqa: E402
from webapp.paths import BASE_DIR, home  # noqa: E402
from webapp.postgres import connect  # noqa: E402

BENCHES = {
    "difficulty": fitting.measure,
    "export": exporting.measure,
    "import": importing.measure,
    "memory": memory.measure,
    "preview": previewing.measure,
    "reading": reading.measure,
    "review": reviewing.measure,
}


@contextmanager
def own_database() -> Iterator[None]:
    """A PostgreSQL of this run alone, as the product starts it, in a temporary home."""
    server = subprocess.Popen(
        [sys.executable, "-m", "webapp.postgres"],
        cwd=BASE_DIR,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        connect(timeout=60).close()
        call_command("migrate", verbosity=0)
        yield
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
        shutil.rmtree(home(), ignore_errors=True)


def main(names: list[str]) -> None:
    """Raises SystemExit for a name that is no bench."""
    unknown = sorted(set(names) - BENCHES.keys())
    if unknown:
        raise SystemExit(f"There is no bench {unknown[0]!r}. Known: {', '.join(BENCHES)}.")
    with own_database():
        for name in names or BENCHES:
            for figure in BENCHES[name]():
                line = {"bench": name} | asdict(figure) | {"ratio": round(figure.ratio, 3)}
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
