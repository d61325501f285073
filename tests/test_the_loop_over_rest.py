"""Steps 2 to 8 of the loop with nothing but a token: import to comparison over REST, on the real product."""

from __future__ import annotations

import urllib.error
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from tests.serving.caller import Caller
from tests.serving.product import Product

pytestmark = [pytest.mark.xdist_group("product"), pytest.mark.timeout(1200)]


def test_the_loop_goes_round_over_rest(running_product: Product, shared_data: Path) -> None:
    caller = open_project(running_product)
    file = shared_data / "tau-bench" / "gpt-4o-airline.json"
    first = caller.upload("imports/", file, "one-import")
    assert caller.upload("imports/", file, "one-import")["id"] == first["id"]
    assert caller.wait(f"imports/{first['id']}/")["imported"] == 200
    assert len(caller.get("trajectories/?outcome=success")["results"]) == 84
    review(caller, 10)
    judge(caller, 12)
    sft = freeze(caller, {"kind": "sft", "held_out": 0.4})
    dpo = freeze(caller, {"kind": "dpo", "held_out": 0.4})
    short = {"batch_size": 2, "gradient_accumulation": 1}
    base, tuned = train(caller, sft, None, {"max_steps": 4, "max_length": 2048, **short})
    _, preferred = train(caller, dpo, tuned, {"max_steps": 2, "max_length": 4096, **short})
    compare(caller, [base, tuned, preferred], [sft, dpo])


def open_project(product: Product) -> Caller:
    script = (
        "from curation.models import User; from curation.services.projects import create_project; "
        "print(create_project(User.objects.get(username='admin'), name='By REST').slug)"
    )
    return Caller.make(product, product.run_command("shell", "--no-imports", "-c", script).stdout.split()[-1])


def review(caller: Caller, number: int) -> None:
    queue = caller.post("queues/", {"name": "Successes", "filter": {"outcome": "success"}, "order": "oldest"})
    assert queue["item_count"] == 84
    for count in range(number):
        held = caller.post(f"queues/{queue['id']}/next/")
        if count == 0:
            edit = {"kind": "edit", "step_id": 3, "message": "I check the reservation first."}
            correction = {"base": 0, "reason": "It skipped a check.", "edit": edit}
            assert caller.post(f"trajectories/{held['trajectory']}/revisions/", correction)["number"] == 1
            with pytest.raises(urllib.error.HTTPError, match="409"):
                caller.post(f"trajectories/{held['trajectory']}/revisions/", correction)
        answer = {"verdict": "accept", "grade": 1 + count % 5, "step_labels": [{"step": 3, "label": "correct"}]}
        caller.post(f"reservations/{held['id']}/review/", answer)
    assert len(caller.get("trajectories/?status=accepted")["results"]) == number


def judge(caller: Caller, number: int) -> None:
    """Judge one pair of each of `number` tasks, so that both sides of a split by task get some."""
    search = caller.post("pairs/propose/")
    assert caller.wait(f"pairs/searches/{search['id']}/")["proposed"] >= number
    proposed = {row["task"]: row["id"] for row in caller.get("pairs/?status=proposed")["results"]}
    for _, pk in sorted(proposed.items())[:number]:
        pair = caller.get(f"pairs/{pk}/")
        sides = {"left": pair["left"]["side"], "right": pair["right"]["side"]}
        judged = caller.post(f"pairs/{pk}/judgement/", {"answer": "left-much-better", **sides})
        assert judged["status"] == "confirmed"


def freeze(caller: Caller, recipe: dict[str, Any]) -> int:
    dataset = caller.post("datasets/", {"name": f"Over REST: {recipe['kind']}", "recipe": recipe})
    version = caller.post(f"datasets/{dataset['id']}/versions/")
    done = caller.wait(f"versions/{version['id']}/")
    assert len(done["content_hash"]) == 64
    assert done["stats"]["train"]["rows"] > 0
    assert done["stats"]["held_out"]["rows"] > 0
    return int(version["id"])


def train(caller: Caller, version: int, base: int | None, recipe: dict[str, Any]) -> tuple[int | None, int]:
    """Launch a run; the ids of the tiny base (where the run made it) and of the model that it trained."""
    values = {"preset": "quick-look", "recipe": recipe, "version": version, "base": base}
    run = caller.call("POST", "runs/", values, **{"Idempotency-Key": f"run-{version}"})
    assert caller.call("POST", "runs/", values, **{"Idempotency-Key": f"run-{version}"})["id"] == run["id"]
    done = caller.wait(f"runs/{run['id']}/")
    assert done["metrics"]
    kinds = {row["kind"]: row["id"] for row in caller.get("checkpoints/")["results"] if row["run"] == run["id"]}
    return kinds.get("base"), kinds[run["method"]]


def compare(caller: Caller, checkpoints: list[int | None], versions: list[int]) -> None:
    for version in versions:
        caller.post("evaluations/", {"checkpoints": checkpoints, "version": version})
    for row in caller.get("evaluations/")["results"]:
        caller.wait(f"evaluations/{row['id']}/")
    query = urllib.parse.urlencode({"checkpoint": checkpoints, "version": versions}, doseq=True)
    comparison = caller.get(f"compare/?{query}")
    assert comparison["differences"]
    held_out, preferred = comparison["versions"]
    losses = [figure["held_out"]["loss"] for figure in total_of(held_out)]
    assert losses[1] < losses[0]
    assert all(figure["preference"]["total"] > 0 for figure in total_of(preferred))
    assert all(len(line["actions"]) == len(checkpoints) and line["recorded"] for line in held_out["next_actions"])


def total_of(measured: dict[str, Any]) -> list[dict[str, Any]]:
    """The figures of all models over all bands."""
    figures: list[dict[str, Any]] = next(line["figures"] for line in measured["bands"] if line["band"] == "total")
    return figures
