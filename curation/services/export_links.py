"""Links to one file of a frozen version that work for whoever has them, without signing in, until their time is over.

Nothing about a link is stored: it says itself what it is for, and the server's key proves that the server wrote it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import NamedTuple

from django.core import signing

from curation.models import AuditEntry, DatasetVersion
from curation.permissions import Access
from curation.services.audit import record_action
from curation.services.exports import Export, find_export

SALT = "whetstone.export-link"
MOST_HOURS = 24 * 30


class BadLink(ValueError):
    """The link was not written by this server, or for another file."""


class LinkEnded(ValueError):
    """The link's time is over."""


class Link(NamedTuple):
    token: str
    ends_at: datetime


def make_link(access: Access, version: DatasetVersion, file: str, *, hours: int) -> Link:
    """A link to one file, which is made now where it was not before, and is recorded in the audit log.

    Raises ValueError for a lifetime that is none, and what find_export raises.
    """
    if not 1 <= hours <= MOST_HOURS:
        raise ValueError(f"A link lasts 1 to {MOST_HOURS} hours.")
    find_export(version, file)
    ends = int(time.time()) + 3600 * hours
    token = signing.dumps({"v": version.pk, "f": file, "e": ends, "u": access.user.get_username()}, salt=SALT)
    ends_at = datetime.fromtimestamp(ends, UTC)
    record_action(access, "version.link", version, file=file, ends_at=ends_at.isoformat())
    return Link(token, ends_at)


def open_link(token: str, file: str, *, address: str | None, first: bool) -> Export:
    """The file that a link is for. Its use is recorded where it is the `first` part of a download.

    Raises BadLink, LinkEnded, and what find_export raises.
    """
    try:
        says = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        raise BadLink("This link was not made here, or is damaged.") from None
    if says["f"] != file:
        raise BadLink("This link is for another file.")
    if says["e"] < time.time():
        raise LinkEnded("This link has ended. Ask whoever gave it to you for a new one.")
    version = DatasetVersion.objects.select_related("dataset").filter(pk=says["v"]).first()
    if version is None:
        raise BadLink("What this link was for has been removed.")
    if first:
        AuditEntry.objects.create(
            project_id=version.dataset.project_id,
            actor_name=f"a link made by {says['u']}"[:150],
            action="version.link-use",
            target=str(version)[:200],
            details={"file": file},
            address=address,
        )
    return find_export(version, file)
