"""Fetching a file from a URL that a person named, without letting it reach what only this server can.

Every address is looked up once, checked, and connected to as it was checked, so that a name cannot change its mind in
between; a redirect is checked like the first address. Only public addresses are allowed, and hosts that an
administrator named (IMPORT_HOSTS). `connect` is what whatever else goes to an address that a person named uses, too.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection
from typing import BinaryIO
from urllib.parse import SplitResult, urljoin, urlsplit

import urllib3
from django.conf import settings
from urllib3.exceptions import HTTPError

MOST_REDIRECTS = 5
_CHUNK = 2**20
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
_REDIRECTS = (301, 302, 303, 307, 308)


class FetchError(ValueError):
    """A URL that cannot be fetched, or must not be; the text says why."""


def check_url(url: str) -> SplitResult:
    """The parts of a URL that may be asked for. Raises FetchError; asks no name server."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise FetchError(f"It is no URL: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FetchError("Only http and https addresses are fetched.")
    if parts.username or parts.password:
        raise FetchError("The address holds a user name or a password, which would be stored with it.")
    if port == 0:
        raise FetchError("There is no port 0.")
    return parts


def fetch(url: str, target: BinaryIO, *, limit: int, on_progress: Callable[[int, int | None], None]) -> None:
    """Write what stands at a URL to `target`. `on_progress` gets the bytes so far, and the total where it is known.

    Raises FetchError.
    """
    for _ in range(MOST_REDIRECTS + 1):
        response = _request(check_url(url))
        try:
            if response.status in _REDIRECTS and response.headers.get("Location"):
                url = urljoin(url, response.headers["Location"])
                continue
            if response.status != 200:
                raise FetchError(f"The server answered {response.status}.")
            _copy(response, target, limit=limit, on_progress=on_progress)
        except (HTTPError, OSError) as error:
            raise FetchError(f"It could not be fetched to its end: {error}.") from error
        finally:
            response.release_conn()
            response.close()
        return
    raise FetchError(f"It leads on more than {MOST_REDIRECTS} times.")


def _copy(
    response: urllib3.BaseHTTPResponse,
    target: BinaryIO,
    *,
    limit: int,
    on_progress: Callable[[int, int | None], None],
) -> None:
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    size = 0
    for chunk in response.stream(_CHUNK, decode_content=True):
        size += len(chunk)
        if size > limit:
            raise FetchError(f"It is larger than {limit:,} bytes.")
        target.write(chunk)
        on_progress(size, total)
    if total is not None and size < total and not response.headers.get("Content-Encoding"):
        raise FetchError(f"It broke off after {size:,} of {total:,} bytes.")


def _request(parts: SplitResult) -> urllib3.BaseHTTPResponse:
    pool = connect(parts, allowed=settings.IMPORT_HOSTS, timeout=_TIMEOUT)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Host": name_host(parts), "User-Agent": "Whetstone"}
    try:
        return pool.request("GET", path, headers=headers, redirect=False, retries=False, preload_content=False)
    except HTTPError as error:
        raise FetchError(f"{parts.hostname} could not be reached: {error}.") from error


def connect(
    parts: SplitResult, *, allowed: Collection[str], timeout: urllib3.Timeout, most: int = 1
) -> urllib3.HTTPConnectionPool:
    """At most `most` connections to the address that the host has now, if that is public or the host is in `allowed`.

    Raises FetchError.
    """
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = _resolve(host, port, allowed)
    if parts.scheme == "https":
        return urllib3.HTTPSConnectionPool(
            address, port, timeout=timeout, maxsize=most, block=True, server_hostname=host, assert_hostname=host
        )
    return urllib3.HTTPConnectionPool(address, port, timeout=timeout, maxsize=most, block=True)


def name_host(parts: SplitResult) -> str:
    """What the Host header says: the name, where the connection goes to a number."""
    host = parts.hostname or ""
    name = f"[{host}]" if ":" in host else host
    return name if parts.port is None else f"{name}:{parts.port}"


def _resolve(host: str, port: int, allowed: Collection[str]) -> str:
    """An address of the host. Raises FetchError unless all of its addresses are public, or the host is allowed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchError(f"There is no host {host!r}.") from error
    addresses = [str(entry[4][0]) for entry in found]
    if host not in allowed:
        for address in addresses:
            if not _is_public(address):
                raise FetchError(f"{host} is in a private network: nothing is asked for there.")
    return min(addresses, key=lambda address: ":" in address)  # what runs beside us often hears IPv4 alone


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped or parsed.sixtofour if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_global and not parsed.is_multicast
