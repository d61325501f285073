"""Queues: filling one, taking the next item, giving one back.

Taking is one statement with SKIP LOCKED over an index of the items that are open, so that a thousand reviewers never
wait for one another, however long the queue; that an item is never given out too often, nor twice to one reviewer, is
held by unique constraints on Reservation.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TypedDict, Unpack

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from curation.bias import deficit_by_band, read_target, target_shares
from curation.difficulty import BANDS
from curation.formats.cleaning import clean_text
from curation.models import Membership, PreferencePair, Queue, Reservation, Role, Trajectory, User
from curation.permissions import Access
from curation.selectors.queues import count_band_shares, find_hold, find_reservation, has_open_items
from curation.services.audit import record_action
from curation.services.queue_items import add_pairs, add_trajectories, rank_by_deficit


class QueueSettings(TypedDict, total=False):
    """How a queue is worked: the fields of Queue by name, each with the model's default."""

    conditions: dict[str, str]
    order: str
    seed: int
    reviews_wanted: int
    blind: bool
    lease_minutes: int
    gold_percent: int


def create_queue(
    access: Access,
    *,
    name: str,
    trajectories: QuerySet[Trajectory] | None = None,
    pairs: QuerySet[PreferencePair] | None = None,
    reviewers: Iterable[User] = (),
    **settings: Unpack[QueueSettings],
) -> Queue:
    """A queue of these trajectories, or of these pairs: then it is pairwise.

    `reviewers` are who may take from it; none named, every reviewer of the project may. Raises ValueError for a taken
    name, for somebody who is no reviewer here, and where there is nothing to review.
    """
    kind, rows = (Queue.Kind.SINGLE, trajectories) if pairs is None else (Queue.Kind.PAIRWISE, pairs)
    named = _check_reviewers(access, reviewers)
    try:
        with transaction.atomic():
            queue = Queue.objects.create(
                project=access.project, name=name, kind=kind, created_by=access.user, **settings
            )
            queue.reviewers.set(named)
            added = _add(queue, Trajectory.objects.none() if rows is None else rows)
            if not added:
                raise ValueError("Nothing fits these conditions, so there would be nothing to review.")
            record_action(access, "queue.create", queue, items=added)
    except IntegrityError as error:
        raise ValueError(f"There is a queue named {name!r} already.") from error
    return queue


def change_queue(
    access: Access, queue: Queue, *, name: str, reviewers: Iterable[User], lease_minutes: int, gold_percent: int
) -> None:
    """Change how a queue is worked; what it holds stays. Raises ValueError as create_queue does."""
    named = _check_reviewers(access, reviewers)
    try:
        with transaction.atomic():
            Queue.objects.filter(pk=queue.pk).update(name=name, lease_minutes=lease_minutes, gold_percent=gold_percent)
            queue.reviewers.set(named)
            record_action(access, "queue.change", queue, reviewers=[user.pk for user in named])
    except IntegrityError as error:
        raise ValueError(f"There is a queue named {name!r} already.") from error


def order_by_deficit(access: Access, queue: Queue) -> bool:
    """Serve the band that accepted trajectories lack most first, from now on; False where it is so already."""
    access.require(Role.CURATOR)
    with transaction.atomic():
        others = Queue.objects.filter(pk=queue.pk, project=access.project).exclude(order=Queue.Order.DEFICIT)
        if not others.update(order=Queue.Order.DEFICIT):
            return False
        record_action(access, "queue.order", queue, order=Queue.Order.DEFICIT)
    rank_by_deficit(queue)
    return True


def extend_queue(access: Access, queue: Queue, rows: QuerySet[Trajectory] | QuerySet[PreferencePair]) -> int:
    """Put more into a queue that people work in already; returns how many were not in it.

    Raises ValueError for trajectories in a queue of pairs, and the other way round.
    """
    added = _add(queue, rows)
    record_action(access, "queue.extend", queue, items=added)
    return added


def _add(queue: Queue, rows: QuerySet[Trajectory] | QuerySet[PreferencePair]) -> int:
    return add_pairs(queue, rows) if issubclass(rows.model, PreferencePair) else add_trajectories(queue, rows)


LEASE_RAN_OUT = "The lease ran out."

