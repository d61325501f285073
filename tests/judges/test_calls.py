"""Asking an endpoint over the network: again where that helps, and never where it must not be asked."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from curation.services import judge_calls
from curation.services.judge_calls import CallFailed, CallStopped, Endpoint, EndpointRefuses, Reply
from tests.judges.endpoint import KEY, Answer, FakeEndpoint, completion, opinion

MESSAGES = [{"role": "user", "content": "Judge."}]
REFUSAL = {"error": {"message": "'response_format' of type json_schema is not supported.", "type": "invalid"}}


def ask(endpoint: FakeEndpoint, key: str = KEY, **fields: Any) -> Reply:
    caller = Endpoint(endpoint.base_url, "judge-1", key)
    try:
        return caller.ask(MESSAGES, schema={"type": "object"}, most_tokens=50, **fields)
    finally:
        caller.close()


def test_a_question_is_sent_as_openai_compatible_endpoints_expect_it(endpoint: FakeEndpoint) -> None:
    endpoint.answer_with(Answer(body=completion("Yes.", tokens=(12, 3))))
    assert ask(endpoint) == Reply("Yes.", 12, 3)
    assert endpoint.paths == ["/v1/chat/completions"]
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
    form = {"name": "judgement", "strict": True, "schema": {"type": "object"}}
    assert endpoint.requests == [
        {
            "model": "judge-1",
            "messages": MESSAGES,
            "max_tokens": 50,
            "response_format": {"type": "json_schema", "json_schema": form},
        }
    ]


def test_without_a_key_none_is_sent(endpoint: FakeEndpoint) -> None:
    ask(endpoint, key="")
    assert "Authorization" not in endpoint.headers[0]


def test_an_endpoint_that_takes_no_schema_is_asked_without_and_that_is_remembered(endpoint: FakeEndpoint) -> None:
    endpoint.script = lambda number, body: Answer(400, REFUSAL) if "response_format" in body else Answer(body=opinion())
    caller = Endpoint(endpoint.base_url, "judge-1", KEY)
    for _ in range(2):
        caller.ask(MESSAGES, schema={}, most_tokens=50)
    assert ["response_format" in body for body in endpoint.requests] == [True, False, False]


def test_an_endpoint_that_knows_another_name_for_the_most_tokens_is_asked_by_that(endpoint: FakeEndpoint) -> None:
    words = {"error": {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}}
    endpoint.script = lambda number, body: Answer(400, words) if "max_tokens" in body else Answer(body=opinion())
    ask(endpoint)
    assert endpoint.requests[1]["max_completion_tokens"] == 50
    assert "response_format" in endpoint.requests[1]


def test_a_question_that_is_refused_whatever_is_left_off_changes_nothing_for_the_next(endpoint: FakeEndpoint) -> None:
    words = {"error": {"message": "The context is too long: reduce it, or max_tokens."}}
    endpoint.script = lambda number, body: Answer(400, words) if number < 3 else Answer(body=opinion())
    caller = Endpoint(endpoint.base_url, "judge-1", KEY)
    with pytest.raises(CallFailed, match="answered 400: The context is too long"):
        caller.ask(MESSAGES, schema={}, most_tokens=50)
    caller.ask(MESSAGES, schema={}, most_tokens=50)
    assert "response_format" in endpoint.requests[-1]


@pytest.mark.parametrize(
    "bad",
    [
        Answer(500, {"error": {"message": "overloaded"}}),
        Answer(429, {}),
        Answer(200, b"<html>Gateway</html>"),
        Answer(200, {"choices": []}),
        Answer(200, {"choices": [{"message": {"content": ["a"]}}]}),
        Answer(200, b"[" * 10_000),
        Answer(200, b'{"choices": [{"message": {"content": ""}}], "usage": {"prompt_tokens": 1e999}}'),
        Answer(200, completion("x"), breaks_off=True),
    ],
)
def test_what_passes_is_asked_again(endpoint: FakeEndpoint, bad: Answer) -> None:
    endpoint.answer_with(bad, bad, Answer(body=completion("Yes.")))
    assert ask(endpoint).text == "Yes."
    assert len(endpoint.requests) == 3


def test_after_five_tries_the_last_reason_is_told(endpoint: FakeEndpoint) -> None:
    endpoint.answer_with(Answer(503, {"error": {"message": "No capacity."}}))
    with pytest.raises(CallFailed, match=r"answered 503: No capacity\. \(tried 5 times\)"):
        ask(endpoint)
    assert len(endpoint.requests) == 5


def test_all_threads_wait_as_long_as_the_endpoint_asks(endpoint: FakeEndpoint) -> None:
    endpoint.answer_with(Answer(429, {}, {"Retry-After": "1"}), Answer(body=completion("Yes.")))
    caller = Endpoint(endpoint.base_url, "judge-1", KEY, connections=2)
    first = threading.Thread(target=caller.ask, args=[MESSAGES], kwargs={"schema": {}, "most_tokens": 5})
    first.start()
    while not caller._quiet_until:
        time.sleep(0.01)
    caller.ask(MESSAGES, schema={}, most_tokens=5)
    first.join()
    assert min(endpoint.times[1:]) - endpoint.times[0] >= 0.99


def test_an_endpoint_that_wants_to_be_left_alone_for_hours_ends_the_asking(endpoint: FakeEndpoint) -> None:
    endpoint.answer_with(Answer(429, {}, {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}))
    with pytest.raises(EndpointRefuses, match="asks to be left alone for"):
        ask(endpoint)
    assert len(endpoint.requests) == 1


def test_a_stop_ends_the_waiting_for_the_next_try(endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_calls, "FIRST_WAIT", 600)
    endpoint.answer_with(Answer(500, {}))
    stop = threading.Event()
    caller = Endpoint(endpoint.base_url, "judge-1", KEY, stop=stop)
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(CallStopped):
        caller.ask(MESSAGES, schema={}, most_tokens=5)


def test_an_answer_that_does_not_come_is_given_up(endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_calls, "ANSWER_SECONDS", 0.2)
    endpoint.answer_with(Answer(body=opinion(), seconds=1))
    with pytest.raises(CallFailed, match="could not be reached, or broke off"):
        ask(endpoint, tries=1)


def test_an_answer_that_is_too_large_is_not_read(endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_calls, "LARGEST_ANSWER", 1000)
    endpoint.answer_with(Answer(body=completion("x" * 2000)))
    caller = Endpoint(endpoint.base_url, "judge-1", KEY)
    for _ in range(3):  # each time, the connection is given back
        with pytest.raises(CallFailed, match="larger than 1,000 bytes"):
            caller.ask(MESSAGES, schema={}, most_tokens=5)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_address_is_asked_once(endpoint: FakeEndpoint, status: int) -> None:
    endpoint.answer_with(Answer(status, {"error": {"message": f"No: {KEY} is not allowed."}}))
    with pytest.raises(EndpointRefuses) as caught:
        ask(endpoint)
    assert str(caught.value) == f"The endpoint answered {status}: No: (the key) is not allowed."
    assert len(endpoint.requests) == 1


def test_a_redirect_is_not_followed(endpoint: FakeEndpoint) -> None:
    endpoint.answer_with(Answer(307, {}, {"Location": f"{endpoint.base_url}/elsewhere"}))
    with pytest.raises(EndpointRefuses, match="redirects are not followed"):
        ask(endpoint)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (completion("", refusal="I cannot judge this."), "The model refused: I cannot judge this."),
        (completion('{"reason": "It', finish_reason="length"), "cut off at the most tokens"),
        (completion("", finish_reason="content_filter"), "content filter"),
    ],
)
def test_a_reply_that_is_no_answer_says_why(endpoint: FakeEndpoint, body: Any, problem: str) -> None:
    endpoint.answer_with(Answer(body=body))
    reply = ask(endpoint)
    assert problem in reply.problem
    assert reply.prompt_tokens == 100


def test_tokens_that_are_not_told_are_estimated_and_absurd_ones_bounded(endpoint: FakeEndpoint) -> None:
    endpoint.answer_with(
        Answer(body=completion("y" * 400, tokens=None)), Answer(body=completion("y", tokens=(10**30, -5)))
    )
    assert ask(endpoint).answer_tokens == 100
    assert ask(endpoint).prompt_tokens <= judge_calls.MOST_TOKENS


def test_a_key_that_the_endpoint_repeats_in_its_answer_is_taken_out(endpoint: FakeEndpoint) -> None:
    endpoint.answer_with(Answer(body=completion(f"Your key is {KEY}.")))
    assert ask(endpoint).text == "Your key is (the key)."


@pytest.mark.parametrize(
    "base_url",
    [
        "https://127.0.0.1/v1", "https://localhost:5432", "https://[::1]/v1", "https://169.254.169.254/v1",
        "https://10.0.0.1/v1", "https://[::ffff:10.0.0.1]/v1",
    ],
)  # fmt: skip
def test_a_private_address_is_not_asked_unless_the_settings_name_it(base_url: str, settings: Any) -> None:
    settings.JUDGE_HOSTS = []
    with pytest.raises(EndpointRefuses, match=r"private network|no host"):
        Endpoint(base_url, "judge-1", KEY)


@pytest.mark.parametrize(
    ("base_url", "reason"),
    [
        ("http://models.example/v1", "over https only"),
        ("file:///etc/passwd", "Only http and https"),
        ("https://user:word@models.example/v1", "user name or a password"),
        ("https://models.example/v1?to=x", "ends with its path"),
    ],
)
def test_what_is_no_address_of_an_endpoint_is_refused(base_url: str, reason: str) -> None:
    with pytest.raises(EndpointRefuses, match=reason):
        Endpoint(base_url, "judge-1", KEY)


def test_a_name_is_looked_up_once_for_all_questions(
    endpoint: FakeEndpoint, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.JUDGE_HOSTS = ["rebound.example"]
    real, asked = socket.getaddrinfo, []

    def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "rebound.example":
            return real(host, *args, **kwargs)
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    endpoint.answer_with(Answer(body=opinion(), headers={"Connection": "close"}))
    caller = Endpoint(endpoint.base_url.replace("127.0.0.1", "rebound.example"), "judge-1", KEY)
    for _ in range(3):
        caller.ask(MESSAGES, schema={}, most_tokens=5)
    assert (len(asked), len(endpoint.requests)) == (1, 3)
    assert endpoint.headers[0]["Host"].startswith("rebound.example:")
