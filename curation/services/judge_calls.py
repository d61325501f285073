"""Asking an OpenAI-compatible endpoint, again where that helps, and never where it must not be asked.

No library of a vendor: theirs take keys, addresses and organisations from the server's environment, follow redirects,
look names up anew for each connection, and read answers of any length. Whatever comes back may hold the key (endpoints
quote it in errors), so it is taken out of every text.
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult

import orjson
import urllib3
from django.conf import settings
from urllib3.exceptions import HTTPError

from curation.formats.cleaning import clean_text
from curation.services.fetching import FetchError, check_url, connect, name_host

TRIES = 5
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before the second try, twice as long before each further one; where the endpoint does not say."""
LONGEST_ASKED_WAIT = 900.0
"""Seconds that an endpoint may ask to be left alone; for longer, the run ends and can go on later."""
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 180.0
LARGEST_ANSWER = 2**22
MOST_TOKENS = 10**8
"""Of one reply: what claims to have cost more is not believed."""
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_HOPELESS = frozenset({401, 402, 403, 404, 405, 407})
_OPTIONAL = ("response_format", "max_tokens")


class CallFailed(ValueError):
    """This question has no answer, after all tries; the text says why."""


class EndpointRefuses(ValueError):
    """No question will have an answer: a wrong key or address, a model that is not there. The text says why."""


class CallStopped(Exception):
    """Somebody asked to stop before there was an answer."""


@dataclass(frozen=True)
class Reply:
    """What came back. `problem` says why it is no answer: the model refused, or was cut off."""

    text: str
    prompt_tokens: int
    answer_tokens: int
    problem: str = ""


class _TryAgain(Exception):
    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


