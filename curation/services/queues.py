"""Queues: filling one, taking the next item, giving one back.

Taking is one statement with SKIP LOCKED over an index of the items that are open, so that a thousand reviewers never
wait for one another, however long the queue; that an item is never given out too often, nor twice to one reviewer, is
held by unique constraints on Reservation.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import F, FloatField, QuerySet
from django.db.models.functions import Cast, Now, Random

from curation.difficulty import BANDS, deficit_by_band
from curation.formats.cleaning import clean_text
from curation.models import Queue, Reservation, Trajectory
from curation.permissions import Access
from curation.selectors.queues import count_band_shares, find_hold, has_open_items
from curation.services.audit import record_action


def create_queue(
    access: Access,
    *,
    name: str,
    trajectories: QuerySet[Trajectory],
    order: str = Queue.Order.DEFICIT,
    reviews_wanted: int = 1,
    blind: bool = False,
    lease_minutes: int = 30,
) -> Queue:
    """A queue of these trajectories. Raises ValueError for a taken name, and where there is nothing to review."""
    try:
        with transaction.atomic():
            queue = Queue.objects.create(
                project=access.project,
                name=name,
                order=order,
                reviews_wanted=reviews_wanted,
                blind=blind,
                lease_minutes=lease_minutes,
                created_by=access.user,
            )
            added = add_items(queue, trajectories)
            if not added:
                raise ValueError("No trajectory fits these conditions, so there would be nothing to review.")
            record_action(access, "queue.create", queue, items=added)
    except IntegrityError as error:
        raise ValueError(f"There is a queue named {name!r} already.") from error
    return queue


def extend_queue(access: Access, queue: Queue, trajectories: QuerySet[Trajectory]) -> int:
    """Put more trajectories into a queue that people work in already; returns how many were not in it."""
    added = add_items(queue, trajectories)
    record_action(access, "queue.extend", queue, items=added)
    return added


def add_items(queue: Queue, trajectories: QuerySet[Trajectory]) -> int:
    """Put trajectories into a queue; those that are in it already stay as they are.

    Returns the number added, and counts none that somebody else adds at the same moment.
    """
    rank = Random() if queue.order == Queue.Order.RANDOM else Cast(F("id"), FloatField())
    chosen = trajectories.filter(project_id=queue.project_id).annotate(queue_rank=rank).order_by()
    statement, parameters = chosen.values_list("pk", "queue_rank").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(FILL.replace("%(chosen)s", statement), [queue.pk, *parameters])
        return int(cursor.rowcount)


FILL = """
INSERT INTO curation_queueitem (queue_id, trajectory_id, rank, band, free_slots, gold, gold_verdict, added_at)
SELECT %s, chosen.id, chosen.rank, 0, '{}', false, '', now() FROM (%(chosen)s) AS chosen (id, rank)
ORDER BY chosen.rank, chosen.id ON CONFLICT DO NOTHING
"""
FREE_EXPIRED = """
UPDATE curation_reservation SET state = 'released', reason = 'The lease ran out.'
WHERE id IN (
    SELECT held.id FROM curation_reservation held JOIN curation_queueitem item ON item.id = held.item_id
    WHERE held.state = 'held' AND held.expires_at <= now() AND item.queue_id = %(queue)s
    ORDER BY held.id FOR UPDATE OF held SKIP LOCKED)
"""
FIND_OPEN = """
SELECT item.id, item.free_slots[1] AS slot FROM curation_queueitem item
WHERE item.queue_id = %(queue)s AND item.free_slots <> '{}' AND (%(band)s)
  AND NOT EXISTS (
      SELECT 1 FROM curation_reservation mine
      WHERE mine.item_id = item.id AND mine.reviewer_id = %(reviewer)s AND mine.state <> 'released')
ORDER BY item.rank, item.id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
FIND_DEFERRED = """
SELECT item.id, item.free_slots[1] AS slot FROM curation_queueitem item
WHERE item.queue_id = %(queue)s AND item.free_slots <> '{}'
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
LOCK_REVIEWER = "SELECT pg_advisory_xact_lock(%s, %s)"
TRIES = 10
PAUSE = 0.03


def take_next(access: Access, queue: Queue) -> Reservation | None:
    """The caller's hold on the next item: the one they have already, else a new one; None where nothing is left.

    Leases that ran out are freed first. Two requests of one person wait for one another, those of different people
    never do: an item that somebody is just taking is passed over.
    """
    statement = _write_take(_order_bands(access, queue))
    parameters = {"queue": queue.pk, "reviewer": access.user.pk, "minutes": queue.lease_minutes}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LOCK_REVIEWER, [queue.pk, access.user.pk])
        held = find_hold(access, queue)
        if held is not None:
            return held
        cursor.execute(FREE_EXPIRED, parameters)
        for _ in range(TRIES):
            cursor.execute(statement, parameters)
            if row := cursor.fetchone():
                return Reservation.objects.select_related("item__queue").get(pk=row[0])
            if not has_open_items(access, queue):
                return None
            time.sleep(PAUSE)  # somebody holds the rows of all that is left: they take them, or let them go
    return None


def _write_take(bands: Sequence[int]) -> str:
    """One statement: the first open item of the first of these bands that has one, or of any, without bands.

    Each band is a branch of its own, so that each is one step into an index; the later ones are not run. What the
    reviewer put off comes last, that of longest ago first.
    """
    conditions = [f"item.band = {int(band)}" for band in bands] or ["true"]
    found = " UNION ALL ".join(
        f"(SELECT id, slot FROM ({FIND_OPEN.replace('%(band)s', condition)}) AS open_{index})"  # noqa: S608  # whole numbers
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
        state=Reservation.State.RELEASED, reason=f"Released by {access.user.get_username()}."
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


def _order_bands(access: Access, queue: Queue) -> list[int]:
    """Bands in the order in which they are served; 0 stands for unknown. Equal order for all: one band is as good."""
    if queue.order != Queue.Order.DEFICIT:
        return []
    pool, accepted = count_band_shares(access)
    deficit = deficit_by_band(accepted, pool)
    return [*sorted(BANDS, key=lambda band: (-deficit[band], -band)), 0]
