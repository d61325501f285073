"""The keys of judges: of the server's environment, or typed in and stored sealed. They are shown nowhere, ever.

A key goes only where it was meant to go. One that was typed in is sealed together with the address it was given for;
one of the environment is the server's, and goes to hosts alone that the server's settings name.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

from curation.models import Judge

VARIABLE = re.compile(r"WHETSTONE_JUDGE_KEY_[A-Z0-9_]{1,60}")
_KEY = re.compile(r"[\x21-\x7e]{1,500}")


class BadKey(ValueError):
    """A key that cannot be used, or must not be; the text says why and never holds it."""


def check_key(key: str) -> str:
    """Raises BadKey for what cannot stand in a header."""
    if not _KEY.fullmatch(key):
        raise BadKey("A key has 1 to 500 characters, without spaces.")
    return key


def check_variable(name: str, base_url: str) -> str:
    """Raises BadKey for another variable than one of judges' keys, and for a host that is not to have it."""
    if not VARIABLE.fullmatch(name):
        raise BadKey("Only variables named WHETSTONE_JUDGE_KEY_ and more capitals hold keys of judges.")
    if urlsplit(base_url).hostname not in settings.JUDGE_HOSTS:
        raise BadKey("The server's keys go to hosts alone that its setting WHETSTONE_JUDGE_HOSTS names.")
    return name


def seal_key(key: str, base_url: str) -> bytes:
    """The key, encrypted together with the address that it is for."""
    return _fernet().encrypt(json.dumps([check_key(key), base_url]).encode())


def find_key(judge: Judge) -> str:
    """The key to send, empty for none. Raises BadKey."""
    if judge.key_variable:
        key = os.environ.get(check_variable(judge.key_variable, judge.base_url), "")
        if not key:
            raise BadKey(f"The server has no environment variable {judge.key_variable}.")
        return check_key(key)
    if judge.sealed_key is None:
        return ""
    try:
        key, base_url = json.loads(_fernet().decrypt(bytes(judge.sealed_key)))
    except InvalidToken as error:
        raise BadKey("The stored key was sealed by another installation: make the judge anew.") from error
    if base_url != judge.base_url:
        raise BadKey("The stored key was given for another address: make the judge anew.")
    return str(key)


def _fernet() -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(settings.SEALING_KEY.encode()).digest()))