# Items that somebody is just writing on are left for the next time: here nobody waits, so nobody waits in a circle.
FREE_EXPIRED = """
UPDATE curation_reservation SET state = 'released', reason = %(ran_out)s
WHERE id IN (
    SELECT held.id FROM curation_reservation held JOIN curation_queueitem item ON item.id = held.item_id
    WHERE held.state = 'held' AND held.expires_at <= now() AND item.queue_id = %(queue)s
    ORDER BY held.id FOR UPDATE OF held, item SKIP LOCKED)
"""
FIND_OPEN = """
SELECT item.id, item.free_slots[1] AS slot FROM curation_queueitem item
WHERE item.queue_id = %(queue)s AND item.free_slots <> '{}' AND (%(condition)s)
  AND NOT EXISTS (
      SELECT 1 FROM curation_reservation mine
      WHERE mine.item_id = item.id AND mine.reviewer_id = %(reviewer)s AND mine.state <> 'released')
ORDER BY item.rank, item.id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
FIND_DEFERRED = """
SELECT item.id, item.free_slots[1] AS slot FROM curation_queueitem item
WHERE item.queue_id = %(queue)s AND item.free_slots <> '{}'
  AND (item.assignee_id IS NULL OR item.assignee_id = %(reviewer)s)
  AND NOT EXISTS (
      SELECT 1 FROM curation_reservation mine
      WHERE mine.item_id = item.id AND mine.reviewer_id = %(reviewer)s AND mine.state IN ('held', 'done', 'skipped'))
ORDER BY (
    SELECT max(later.id) FROM curation_reservation later
    WHERE later.item_id = item.id AND later.reviewer_id = %(reviewer)s AND later.state = 'deferred')
LIMIT 1 FOR UPDATE SKIP LOCKED
"""
TAKE = """
INSERT INTO curation_reservation (item_id, reviewer_id, slot, state, taken_at, expires_at, reason)
SELECT next_item.id, %(reviewer)s, next_item.slot, 'held', now(), now() + %(minutes)s * interval '1 minute', ''
FROM (%(found)s LIMIT 1) AS next_item
ON CONFLICT DO NOTHING RETURNING id
"""
# In an order of each reviewer's own, so that nobody can tell a gold item by when it comes.
FIND_GOLD = """
SELECT item.id, NULL::smallint AS slot FROM curation_queueitem item
WHERE item.queue_id = %(queue)s AND item.gold
  AND NOT EXISTS (
      SELECT 1 FROM curation_reservation mine
      WHERE mine.item_id = item.id AND mine.reviewer_id = %(reviewer)s AND mine.state <> 'released')
ORDER BY md5(item.id || ':' || %(reviewer)s)
"""
MAY_TAKE = "SELECT coalesce(bool_or(user_id = %s), true) FROM curation_queue_reviewers WHERE queue_id = %s"
LOCK_REVIEWER = "SELECT pg_advisory_xact_lock(%s, %s)"
TRIES = 10
PAUSE = 0.03


def take_next(access: Access, queue: Queue) -> Reservation | None:
    """The caller's hold on the next item: the one they have already, else a new one; None where nothing is left.

    Leases that ran out are freed first. Two requests of one person wait for one another, those of different people
    never do: an item that somebody is just taking is passed over. Raises PermissionDenied for whoever may not take
    from this queue.
    """
    require_taker(access, queue)
    statement = _write_take(_list_branches(access, queue))
    parameters: dict[str, int | str] = {
        "queue": queue.pk,
        "reviewer": access.user.pk,
        "minutes": queue.lease_minutes,
        "ran_out": LEASE_RAN_OUT,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LOCK_REVIEWER, [queue.pk, access.user.pk])
        held = find_hold(access, queue)
        if held is not None:
            return held
        cursor.execute(FREE_EXPIRED, parameters)
        if queue.gold_percent and random.random() * 100 < queue.gold_percent:  # noqa: S311  # a lot, not a secret
            cursor.execute(TAKE.replace("%(found)s", FIND_GOLD), parameters)
            if row := cursor.fetchone():
                return find_reservation(queue, row[0])
        for _ in range(TRIES):
            cursor.execute(statement, parameters)
            if row := cursor.fetchone():
                return find_reservation(queue, row[0])
            if not has_open_items(access, queue):
                return None
            time.sleep(PAUSE)  # somebody holds the rows of all that is left: they take them, or let them go
    return None


def may_hold_again(access: Access, reservation: Reservation) -> bool:
    """Whether a hold that ended may go on: it ran out or its holder gave it back, and the item may be taken by them."""
    item = reservation.item
    theirs = item.assignee_id in (None, access.user.pk) and may_take(access, item.queue)
    return theirs and reservation.reason in ("", LEASE_RAN_OUT, _tell_release(access.user))


def _tell_release(user: User) -> str:
    return f"Released by {user.get_username()}."


def require_taker(access: Access, queue: Queue) -> None:
    """Raises PermissionDenied where the queue names who may take from it, and the caller is not named."""
    if not may_take(access, queue):
        raise PermissionDenied("Only the reviewers named by its curator take from this queue.")


def may_take(access: Access, queue: Queue) -> bool:
    """Whether the caller may take from a queue: they are named by it, or nobody is."""
    with connection.cursor() as cursor:
        cursor.execute(MAY_TAKE, [access.user.pk, queue.pk])
        return bool(cursor.fetchone()[0])


def _list_branches(access: Access, queue: Queue) -> list[str]:
    """The conditions to look under, one after another: what is the caller's alone, then the bands in their order."""
    unassigned = "item.assignee_id IS NULL"
    bands = [f"{unassigned} AND item.band = {int(band)}" for band in _order_bands(access, queue)]
    return ["item.assignee_id = %(reviewer)s", *(bands or [unassigned])]


