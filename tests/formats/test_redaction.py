"""What a person wants out of trajectories before they are stored."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.formats.base import ImportContext, Parsed
from curation.formats.document import Document, text_of
from curation.formats.redaction import KINDS, Redactor
from curation.formats.registry import get_format
from tests.formats.reading_aids import chat_record, only_document, parse_value

SECRETS = {
    "ghp_" + "a1B2" * 9: "GitHub",
    "AKIA" + "ABCDEFGH12345678": "AWS",
    "sk-ant-" + "api03-Ab1_" * 4: "API key",
    "hf_" + "abcDEF1234" * 4: "Hugging Face",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----": "private key",
}


def read(text: str) -> Document:
    return only_document(parse_value("chat", chat_record(text)))


def redact(text: str, *kinds: str) -> tuple[str, dict[str, int]]:
    document, counts = Redactor(kinds or KINDS).redact(read(text))
    return text_of(document.steps[0].message), dict(counts)


@pytest.mark.parametrize(("secret", "name"), SECRETS.items())
def test_a_secret_is_replaced_by_its_kind(secret: str, name: str) -> None:
    text, counts = redact(f"the key is {secret} .")
    assert secret not in text
    assert text.startswith("the key is [secret: ")
    assert name in text
    assert counts == {"secrets": 1}


def test_the_password_alone_goes_out_of_an_address() -> None:
    assert redact("clone https://me:hunter22@host/x")[0] == "clone https://me:[secret: Basic Auth Credentials 1]@host/x"


def test_the_same_address_gets_the_same_words() -> None:
    text, counts = redact("a@x.org, b@y.org and a@x.org; git@github.com:me/repo")
    assert text == "[email 1], [email 2] and [email 1]; git@github.com:me/repo"
    assert counts == {"emails": 3}


def test_user_names_go_out_of_paths_and_nobodys_names_stay() -> None:
    text, _ = redact(r"/home/jane/x /Users/jane.doe/y C:\Users\Jane\z /home/runner/w /root/v")
    assert text == r"/home/user/x /Users/user/y C:\Users\user\z /home/runner/w /root/v"


def test_only_what_was_chosen_is_replaced() -> None:
    assert redact("jane@x.org in /home/jane", "user_names") == ("jane@x.org in /home/user", {"user_names": 1})


def test_arguments_are_replaced_in_both_their_forms() -> None:
    arguments = json.dumps({"path": "C:\\Users\\jane\\x", "to": "jane@x.org"})
    call = {"id": "1", "function": {"name": "send", "arguments": arguments}}
    messages = [{"role": "user", "content": "go"}, {"role": "assistant", "tool_calls": [call]}]
    document, _ = Redactor(KINDS).redact(only_document(parse_value("chat", {"messages": messages})))
    (read_call,) = document.steps[1].tool_calls or []
    assert read_call.arguments == {"path": "C:\\Users\\user\\x", "to": "[email 1]"}
    assert json.loads(read_call.arguments_raw) == read_call.arguments


def test_a_document_without_any_is_the_same_object() -> None:
    document = read("nothing here")
    assert Redactor(KINDS).redact(document) == (document, {})


def test_the_task_is_known_by_what_is_left_of_its_text() -> None:
    one, _ = Redactor(KINDS).redact(read("mail a@x.org"))
    other, _ = Redactor(KINDS).redact(read("mail b@y.org"))
    assert one.task.instruction == "mail [email 1]"
    assert one.task.fingerprint == other.task.fingerprint


@given(text=st.lists(st.sampled_from([*SECRETS, "a@x.org", "/home/jane/", " ", "x", '"', "\\"])).map("".join))
def test_what_was_redacted_once_does_not_change_again(text: str) -> None:
    once, _ = Redactor(KINDS).redact(read(text))
    assert Redactor(KINDS).redact(once)[0].steps == once.steps


def test_agents_code_and_hashes_are_left_alone(shared_data: Path) -> None:
    begun = time.perf_counter()
    with (shared_data / "tau-bench" / "gpt-4o-airline.json").open("rb") as stream:
        found = list(get_format("tau-bench").parse(stream, ImportContext(filename="gpt-4o-airline.json")))
    counts = [Redactor(["secrets"]).redact(item.document)[1] for item in found if isinstance(item, Parsed)]
    assert len(counts) == 200
    assert not any(counts)
    print(f"{time.perf_counter() - begun:.1f} s")
