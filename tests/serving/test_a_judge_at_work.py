"""A run of a judge on the real product: sent to the worker of its own, and its key in no file of the installation."""

from __future__ import annotations

import pytest

from tests.judges.endpoint import KEY, Answer, opinion, serve_endpoint
from tests.serving.caller import Caller
from tests.serving.product import Product

pytestmark = [pytest.mark.xdist_group("product"), pytest.mark.timeout(600)]


def test_a_judge_is_put_to_trajectories_by_its_own_worker(running_product: Product) -> None:
    caller = Caller.make(running_product, "demo-babyai")
    with serve_endpoint() as endpoint:
        endpoint.answer_with(
            Answer(500, {"error": {"message": f"overloaded, {KEY}"}}), Answer(body=opinion(), seconds=0.02)
        )
        order = {"name": "J", "base_url": endpoint.base_url, "model": "m", "instructions": "Judge.", "key": KEY}
        judge = caller.post("judges/", order)
        run = caller.post(f"judges/{judge['id']}/runs/", {"filter": {"outcome": "success", "band": "1"}})
        done = caller.wait(f"judge-runs/{run['id']}/")
    assert done["state"] == "done"
    assert done["progress"] == done["progress_total"] == done["asked"] + done["cached"] > 0
    assert len(endpoint.requests) == done["asked"] + 1
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert "curation.jobs.run_judge" in (running_product.home / "log" / "worker-judging.log").read_text()
    for path in running_product.home.rglob("*"):
        if path.is_file() and not path.is_relative_to(running_product.home / "postgres"):
            assert KEY.encode() not in path.read_bytes(), path