def _write_take(conditions: Sequence[str]) -> str:
    """One statement: the first open item under the first of these conditions that has one.

    Each condition is a branch of its own, so that each is one step into an index; the later ones are not run. What the
    reviewer put off comes last, that of longest ago first.
    """
    found = " UNION ALL ".join(
        f"(SELECT id, slot FROM ({FIND_OPEN.replace('%(condition)s', condition)}) AS open_{index})"  # noqa: S608  # ours
        for index, condition in enumerate(conditions)
    )
    found += f" UNION ALL (SELECT id, slot FROM ({FIND_DEFERRED}) AS deferred)"  # noqa: S608  # a constant
    return TAKE.replace("%(found)s", found)


def renew_lease(reservation: Reservation) -> bool:
    """Prolong a hold; False where it was lost."""
    held = Reservation.objects.filter(pk=reservation.pk, state=Reservation.State.HELD)
    lease = timedelta(minutes=reservation.item.queue.lease_minutes)
    return bool(held.update(expires_at=Now() + lease))


def release_item(access: Access, reservation: Reservation) -> bool:
    """Give a held item back; by its holder or by a curator (the caller checks). False where it was no longer held."""
    freed = Reservation.objects.filter(pk=reservation.pk, state=Reservation.State.HELD).update(
        state=Reservation.State.RELEASED, reason=_tell_release(access.user)
    )
    if freed and reservation.reviewer_id != access.user.pk:
        record_action(access, "reservation.release", reservation.pk, reviewer=reservation.reviewer_id)
    return bool(freed)


def skip_item(reservation: Reservation, *, reason: str) -> bool:
    """Leave an item to others: it is not served to this reviewer again. False where it was no longer held."""
    words = clean_text(reason)[0].strip()[:300]
    if not words:
        raise ValueError("Say in a few words why you skip it.")
    held = Reservation.objects.filter(pk=reservation.pk, state=Reservation.State.HELD)
    return bool(held.update(state=Reservation.State.SKIPPED, reason=words))


def defer_item(reservation: Reservation) -> bool:
    """Put an item off: its reviewer gets it again after all others. False where it was no longer held."""
    held = Reservation.objects.filter(pk=reservation.pk, state=Reservation.State.HELD)
    return bool(held.update(state=Reservation.State.DEFERRED))


def _check_reviewers(access: Access, reviewers: Iterable[User]) -> list[User]:
    named = list(reviewers)
    allowed = Membership.objects.filter(project=access.project, roles__contains=[Role.REVIEWER], user__in=named)
    if allowed.count() < len({user.pk for user in named}):
        raise ValueError("Only reviewers of this project can take from its queues.")
    return named


def _order_bands(access: Access, queue: Queue) -> list[int]:
    """Bands in the order in which they are served; 0 stands for unknown. Equal order for all: one band is as good."""
    if queue.order != Queue.Order.DEFICIT:
        return []
    pool, accepted = count_band_shares(access, queue)
    deficit = deficit_by_band(accepted, target_shares(read_target(access.project.target), pool))
    return [*sorted(BANDS, key=lambda band: (-deficit[band], -band)), 0]
