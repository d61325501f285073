"""Where Whetstone keeps its own files: everything lies under one folder, WHETSTONE_HOME (default: var/)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

# A Unix socket's path may hold about 100 bytes on the systems we run on, the names of the sockets included.
LONGEST_SOCKET_FOLDER = 75
# What a path may hold to stand in a connection string and in PostgreSQL's settings as it is.
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")


def home() -> Path:
    """The folder of all state: database, blobs, datasets, runs, broker, secrets."""
    return Path(os.environ.get("WHETSTONE_HOME") or BASE_DIR / "var").resolve()


def socket_folder() -> Path:
    """The folder of the local sockets: under home(), or a short one under /tmp where that path is deep or not plain."""
    folder = home() / "sockets"
    if len(os.fsencode(folder)) <= LONGEST_SOCKET_FOLDER and PLAIN_PATH.fullmatch(str(folder)):
        return folder
    digest = hashlib.sha256(os.fsencode(home())).hexdigest()[:12]
    # Not tempfile's folder: TMPDIR may differ between the two programs that have to find each other here.
    return Path("/tmp") / f"whetstone-{os.getuid()}-{digest}"  # noqa: S108


def make_socket_folder() -> Path:
    """Make socket_folder() where it is missing.

    Raises PermissionError where it belongs to somebody else or is open to others: /tmp is everybody's, and whoever
    owns this folder could answer in the database's place.
    """
    folder = socket_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o007:
        raise PermissionError(f"{folder} has to be a folder that only you can open: remove it and start again")
    return folder


def read_or_make_secret(name: str) -> str:
    """A random secret of this installation, made on first use in a file that only its owner can read."""
    path = home() / "secrets" / name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        # Written aside and linked into place: of two processes that start at once, both read the same secret.
        aside = path.with_name(f".{name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            aside.unlink()
    return path.read_text()
