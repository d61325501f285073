"""`python -m webapp.serve`: start all of Whetstone in the foreground, and stop all of it on Ctrl-C.

PORT (8000) and WHETSTONE_HOST (127.0.0.1) say where the web listens, WHETSTONE_HOME (var/) where everything is kept,
and DATABASE_URL names a PostgreSQL to use in place of the embedded one. Exit status 0 after a stop that was asked for.
"""

from __future__ import annotations

import errno
import fcntl
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil

from webapp.paths import BASE_DIR, home, make_socket_folder, socket_folder
from webapp.postgres import check_version
from webapp.supervision import Process, Supervisor, find_engines, kill_group, stop_engines, stop_leftovers

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LONGEST_WAIT_FOR_WEB = 60.0
PATIENCE_WITH_DATABASE = 10.0  # while it dies at once, time after time
PAUSE = 0.2
FIRST_ACCOUNT_FILE = "secrets/admin_password"  # its password; written by `manage.py bootstrap`


class Stop:
    """Whether somebody asked for a stop, by Ctrl-C, `kill`, or closing the terminal."""

    def __init__(self) -> None:
        self.asked = False
        for number in STOP_SIGNALS:
            signal.signal(number, self.ask)

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True


def say(text: str) -> None:
    """A line to the terminal."""
    print(text, flush=True)


def read_address() -> tuple[str, int]:
    """Where to listen; SystemExit where PORT is no port."""
    port = os.environ.get("PORT") or "8000"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise SystemExit(f"PORT={port} is not a port: it has to be a number from 1 to 65535.")
    # Not plain HOST: some shells set that to the machine's name, and the web would be open to the network.
    return os.environ.get("WHETSTONE_HOST") or "127.0.0.1", int(port)


def check_port(host: str, port: int) -> None:
    """SystemExit where the web could not listen there."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SystemExit(f"Port {port} is taken by another program. Choose another: make run PORT=8001") from error
        raise SystemExit(f"Cannot listen on {host}, port {port}: {error.strerror}.") from error


@contextmanager
def hold_home(address: str) -> Iterator[None]:
    """Hold WHETSTONE_HOME for us alone; SystemExit where another start of it runs, saying where."""
    home().mkdir(parents=True, exist_ok=True)
    with (home() / "serve.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise SystemExit(f"Whetstone runs already in {home()}: {lock.read()}") from None
        lock.truncate(0)
        lock.write(f"{address}, process {os.getpid()}")
        lock.flush()
        yield


def shorten(path: Path) -> Path:
    """The path the way a user in this folder would write it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def log_path(name: str) -> Path:
    """The log of a program."""
    return shorten(home() / "log" / f"{name}.log")


def describe_sign_in() -> str:
    """How to sign in: as the first account while its password is still in its file."""
    password = home() / FIRST_ACCOUNT_FILE
    return f"sign in as admin, password in {shorten(password)}" if password.exists() else "sign in with your account"


def show_end_of_log(name: str) -> None:
    """Print the last lines of a program's log, for a start that failed."""
    path = log_path(name)
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    say("\n".join(["", f"The end of {path}:", *lines[-15:]]))


