"""What is killed during a run: the engine, the worker, PostgreSQL, then everything. No run and no review is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.serving.caller import Caller
from tests.serving.product import Product

pytestmark = [pytest.mark.xdist_group("product"), pytest.mark.timeout(900)]
LONG = {"max_steps": 5000, "save_steps": 2, "batch_size": 1, "max_length": 2048, "too_long": "keep_start"}


def wait_until(true: Callable[[], Any], what: str, *, within: float = 180) -> Any:
    end = time.monotonic() + within
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.3)
    raise AssertionError(f"not within {within} s: {what}")


def find_engines(product: Product) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "training.engine.sft" in line and any(str(product.home) in word for word in line):
            found.append(process)
    return found


def test_a_run_survives_whatever_is_killed(running_product: Product) -> None:
    caller = Caller.make(running_product, "demo-babyai")
    accepted = len(caller.get("trajectories/?status=accepted")["results"])
    dataset = next(row for row in caller.get("datasets/")["results"] if row["kind"] == "sft")
    version = caller.get(f"datasets/{dataset['id']}/versions/")[0]["id"]
    run = caller.post("runs/", {"version": version, "preset": "quick-look", "recipe": LONG, "name": "long"})
    address = f"runs/{run['id']}/"

    def read() -> dict[str, Any]:
        found: dict[str, Any] = caller.get(address)["run"]
        return found

    def passes(steps: int) -> bool:
        return bool(read()["state"] == "running" and read()["progress"] > steps)

    wait_until(lambda: passes(4), "the run makes its first updates")

    find_engines(running_product)[0].kill()
    failed = wait_until(lambda: read() if read()["state"] == "failed" else None, "the killed engine is noticed")
    assert "killed" in failed["error"]
    assert "checkpoint" in failed["advice"]
    caller.post(f"{address}resume/")
    wait_until(lambda: passes(failed["progress"]), "the resumed run passes the step where it was killed")

    engine = find_engines(running_product)[0].pid
    before = read()["progress"]
    running_product.find_program("--queues training").kill()
    wait_until(lambda: passes(before + 4), "the run goes on under the next worker")
    assert [process.pid for process in find_engines(running_product)] == [engine]

    before = read()["progress"]
    running_product.find_program("bin/postgres", str(running_product.home)).kill()
    wait_until(lambda: answers(caller), "PostgreSQL is back")
    wait_until(lambda: passes(before + 2), "the run goes on after PostgreSQL came back")
    assert [process.pid for process in find_engines(running_product)] == [engine]
    assert len(caller.get("trajectories/?status=accepted")["results"]) == accepted

    assert running_product.stop() == 0
    assert not find_engines(running_product)
    running_product.start()
    stopped = wait_until(lambda: read() if read()["state"] == "stopped" else None, "the stopped run is marked")
    caller.post(f"{address}resume/")
    wait_until(lambda: passes(stopped["progress"]), "the run goes on after a restart of everything")
    caller.post(f"{address}stop/")
    wait_until(lambda: read()["state"] == "stopped", "the run stops when asked")
    assert len(caller.get("trajectories/?status=accepted")["results"]) == accepted


def answers(caller: Caller) -> bool:
    try:
        return bool(caller.get(""))
    except OSError:
        return False