class Endpoint:
    """A model at an address, for many threads at once; `stop` ends their waiting, not what was already asked.

    The address is looked up and checked once, here. An answer may take `seconds`. Raises EndpointRefuses.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        key: str,
        *,
        connections: int = 1,
        stop: threading.Event | None = None,
        seconds: float | None = None,
    ) -> None:
        self.stop = stop or threading.Event()
        self._model, self._key, self._seconds = model, key, seconds or ANSWER_SECONDS
        self._quiet_until = 0.0
        self._left_off: frozenset[str] = frozenset()
        try:
            parts = check_address(base_url)
            timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=self._seconds)
            self._pool = connect(parts, allowed=settings.JUDGE_HOSTS, timeout=timeout, most=connections)
        except FetchError as error:
            raise EndpointRefuses(str(error)) from error
        self._path = parts.path.rstrip("/") + "/chat/completions"
        self._headers = {"Host": name_host(parts), "User-Agent": "Whetstone", "Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"

    def close(self) -> None:
        self._pool.close()

    def ask(
        self, messages: Sequence[Mapping[str, str]], *, schema: Mapping[str, Any], most_tokens: int, tries: int = TRIES
    ) -> Reply:
        """The reply to these messages. Raises CallFailed, EndpointRefuses and CallStopped."""
        why = ""
        for number in range(tries):
            self._wait_for_quiet()
            try:
                return self._call(messages, schema, most_tokens)
            except _TryAgain as error:
                why = str(error)
                if number + 1 < tries:
                    self._wait(number, error.after)
        raise CallFailed(f"{why} (tried {tries} times)" if tries > 1 else why)

    def _wait(self, number: int, asked: float | None) -> None:
        if asked is not None and asked > LONGEST_ASKED_WAIT:
            raise EndpointRefuses(f"The endpoint asks to be left alone for {asked:,.0f} seconds: go on after that.")
        if asked is not None:
            # Every thread keeps still: the limit is the key's, not the question's.
            self._quiet_until = max(self._quiet_until, time.monotonic() + asked)
            return
        seconds = min(FIRST_WAIT * 2**number, LONGEST_WAIT) * random.uniform(0.5, 1)  # noqa: S311  # spreads the load
        if self.stop.wait(seconds):
            raise CallStopped

    def _wait_for_quiet(self) -> None:
        while (left := self._quiet_until - time.monotonic()) > 0:
            if self.stop.wait(left):
                raise CallStopped
        if self.stop.is_set():
            raise CallStopped

    def _call(self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], most_tokens: int) -> Reply:
        """One question, asked anew where the endpoint does not know an optional part of it; that is remembered."""
        left_off = self._left_off
        while True:
            sent = self._write_body(messages, schema, most_tokens, left_off)
            status, headers, body = self._post(sent)
            refused = self._find_refused(body, left_off) if status in (400, 422) else None
            if refused is None:
                break
            left_off |= {refused}
        if status == 200:
            self._left_off = left_off
            return self._read_reply(body, len(sent))
        if status in _AGAIN:
            raise _TryAgain(f"The endpoint answered {status}: {self._quote(body)}", _read_wait(headers))
        if status in _HOPELESS:
            raise EndpointRefuses(f"The endpoint answered {status}: {self._quote(body)}")
        if 300 <= status < 400:
            raise EndpointRefuses(f"The endpoint answered {status}: redirects are not followed.")
        raise CallFailed(f"The endpoint answered {status}: {self._quote(body)}")

    def _write_body(
        self,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],
        most_tokens: int,
        left_off: frozenset[str],
    ) -> bytes:
        body: dict[str, Any] = {"model": self._model, "messages": list(messages)}
        if "response_format" not in left_off:
            form = {"name": "judgement", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        # The newest models know the second name alone, most other endpoints the first alone.
        body["max_completion_tokens" if "max_tokens" in left_off else "max_tokens"] = most_tokens
        return orjson.dumps(body)

    def _find_refused(self, body: bytes, left_off: frozenset[str]) -> str | None:
        """The optional part that a refusal names; where it names none, the schema may be what it is about."""
        words = body[:10_000].decode("utf-8", "replace")
        left = [name for name in _OPTIONAL if name not in left_off]
        named = [name for name in left if name in words or (name == "response_format" and "json_schema" in words)]
        return next(iter([*named, *(name for name in left if name == "response_format")]), None)

    def _post(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer. Raises _TryAgain."""
        begun = time.monotonic()
        response = None
        try:
            response = self._pool.request(
                "POST", self._path, body=body, headers=self._headers,
                redirect=False, retries=False, preload_content=False,
            )  # fmt: skip
            read = bytearray()
            while chunk := response.read1(2**16, decode_content=False):
                read += chunk
                if len(read) > LARGEST_ANSWER:
                    raise CallFailed(f"The answer is larger than {LARGEST_ANSWER:,} bytes.")
                if time.monotonic() - begun > self._seconds:
                    raise _TryAgain(f"There was no whole answer within {self._seconds:.0f} seconds.")
            response.release_conn()
            return response.status, response.headers, bytes(read)
        except (HTTPError, OSError) as error:
            raise _TryAgain(self._clean(f"The endpoint could not be reached, or broke off: {error}.")) from None
        finally:
            if response is not None:
                response.close()
                response.release_conn()  # closed or not, it is the pool's again

    def _read_reply(self, body: bytes, sent: int) -> Reply:
        """Raises _TryAgain for a body that is no chat completion: gateways answer so at times."""
        try:
            plain = json.loads(body)
            choice = plain["choices"][0]
            message = choice["message"]
            text = message.get("content") or ""
            refusal = message.get("refusal") or ""
            # Endpoints that do not count are taken to have some four bytes to a token.
            usage = plain.get("usage") or {"prompt_tokens": sent // 4, "completion_tokens": len(text) // 4}
            read, written = (int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens"))
            if not isinstance(text, str) or not isinstance(refusal, str):
                raise TypeError("its content is no text")
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
            raise _TryAgain(f"The endpoint's answer is no chat completion: {self._quote(body)}") from None
        problem = ""
        if refusal:
            problem = f"The model refused: {self._clean(refusal)}"
        elif choice.get("finish_reason") == "length":
            problem = "The answer was cut off at the most tokens that it may have."
        elif choice.get("finish_reason") == "content_filter":
            problem = "The endpoint's content filter withheld the answer."
        read, written = (min(max(tokens, 0), MOST_TOKENS) for tokens in (read, written))
        return Reply(self._clean(text, most=LARGEST_ANSWER), read, written, problem)

    def _quote(self, body: bytes) -> str:
        """What an error says, short enough to be read."""
        words = body[:20_000].decode("utf-8", "replace")
        with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
            words = str(json.loads(body)["error"]["message"])
        return self._clean(words) or "nothing"

    def _clean(self, text: str, *, most: int = 300) -> str:
        """The text as it may be stored and shown: without the key."""
        return clean_text(text.replace(self._key, "(the key)") if self._key else text)[0].strip()[:most]


def check_address(base_url: str) -> SplitResult:
    """The parts of a judge's address. Raises FetchError; asks no name server.

    Plain HTTP, which everybody on the way can read, only to hosts that the settings name.
    """
    parts = check_url(base_url)
    if parts.query or parts.fragment:
        raise FetchError("The address of an endpoint ends with its path, such as /v1.")
    if parts.scheme != "https" and parts.hostname not in settings.JUDGE_HOSTS:
        raise FetchError(f"{parts.hostname} is asked over https only, or has to stand in WHETSTONE_JUDGE_HOSTS.")
    return parts


def _read_wait(headers: Mapping[str, str]) -> float | None:
    """The seconds of Retry-After, which may be a date."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    return None
