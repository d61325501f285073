"""The supervisor of the product's processes: supervisord, its configuration, and what it says about them.

supervisord starts the programs, starts again what died (with a growing pause where it dies at once), turns their
logs over, and stops them in order, the database last. It does not see what a killed program leaves behind in its
process group, nor what is left where it was killed itself: that is cleared away here.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shlex
import signal
import subprocess
import sys
import xmlrpc.client
from pathlib import Path
from typing import Any, NamedTuple, cast

import psutil
from supervisor.xmlrpc import SupervisorTransport

from webapp.paths import BASE_DIR, home, socket_folder

# supervisord's working folder is the home, and other paths come from the environment: none has to be written in the
# file's own syntax.
CONFIGURATION = """\
[supervisord]
nodaemon = true
silent = true
logfile = log/supervisord.log
logfile_maxbytes = 1MB
logfile_backups = 2
pidfile = supervisord.pid
{user}
[unix_http_server]
file = %(ENV_WHETSTONE_SOCKETS)s/control
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[group:product]
programs = {product}
priority = 20
"""
PROGRAM = """
[program:{name}]
command = %(ENV_WHETSTONE_PYTHON)s -m {command}
directory = %(ENV_WHETSTONE_CODE)s
priority = 10
autostart = {autostart}
autorestart = true
startretries = 100
stopsignal = {stop_signal}
stopwaitsecs = {stop_seconds}
killasgroup = true
redirect_stderr = true
stdout_logfile = log/{name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 5
"""
_WORKER = "celery -A webapp.celery worker --loglevel INFO --without-gossip --without-mingle --without-heartbeat"
LONGEST_SAVE = 15.0  # seconds for an engine to save its checkpoint


class Program(NamedTuple):
    """A program: its module and arguments, and the signal that stops it, with the seconds it may take."""

    command: str
    stop_signal: str
    stop_seconds: int


# Only the program itself gets its stop signal: it knows how to stop its own processes. QUIT is Celery's soft
# shutdown: a job has a moment to finish, then it is dropped for the sweeper to send again. An engine that a job
# started runs in a session of its own, out of reach of all this.
POSTGRES = Program("webapp.postgres", "INT", 20)
PRODUCT = {
    "web": Program(
        "granian webapp.wsgi:application --interface wsgi --no-ws --workers 2 --blocking-threads 8 --backpressure 128"
        " --workers-kill-timeout 5",
        "TERM",
        8,
    ),
    "worker-default": Program(f"{_WORKER} --queues default --concurrency 2 --hostname default@%%h", "QUIT", 8),
    # Runs of judges wait for answers nearly all the time: threads, and none of the others' processes.
    "worker-judging": Program(
        f"{_WORKER} --queues judging --pool threads --concurrency 8 --hostname judging@%%h", "QUIT", 8
    ),
    "worker-training": Program(f"{_WORKER} --queues training --concurrency 1 --hostname training@%%h", "QUIT", 8),
    "beat": Program("celery -A webapp.celery beat --loglevel INFO --pidfile=", "TERM", 5),
}


class Process(NamedTuple):
    """What supervisord says about a program: the name of its state, and its process number, 0 where it has none."""

    state: str
    pid: int


def write_configuration(*, embedded_database: bool) -> Path:
    """Write supervisord's configuration and return its path."""
    user = "user = root\n" if os.geteuid() == 0 else ""  # else it warns that root was not meant
    parts = [CONFIGURATION.format(product=",".join(PRODUCT), user=user)]
    programs = {"postgres": POSTGRES, **PRODUCT} if embedded_database else PRODUCT
    for name, program in programs.items():
        parts.append(PROGRAM.format(name=name, autostart=str(name == "postgres").lower(), **program._asdict()))
    path = home() / "supervisord.conf"
    path.write_text("".join(parts))
    return path


class Supervisor:
    """A running supervisord. `embedded_database` says whether PostgreSQL is one of its programs."""

    def __init__(self, *, host: str, port: int, embedded_database: bool) -> None:
        (home() / "log").mkdir(exist_ok=True)
        (socket_folder() / "control").unlink(missing_ok=True)  # a killed one leaves it, and the next complains of it
        configuration = write_configuration(embedded_database=embedded_database)
        environment = {
            **os.environ,
            "WHETSTONE_HOME": str(home()),
            "WHETSTONE_CODE": str(BASE_DIR),
            "WHETSTONE_SOCKETS": str(socket_folder()),
            "WHETSTONE_PYTHON": shlex.quote(sys.executable),
            "GRANIAN_HOST": host,
            "GRANIAN_PORT": str(port),
            "PYTHONUNBUFFERED": "1",
        }
        # A session of its own: Ctrl-C in the terminal reaches us only, and we stop the programs in order. Its number
        # is also how stop_leftovers() knows what belongs to it.
        self.process = subprocess.Popen(
            # -P: no module comes from the working folder.
            [sys.executable, "-P", "-m", "supervisor.supervisord", "--configuration", configuration.name],
            cwd=configuration.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.transport = SupervisorTransport(None, None, f"unix://{socket_folder()}/control")
        self.control: Any = xmlrpc.client.ServerProxy("http://localhost", transport=self.transport).supervisor

    def is_alive(self) -> bool:
        """Whether supervisord itself runs."""
        return self.process.poll() is None

    def list_processes(self) -> dict[str, Process]:
        """Every program's state; empty while supervisord does not answer."""
        try:
            rows = cast("list[dict[str, Any]]", self.control.getAllProcessInfo())
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            self.transport.close()  # a connection that failed once is of no use again
            return {}
        return {row["name"]: Process(row["statename"], row["pid"]) for row in rows}

    def start_product(self) -> None:
        """Start everything but the database, without waiting for it."""
        self.control.startProcessGroup("product", False)

    def stop(self) -> None:
        """Stop all programs in order, the database last, and supervisord; return when they are gone."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        longest = max(program.stop_seconds for program in PRODUCT.values()) + POSTGRES.stop_seconds
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(longest + 10)
        stop_session(self.process.pid, patience=1)  # what a killed program left behind, if it was killed just now


def kill_group(pid: int) -> None:
    """Kill what a dead program left in its process group: Granian's worker would go on answering, an old one."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def stop_session(session: int, *, patience: float) -> int:
    """Stop what is left of a supervisord's session, after `patience` seconds by force; return how many that were.

    Engines lead sessions of their own and are not among them.
    """
    left = []
    for process in psutil.process_iter():
        # The number may be another session's by now; the environment cannot be.
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getsid(process.pid) == session and process.environ().get("WHETSTONE_HOME") == str(home()):
                left.append(process)
    # supervisord alone where it lives: it stops the others in order. INT is a clean stop for each of them.
    for process in [process for process in left if process.pid == session] or left:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(left, timeout=patience)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    return len(left)


def stop_leftovers() -> int:
    """Stop what an earlier start left running that was killed; return how many processes that were."""
    record = home() / "supervisord.pid"  # supervisord removes it when it stops as it should
    try:
        session = int(record.read_text())
    except (FileNotFoundError, ValueError):
        return 0
    stopped = stop_session(session, patience=20)
    record.unlink(missing_ok=True)
    return stopped


def find_engines() -> list[psutil.Process]:
    """The training engines at work on runs of this home: each in a session of its own, so no supervisor has them."""
    runs = home() / "runs"
    engines = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            if len(line) == 4 and line[2].startswith("training.engine.") and Path(line[3]).parent == runs:
                engines.append(process)
    return engines


def stop_engines(engines: list[psutil.Process]) -> None:
    """Wait for engines that were asked to save a checkpoint and stop; whatever does not is killed."""
    _, left = psutil.wait_procs(engines, timeout=LONGEST_SAVE)
    for engine in left:
        kill_group(engine.pid)
