"""Files fetched from an address: a real server, and everything that must not be reached through it."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from curation.models import Upload
from curation.services import uploads
from curation.services.fetching import FetchError, check_url, fetch
from tests.factories import make_project, owner_access
from tests.imports.files import make_lines

CONTENT = make_lines(5)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        pages: dict[str, Any] = {
            "/a.jsonl": (200, {"Content-Length": str(len(CONTENT))}, CONTENT),
            "/moved": (302, {"Location": "/a.jsonl"}, b""),
            "/loop": (302, {"Location": "/loop"}, b""),
            "/inside": (302, {"Location": f"http://localhost:{self.server.server_port}/a.jsonl"}, b""),  # type: ignore[attr-defined]  # the server's
            "/file": (302, {"Location": "file:///etc/passwd"}, b""),
            "/short": (200, {"Content-Length": str(len(CONTENT) + 10)}, CONTENT),
            "/empty": (200, {"Content-Length": "0"}, b""),
        }
        status, headers, body = pages.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()


@pytest.fixture
def allowed(settings: Any) -> None:
    settings.IMPORT_HOSTS = ["127.0.0.1"]


def fetch_bytes(url: str, limit: int = 10**9) -> bytes:
    target = io.BytesIO()
    fetch(url, target, limit=limit, on_progress=lambda size, total: None)
    return target.getvalue()


@pytest.mark.usefixtures("allowed")
def test_a_file_is_fetched_and_a_redirect_is_followed(server: str) -> None:
    assert fetch_bytes(f"{server}/a.jsonl") == CONTENT
    assert fetch_bytes(f"{server}/moved") == CONTENT


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/loop", "more than 5 times"),
        ("/none", "answered 404"),
        ("/inside", "localhost is in a private network"),
        ("/file", "Only http and https"),
        ("/short", r"could not be fetched to its end|broke off"),
    ],
)
def test_what_cannot_or_must_not_be_fetched_says_why(server: str, path: str, reason: str) -> None:
    with pytest.raises(FetchError, match=reason):
        fetch_bytes(server + path)


@pytest.mark.usefixtures("allowed")
def test_more_than_the_limit_is_not_fetched(server: str) -> None:
    with pytest.raises(FetchError, match="larger than 100 bytes"):
        fetch_bytes(f"{server}/a.jsonl", limit=100)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "[::1]", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[::ffff:127.0.0.1]",
        "0.0.0.0",  # noqa: S104  # asked for, not bound
        "[fe80::1]", "2130706433",
    ],
)  # fmt: skip
def test_nothing_of_a_private_network_is_reached(host: str) -> None:
    with pytest.raises(FetchError, match=r"private network|no host"):
        fetch_bytes(f"http://{host}:1/x")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://example.org/x", "gopher://x", "//x", "http://", "http://a:b@example.org/",
        "http://[", "http://x:99999/",
    ],
)  # fmt: skip
def test_what_is_no_address_to_fetch_from_is_refused(url: str) -> None:
    with pytest.raises(FetchError):
        check_url(url)


@pytest.mark.usefixtures("allowed")
def test_a_name_is_looked_up_once_and_connected_to_as_it_was_checked(
    server: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.IMPORT_HOSTS = ["rebound.example"]
    port = int(server.rsplit(":", 1)[1])
    asked: list[str] = []

    real = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "rebound.example":
            return real(host, *args, **kwargs)
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert fetch_bytes(f"http://rebound.example:{port}/a.jsonl") == CONTENT
    assert asked.count("rebound.example") == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("allowed")
def test_an_upload_is_fetched_by_a_worker_and_a_failure_is_said_on_it(server: str) -> None:
    access = owner_access(make_project())
    upload = uploads.take_url(access, f"{server}/a.jsonl")
    uploads.fetch_upload(upload.pk)
    upload.refresh_from_db()
    assert (upload.complete, upload.file_name, upload.received) == (True, "a.jsonl", len(CONTENT))
    with uploads.open_upload(upload) as opened:
        assert not hasattr(opened, "iterdir")
    for path, reason in (("/none", "404"), ("/empty", "an empty file")):
        failing = uploads.take_url(access, server + path)
        uploads.fetch_upload(failing.pk)
        failing.refresh_from_db()
        assert (failing.complete, reason in failing.error) == (False, True)
    assert Upload.objects.filter(complete=True).count() == 1