def does_web_answer(host: str, port: int) -> bool:
    """Whether the web answers at all, and not with an error of its own."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 compared, not listened on
    connection = http.client.HTTPConnection(target, port, timeout=5)
    try:
        connection.request("GET", "/", headers={"Host": "localhost"})
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_for(done: Callable[[], bool], *, stop: Stop, supervisor: Supervisor, seconds: float) -> bool:
    """Wait until `done`; False where a stop was asked for, the supervisor died or the time is over."""
    deadline = time.monotonic() + seconds
    while not done():
        if stop.asked or not supervisor.is_alive() or time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def prepare(supervisor: Supervisor, *, stop: Stop) -> bool:
    """Run webapp.prepare to its end, its words going to the terminal; False where it failed or had to be stopped."""
    # In a session of its own: Ctrl-C reaches us, and it ends by our word, without a traceback.
    process = subprocess.Popen([sys.executable, "-m", "webapp.prepare"], cwd=BASE_DIR, start_new_session=True)
    patience = time.monotonic() + PATIENCE_WITH_DATABASE
    blamed = None
    try:
        while process.poll() is None and not stop.asked and not blamed:
            time.sleep(PAUSE)
            database = supervisor.list_processes().get("postgres")
            if database is None or database.state == "RUNNING":
                patience = time.monotonic() + PATIENCE_WITH_DATABASE
            if not supervisor.is_alive():
                blamed = "supervisord"
            elif time.monotonic() > patience:
                blamed = "postgres"
    finally:
        process.terminate()
        process.wait()
    if blamed:
        show_end_of_log(blamed)
    return process.returncode == 0


def start(supervisor: Supervisor, *, host: str, port: int, stop: Stop) -> bool:
    """Bring everything up in order; False where that failed, having said why, or a stop was asked for."""
    if not prepare(supervisor, stop=stop):
        return False
    supervisor.start_product()
    if wait_for(lambda: does_web_answer(host, port), stop=stop, supervisor=supervisor, seconds=LONGEST_WAIT_FOR_WEB):
        return True
    if not stop.asked:
        say("The web does not answer.")
        show_end_of_log("web")
    return False


def report_changes(before: dict[str, Process], now: dict[str, Process], *, down: set[str]) -> None:
    """Say what died and what runs again, and clear away what the dead left behind. `down` is kept between calls."""
    for name, process in now.items():
        old = before.get(name, process)
        if old.pid and process.pid != old.pid:
            kill_group(old.pid)
            if name not in down:
                down.add(name)
                say(f"{name} stopped unexpectedly and is started again; its log: {log_path(name)}")
        if name in down and process.state == "RUNNING":
            down.remove(name)
            say(f"{name} runs again")
        if process.state == "FATAL" and old.state != "FATAL":
            say(f"{name} could not be started again and is given up; its log: {log_path(name)}")


def watch(supervisor: Supervisor, *, stop: Stop) -> bool:
    """Report what happens until a stop is asked for; False where the supervisor itself died."""
    before = supervisor.list_processes()
    down: set[str] = set()
    while not stop.asked:
        if not supervisor.is_alive():
            say(f"The supervisor stopped unexpectedly; its log: {log_path('supervisord')}")
            return False
        if now := supervisor.list_processes():
            report_changes(before, now, down=down)
            before = now
        time.sleep(PAUSE)
    return True


def main() -> int:
    """Start, watch, stop."""
    os.umask(0o077)  # whatever the programs write is nobody else's business
    host, port = read_address()
    url = f"http://localhost:{port}"
    embedded_database = not os.environ.get("DATABASE_URL")
    with hold_home(url):
        if embedded_database:
            check_version()
        make_socket_folder()
        if stop_leftovers():
            say("Stopped what an earlier start had left running.")
        check_port(host, port)
        stop = Stop()
        say("Whetstone is starting ...")
        supervisor = Supervisor(host=host, port=port, embedded_database=embedded_database)
        try:
            good = start(supervisor, host=host, port=port, stop=stop)
            if good:
                say(f"Whetstone is at {url} · {describe_sign_in()} · Ctrl-C stops it")
                good = watch(supervisor, stop=stop)
        finally:
            say("Whetstone is stopping ...")
            engines = find_engines()
            for engine in engines:
                with suppress(psutil.Error):
                    engine.terminate()  # it saves a checkpoint; the run is resumed from there
            supervisor.stop()
            stop_engines(engines)
            with suppress(OSError):  # something is left in it
                socket_folder().rmdir()
        say("Stopped." if good or stop.asked else "Stopped after an error.")
        return 0 if good or stop.asked else 1


if __name__ == "__main__":
    sys.exit(main())
