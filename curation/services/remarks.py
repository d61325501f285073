"""Discussing a trajectory: remarks, who is named in them, and who has seen that."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from datetime import timedelta

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models.functions import Now

from curation.formats.cleaning import clean_text
from curation.models import Membership, Mention, Remark, Review, Trajectory
from curation.permissions import Access, require_removal, require_thread
from curation.services.audit import record_action

LONGEST = 5000
LONGEST_NAME = 150
SENT_TWICE = timedelta(minutes=1)
"""The same words of the same person within this time are a double click or a request that was sent again."""

# Names hold what Django allows in them. An "@" inside a word, as in an address, names nobody.
NAMED = re.compile(r"(?<![\w.@+-])@([\w.@+-]+)")


def add_remark(access: Access, trajectory: Trajectory, text: str) -> Remark:
    """Add to the discussion of a trajectory and tell those who are named; sent twice, it is added once.

    Raises ValueError for a text that is empty or too long, PermissionDenied where the discussion is hidden.
    """
    require_thread(access, trajectory)
    if not access.roles:
        raise PermissionDenied(f"This needs a role in {access.project.name}.")
    text = clean_text(text.replace("\r\n", "\n"))[0].strip()
    if not text:
        raise ValueError("A remark needs some text.")
    if len(text) > LONGEST:
        raise ValueError(f"A remark has at most {LONGEST:,} characters; this one has {len(text):,}.")
    with transaction.atomic():
        # Of two requests at once the second waits here, and then finds what the first one wrote.
        Trajectory.objects.select_for_update(no_key=True).only("pk").get(pk=trajectory.pk)
        own = Remark.objects.filter(trajectory=trajectory, author=access.user, created_at__gt=Now() - SENT_TWICE)
        last = own.order_by("-id").first()
        if last is not None and last.text == text:
            return last
        remark = Remark.objects.create(trajectory=trajectory, author=access.user, text=text)
        mention_members(access, text, trajectory=trajectory, remark=remark)
    return remark


def remove_remark(access: Access, remark: Remark) -> bool:
    """Remove a remark, one's own or as a curator anybody's, with its mentions. False where it was removed already."""
    require_removal(access, remark)
    with transaction.atomic():
        removed, _ = Remark.objects.filter(pk=remark.pk).delete()
        if not removed:
            return False
        author = remark.author.get_username() if remark.author else None
        record_action(access, "remark.remove", remark.pk, trajectory=remark.trajectory_id, author=author)
    return True


def mention_members(
    access: Access, text: str, *, trajectory: Trajectory, remark: Remark | None = None, review: Review | None = None
) -> set[int]:
    """Note for each member whom a text names as "@name" that it does, once; returns their ids.

    The text is a remark's, or the comment of a submitted review. One query where somebody might be named, a second
    where a member is, none where no "@" begins a word. Naming oneself is no mention.
    """
    runs = set(_read_runs(text))
    if not runs:
        return set()
    candidates = {name for run in runs for name in _shorten_run(run)}
    members = Membership.objects.filter(project=access.project, user__username__in=candidates, user__is_active=True)
    ids = dict(members.values_list("user__username", "user_id"))
    longest = (next((name for name in _shorten_run(run) if name in ids), None) for run in runs)
    named = {ids[name] for name in longest if name is not None} - {access.user.pk}
    if named:
        Mention.objects.bulk_create(
            [Mention(user_id=pk, trajectory=trajectory, remark=remark, review=review) for pk in sorted(named)],
            ignore_conflicts=True,
        )
    return named


def mark_seen(access: Access, mentions: Collection[int]) -> int:
    """Mark mentions of the caller as seen; returns how many were not."""
    own = Mention.objects.filter(user=access.user, trajectory__project=access.project, pk__in=mentions)
    return own.filter(seen_at=None).update(seen_at=Now())


def _read_runs(text: str) -> Iterator[str]:
    """What follows each "@" that begins a word, as far as a name could go."""
    if "@" in text:
        # Names are stored in this form, however they are typed.
        yield from NAMED.findall(unicodedata.normalize("NFKC", text))


def _shorten_run(run: str) -> Iterator[str]:
    """The names a run may stand for, longest first: the end of a sentence may belong to it or not."""
    shortest = len(run.rstrip("._@+-"))
    for length in range(min(len(run), LONGEST_NAME), max(shortest, 1) - 1, -1):
        yield run[:length]
