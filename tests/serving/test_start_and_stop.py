"""The real product is started, hurt, stopped and started again: one product for all of it, the tests in order."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import psycopg
import pytest

from tests.serving.product import LONGEST_STOP, Product, find_free_port
from webapp.paths import BASE_DIR


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product whose home is deeper than a socket's path may be, and named to break every syntax it is put in."""
    product = Product(tmp_path_factory.mktemp("serving") / ("deep" * 50) / 'it\'s 100% "mine"; #1, ä&b')
    product.home.parent.mkdir()
    product.start()
    yield product
    product.stop()


def fetch_status(product: Product) -> int:
    """The status of the front page; 0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=10)
    try:
        connection.request("GET", "/sign-in/")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def wait_until(done: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.1)


def connect_to_database(product: Product) -> psycopg.Connection:
    """Connect to the product's own database, whose socket is found by its server's command line."""
    line = product.find_program("postgres", "-D").cmdline()
    folder = line[line.index("-k") + 1]
    return psycopg.connect(dbname="whetstone", user="whetstone", host=folder, port=5432, autocommit=True)


def does_database_answer(product: Product) -> bool:
    try:
        connect_to_database(product).close()
    except (LookupError, psycopg.OperationalError):
        return False
    return True


def start_another(**changes: str) -> subprocess.CompletedProcess[str]:
    """Start the product once more, in this environment, where it has to give up."""
    command = [sys.executable, "-m", "webapp.serve"]
    return subprocess.run(command, cwd=BASE_DIR, env={**os.environ, **changes}, capture_output=True, text=True)


def test_the_first_start_says_where_to_sign_in(product: Product) -> None:
    assert fetch_status(product) == 200
    assert product.output.splitlines()[-1].startswith(f"Whetstone is at {product.url} · sign in as admin, password in ")
    assert product.admin_password not in (product.home / "log" / "web.log").read_text()


def test_secrets_and_data_are_their_owners_alone(product: Product) -> None:
    assert stat.S_IMODE((product.home / "secrets").stat().st_mode) == 0o700
    for secret in (product.home / "secrets").iterdir():
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600, secret
    for path in product.home.iterdir():
        # Where root starts it, the home can be passed (not listed), for the database's own user.
        assert not path.stat().st_mode & 0o007, path
    assert not product.home.stat().st_mode & 0o006


def test_only_the_web_listens_on_a_port(product: Product) -> None:
    own = {process.pid for process in product.list_processes()}
    listening = [found for found in psutil.net_connections("inet") if found.pid in own and found.status == "LISTEN"]
    assert {tuple(found.laddr) for found in listening} == {("127.0.0.1", product.port)}


@pytest.mark.parametrize(
    ("name", "words"),
    [("postgres", ["postgres", "-D"]), ("web", ["granian"]), ("worker-training", ["celery", "--queues training"])],
)
def test_what_is_killed_comes_back(product: Product, name: str, words: list[str]) -> None:
    killed = product.find_program(*words)
    left = killed.children(recursive=True)
    killed.kill()
    wait_until(lambda: f"{name} runs again" in product.output, "the program runs again")
    wait_until(lambda: does_database_answer(product) and fetch_status(product) == 200, "database and web answer")
    assert product.find_program(*words).pid != killed.pid
    _, alive = psutil.wait_procs(left, timeout=10)
    assert alive == []


def test_a_taken_port_is_said_and_nothing_is_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = start_another(PORT=str(port))
    assert done.returncode == 1
    assert f"Port {port} is taken by another program" in done.stderr


def test_a_port_that_is_none_is_said() -> None:
    done = start_another(PORT="80a")
    assert done.returncode == 1
    assert "PORT=80a is not a port" in done.stderr


def test_a_second_start_of_the_same_home_is_refused(product: Product) -> None:
    done = start_another(WHETSTONE_HOME=str(product.home), PORT=str(find_free_port()))
    assert done.returncode == 1
    assert f"Whetstone runs already in {product.home}: {product.url}" in done.stderr
    assert fetch_status(product) == 200


def test_ctrl_c_stops_all_of_it_and_the_database_cleanly(product: Product) -> None:
    processes = product.list_processes()
    assert len(processes) > 8
    # A moment before, the web is killed: what it leaves behind has nobody any more who would stop it.
    product.find_program("granian").kill()
    began = time.monotonic()
    assert product.stop() == 0
    assert time.monotonic() - began < LONGEST_STOP / 2
    assert [process for process in processes if process.is_running()] == []
    assert product.output.splitlines()[-1] == "Stopped."
    assert "database system is shut down" in (product.home / "log" / "postgres.log").read_text().splitlines()[-1]


def test_the_next_start_has_lost_nothing_and_does_nothing_twice(product: Product) -> None:
    password = product.admin_password
    collected = (product.home / "static" / "staticfiles.json").stat().st_mtime_ns
    product.start()
    assert (product.home / "static" / "staticfiles.json").stat().st_mtime_ns == collected
    assert product.admin_password == password
    with connect_to_database(product) as connection:
        assert connection.execute("SELECT count(*) FROM curation_user WHERE username = 'admin'").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM curation_project").fetchone() == (1,)


def test_after_a_kill_of_the_supervisor_itself_the_next_start_clears_up(product: Product) -> None:
    before = product.list_processes()
    for pid in (before[0].pid, product.find_program("supervisord").pid):
        os.kill(pid, signal.SIGKILL)
    assert product.process
    product.process.wait()
    product.start()
    assert "Stopped what an earlier start had left running." in product.output
    assert [process for process in before if process.is_running()] == []
    assert fetch_status(product) == 200
