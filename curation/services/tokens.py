"""API tokens: shown once, stored as a digest, scoped to one project and some of its owner's roles."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from curation.models import ApiToken
from curation.permissions import Access
from curation.services.audit import record_action

PREFIX = "wst_"


def create_token(
    access: Access, *, name: str, scopes: Iterable[str], expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """A new token and its secret. Raises ValueError for a scope that the owner does not hold, or for none at all."""
    wanted = sorted(set(scopes))
    lacking = [scope for scope in wanted if scope not in access.roles]
    if lacking or not wanted:
        raise ValueError(f"You do not hold: {', '.join(lacking)}." if lacking else "Choose at least one scope.")
    secret = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        project=access.project,
        user=access.user,
        name=name,
        digest=_digest(secret),
        scopes=wanted,
        expires_at=expires_at,
    )
    record_action(access, "token.create", token, scopes=wanted)
    return token, secret


def revoke_token(access: Access, token: ApiToken) -> None:
    if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=Now()):
        record_action(access, "token.revoke", token)


def find_token(secret: str) -> ApiToken | None:
    """The live token with this secret. It is looked up by digest, so timing tells nothing about the secret."""
    live = ApiToken.objects.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None, user__is_active=True)
    token = live.select_related("user").filter(digest=_digest(secret)).first()
    if token and (token.last_used_at is None or token.last_used_at < timezone.now() - timedelta(minutes=1)):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=Now())
    return token


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
