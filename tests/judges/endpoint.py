"""A real HTTP server that answers as an OpenAI-compatible endpoint does, or as badly as a test wants."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-the-secret-of-this-judge"


@dataclass
class Answer:
    """What is sent back; `seconds` later."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0
    breaks_off: bool = False


def completion(content: Any, *, tokens: tuple[int, int] | None = (100, 10), **message: Any) -> dict[str, Any]:
    """A chat completion with this content, as JSON unless it is text."""
    text = content if isinstance(content, str) else json.dumps(content)
    finish = message.pop("finish_reason", "stop")
    plain: dict[str, Any] = {
        "choices": [{"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}]
    }
    if tokens:
        plain["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    return plain


def opinion(verdict: str = "accept", score: float = 0.9, **more: Any) -> dict[str, Any]:
    return completion({"reason": "It does what was asked.", "verdict": verdict, "score": score, **more})


Script = Callable[[int, dict[str, Any]], Answer]
"""The answer to the so-manieth request, counted from 0, and its body."""


class FakeEndpoint:
    """What was asked, and how it is answered. `most_at_once` is how many requests were open at the same time."""

    def __init__(self, root: str) -> None:
        self.base_url = f"{root}/v1"
        self.script: Script = lambda number, body: Answer(body=opinion())
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.times: list[float] = []
        self.most_at_once = self._open = 0
        self.lock = threading.Lock()

    def answer_with(self, *answers: Answer) -> None:
        """These, one after the other; the last one from then on."""
        self.script = lambda number, body: answers[min(number, len(answers) - 1)]

    def take(self, handler: BaseHTTPRequestHandler) -> Answer:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            number = len(self.requests)
            self.requests.append(body)
            self.headers.append(dict(handler.headers))
            self.paths.append(handler.path)
            self.times.append(time.monotonic())
            self._open += 1
            self.most_at_once = max(self.most_at_once, self._open)
        answer = self.script(number, body)
        time.sleep(answer.seconds)
        with self.lock:
            self._open -= 1
        return answer

    @property
    def asked_about(self) -> list[str]:
        """What the user's messages said."""
        return [request["messages"][1]["content"] for request in self.requests]


@contextmanager
def serve_endpoint() -> Iterator[FakeEndpoint]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            answer = endpoint.take(self)
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + (10 if answer.breaks_off else 0)))
            self.end_headers()
            self.wfile.write(body)
            if answer.breaks_off:
                self.close_connection = True

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Whoever gave up, or was killed, does not take the answer any more."""

    server = Server(("127.0.0.1", 0), Handler)
    endpoint = FakeEndpoint(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
