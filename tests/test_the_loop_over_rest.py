"""Steps 2 to 8 of the loop with nothing but a token: import to comparison over REST, on the real product."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.serving.product import Product

pytestmark = [pytest.mark.xdist_group("product"), pytest.mark.timeout(600)]


class Caller:
    """A client of one project's REST interface."""

    def __init__(self, product: Product, project: str, token: str) -> None:
        self.root = f"{product.url}/api/v1/projects/{project}/"
        self.headers = {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The parsed answer; None where it is empty. Raises HTTPError for an error."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  # the product's own address
            self.root + path,
            data=data,
            method=method,
            headers={"Content-Type": "application/json", **self.headers, **headers},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # as above
            content = answer.read()
        return json.loads(content) if content else None

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        return self.call("POST", path, {} if body is None else body)

    def upload(self, path: str, file: Path, key: str) -> Any:
        boundary = uuid.uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="source"\r\n\r\nstrong-model\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n'
            "Content-Type: application/json\r\n\r\n"
        )
        body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Idempotency-Key": key}
        return self.call("POST", path, body, **kind)

    def wait(self, path: str, *, within: float = 180) -> Any:
        """Wait for a job to be done and return it."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            job = self.get(path)
            state = job.get("state") or job["run"]["state"]
            if state == "done":
                return job
            assert state in ("queued", "running"), job
            time.sleep(0.5)
        raise AssertionError(f"{path} was not done within {within} s: {job}")


def test_the_loop_goes_round_over_rest(running_product: Product, shared_data: Path) -> None:
    caller = open_project(running_product)
    file = shared_data / "tau-bench" / "gpt-4o-airline.json"
    first = caller.upload("imports/", file, "one-import")
    assert caller.upload("imports/", file, "one-import")["id"] == first["id"]
    assert caller.wait(f"imports/{first['id']}/")["imported"] == 200
    assert len(caller.get("trajectories/?outcome=success")["results"]) == 84
    review(caller, 10)
    judge(caller, 24)
    sft = freeze(caller, {"kind": "sft", "held_out": 0.4})
    dpo = freeze(caller, {"kind": "dpo", "held_out": 0.4})
    base, tuned = train(caller, sft, None, {"max_steps": 4, "batch_size": 2, "max_length": 2048})
    _, preferred = train(caller, dpo, tuned, {"max_steps": 2, "batch_size": 2, "gradient_accumulation": 1, "max_length": 4096})
    compare(caller, [base, tuned, preferred], [sft, dpo])


def open_project(product: Product) -> Caller:
    script = (
        "from curation.models import User; from curation.services.projects import create_project; "
        "print(create_project(User.objects.get(username='admin'), name='By REST').slug)"
    )
    slug = product.run_command("shell", "--no-imports", "-c", script).stdout.split()[-1]
    scopes = ["reviewer", "curator", "engineer"]
    made = product.run_command("create_token", "admin", slug, "--name", "loop", "--scopes", *scopes)
    token = re.search(r"wst_\S+", made.stdout)
    assert token, made.stderr
    return Caller(product, slug, token[0])


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
    assert caller.post("pairs/propose/")["proposed"] >= number
    for _ in range(number):
        pair = caller.get("pairs/next/")
        sides = {"left": pair["left"]["side"], "right": pair["right"]["side"]}
        judged = caller.post(f"pairs/{pair['id']}/judgement/", {"answer": "left-much-better", **sides})
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
    comparison = json.dumps(caller.get(f"compare/?{query}"))
    for word in ("held_out_loss", "preference", "differences"):
        assert word in comparison
