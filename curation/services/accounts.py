"""The first account of an installation."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from django.conf import settings

from curation.models import User

FIRST_NAME = "admin"


def first_password_file() -> Path:
    """Where the first account's password is kept, readable by the owner of the installation alone."""
    return Path(settings.HOME) / "secrets" / "admin_password"


def make_first_account() -> tuple[User, str] | None:
    """The first account and its random password; None where there are accounts already."""
    if User.objects.exists():
        return None
    # The file first: should this be cut off here, the next start finds the password and makes the account with it.
    path = first_password_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(15) + "\n")
        aside.replace(path)
    password = path.read_text().strip()
    return User.objects.create_user(username=FIRST_NAME, password=password), password
