"""What all tests share: a PostgreSQL of their own, the browser, the real data, and the real product running."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.serving.product import Product
from webapp.paths import BASE_DIR, home
from webapp.postgres import connect

PRODUCT_TESTS = ("tests/serving/", "tests/browser/test_the_whole_loop.py", "tests/test_the_loop_over_rest.py")
SERVER = pytest.StashKey[subprocess.Popen[bytes]]()
# Of what the tests write, nothing has to survive a power cut.
SERVER_OPTIONS = ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"]
BROWSER_NAMES = ["chromium", "chromium-browser", "google-chrome"]
BROWSER_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_configure(config: pytest.Config) -> None:
    """Start the tests' PostgreSQL once, in pytest's main process; nobody waits for it before the first database."""
    if hasattr(config, "workerinput"):
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a TERM clears away as Ctrl-C does
    with (home() / "postgres.log").open("wb") as log:
        config.stash[SERVER] = subprocess.Popen(
            [sys.executable, "-m", "webapp.postgres", *SERVER_OPTIONS],
            cwd=BASE_DIR,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C stops the tests first
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the tests' PostgreSQL."""
    server = config.stash.get(SERVER, None)
    if server is None:
        return
    server.send_signal(signal.SIGINT)
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Wait for the server before the test database is made in it."""
    try:
        connect(timeout=60).close()
    except psycopg.OperationalError as error:
        log = (home() / "postgres.log").read_text(errors="replace")
        raise RuntimeError(f"the tests' PostgreSQL does not answer; its log:\n{log[-2000:]}") from error


class ProductOnOneWorker(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Spreads files over the workers, but gives all that run the whole product to one: two would starve each other.

    By path, because the mark xdist_group has no effect in this pair of pytest and xdist.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "product" if nodeid.startswith(PRODUCT_TESTS) else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ProductOnOneWorker:
    return ProductOnOneWorker(config, log)


def give_up(reason: str) -> NoReturn:
    """Skip for a reason of this machine, where a person runs the tests; fail where CI does, which has to have it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real trajectories beside the repository."""
    folder = BASE_DIR.parent / "shared" / "data"
    if not folder.is_dir():
        give_up(f"there is no real data in {folder}")
    return folder


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser: CHROMIUM, or the first that is installed."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSER_NAMES)), None)
    if not found:
        give_up("there is no Chromium on PATH and none in CHROMIUM")
    return found


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], chromium_path: str) -> dict[str, Any]:
    """Playwright's browser: the system's, headless, talking to nobody but the product."""
    return {**browser_type_launch_args, "executable_path": chromium_path, "args": BROWSER_OPTIONS}


@pytest.fixture(scope="session")
def running_product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The whole real product, started once: its web, workers, beat and PostgreSQL. For tests named in PRODUCT_TESTS."""
    product = Product(tmp_path_factory.mktemp("product") / "home")
    product.start()
    yield product
    product.stop()
