"""What is done before the web starts: migrations, static files, the first account (`python -m webapp.prepare`)."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import django
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError

from webapp.paths import home
from webapp.postgres import connect

# A server that was killed reads its log again before it answers; that takes its time after a bulk import.
LONGEST_START = 120.0


def fingerprint_static_files() -> str:
    """A digest of the names, sizes and times of all static files, wherever they come from."""
    from django.contrib.staticfiles.finders import get_finders

    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list(None):
            found = os.stat(storage.path(name))
            digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def collect_static_files() -> None:
    """Hash and compress the static files into STATIC_ROOT, unless they are the ones collected last time."""
    stamp = home() / "static.fingerprint"
    fingerprint = fingerprint_static_files()
    manifest = Path(settings.STATIC_ROOT) / "staticfiles.json"
    if manifest.exists() and stamp.exists() and stamp.read_text() == fingerprint:
        return
    call_command("collectstatic", clear=True, interactive=False, verbosity=0)
    stamp.write_text(fingerprint)


def main() -> None:
    """Prepare database, static files and first account; every part does nothing where nothing is to do."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    django.setup()
    if not os.environ.get("DATABASE_URL"):
        connect(timeout=LONGEST_START).close()
    try:
        call_command("migrate", interactive=False, verbosity=0)
    except OperationalError as error:
        raise SystemExit(f"The database does not answer: {error}") from error
    collect_static_files()
    try:
        call_command("bootstrap")
    except CommandError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
