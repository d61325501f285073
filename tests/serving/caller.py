"""A client of the REST interface of the product that the tests started."""

from __future__ import annotations

import json
import re
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from tests.serving.product import Product


class Caller:
    """A client of one project's REST interface."""

    def __init__(self, product: Product, project: str, token: str) -> None:
        self.root = f"{product.url}/api/v1/projects/{project}/"
        self.headers = {"Authorization": f"Bearer {token}"}

    @classmethod
    def make(cls, product: Product, project: str) -> Caller:
        """A caller with a new token of the first account, with every scope that the loop needs."""
        scopes = ["reviewer", "curator", "engineer"]
        made = product.run_command("create_token", "admin", project, "--name", "tests", "--scopes", *scopes)
        token = re.search(r"wst_\S+", made.stdout)
        assert token, made.stderr
        return cls(product, project, token[0])

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

    def wait(self, path: str, *, within: float = 360) -> Any:
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
