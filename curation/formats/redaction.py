"""What a person wants out of trajectories before they are stored: secrets, e-mail addresses, user names in paths.

Secrets are found by the patterns of the package detect-secrets, those of them that name one provider's key: its
keyword and entropy detectors take hashes and code for secrets, of which agents' logs are full. A few kinds of key
that it does not know yet are added.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from curation.formats.document import Document, fingerprint_instruction
from curation.formats.messages import read_arguments

KINDS: Final = {"secrets": "Secrets", "emails": "E-mail addresses", "user_names": "User names in paths"}
"""What can be redacted, and what each is called."""

_DETECTORS = (
    AWSKeyDetector, AzureStorageKeyDetector, BasicAuthDetector, DiscordBotTokenDetector, GitHubTokenDetector,
    GitLabTokenDetector, JwtTokenDetector, MailchimpDetector, NpmDetector, OpenAIDetector, PypiTokenDetector,
    SendGridDetector, SlackDetector, SquareOAuthDetector, StripeDetector, TelegramBotTokenDetector, TwilioKeyDetector,
)  # fmt: skip
_SECRETS: list[tuple[re.Pattern[str], str]] = [
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        "private key",
    ),
    (re.compile(r"\bsk-(?:ant-|proj-|svcacct-|or-)[A-Za-z0-9_-]{20,}|\bsk-[A-Za-z0-9]{40,}"), "API key"),
    (re.compile(r"\bgithub_pat_[A-Za-z0-9_]{30,}"), "GitHub token"),
    (re.compile(r"\bhf_[A-Za-z0-9]{30,}"), "Hugging Face token"),
    (re.compile(r"\bAIza[0-9A-Za-z_-]{35}"), "Google API key"),
    *((pattern, str(detector.secret_type)) for detector in _DETECTORS for pattern in detector.denylist),
]
_GROUP = {BasicAuthDetector.denylist[0], *AWSKeyDetector.denylist[1:]}
"""Patterns whose first group is the secret; the whole match of the others is."""

_EMAIL = re.compile(r"\b(?!git@)[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
_USER = re.compile(r"""(/home/|/Users/|\b[A-Za-z]:(?:\\{1,4}|/)Users(?:\\{1,4}|/))([^/\\\s"'`:;,<>|*?()\[\]{}]+)""")
_NOBODY = frozenset(
    [
        "user", "users", "root", "runner", "ubuntu", "debian", "admin", "app", "agent", "node", "vscode", "shared",
        "public", "default", "guest", "me", "you", "linuxbrew", "openhands", "swe-agent", "sandbox", "jovyan",
    ]
)  # fmt: skip
_UNREAD = frozenset({"schema_version", "source", "tool_call_id", "source_call_id", "fingerprint", "data", "blob"})
"""Keys whose values are ours, or bytes."""


class Redactor:
    """Replaces in whole documents what `kinds` (of KINDS) name; the same text gets the same words in one document."""

    def __init__(self, kinds: Iterable[str]) -> None:
        self._kinds = frozenset(kinds)

    def redact(self, document: Document) -> tuple[Document, Counter[str]]:
        """The document without them, and how many were replaced of each kind."""
        reader = _Reader(self._kinds)
        recorded = document.model_dump(mode="json")
        read = {key: value if key in ("source", "task") else reader.read(value) for key, value in recorded.items()}
        counts = Counter(reader.counts)
        task = reader.read(recorded["task"])  # not counted: its text stands in the first message too
        if not reader.counts:
            return document, counts
        task["fingerprint"] = fingerprint_instruction(task["instruction"])
        return Document.model_validate(read | {"task": task}), counts

    def redact_text(self, text: str) -> str:
        """A text by itself."""
        return _Reader(self._kinds).read_text(text)


class _Reader:
    def __init__(self, kinds: frozenset[str]) -> None:
        self.counts: Counter[str] = Counter()
        self._kinds = kinds
        self._names: dict[tuple[str, str], str] = {}

    def read(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.read_text(value)
        if isinstance(value, list):
            return [self.read(item) for item in value]
        if isinstance(value, Mapping):
            read = {key: item if key in _UNREAD else self.read(item) for key, item in value.items()}
            if isinstance(read.get("arguments_raw"), str) and read["arguments_raw"] != value["arguments_raw"]:
                read["arguments"] = read_arguments(read["arguments_raw"])[0]
            return read
        return value

    def read_text(self, text: str) -> str:
        """The text, read again until nothing is found: what stood right behind a secret may be one by itself."""
        while (read := self._read_once(text)) != text:
            text = read
        return text

    def _read_once(self, text: str) -> str:
        if "secrets" in self._kinds:
            for pattern, name in _SECRETS:
                group = 1 if pattern in _GROUP else 0
                text = pattern.sub(self._replacer("secrets", f"secret: {name}", group), text)
        if "emails" in self._kinds and "@" in text:
            text = _EMAIL.sub(self._replacer("emails", "email", 0), text)
        if "user_names" in self._kinds:
            text = _USER.sub(self._replace_user, text)
        return text

    def _replacer(self, kind: str, name: str, group: int) -> Callable[[re.Match[str]], str]:
        def replace(match: re.Match[str]) -> str:
            found, whole = match.group(group), match.group()
            self.counts[kind] += 1
            known = sum(1 for label, _ in self._names if label == name)
            words = self._names.setdefault((name, found), f"[{name} {known + 1}]")
            start = match.start(group) - match.start()
            return whole[:start] + words + whole[start + len(found) :]

        return replace

    def _replace_user(self, match: re.Match[str]) -> str:
        if match[2].lower() in _NOBODY:
            return match[0]
        self.counts["user_names"] += 1
        return f"{match[1]}user"
