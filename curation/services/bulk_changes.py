"""What a bulk action does to a batch of trajectories, and how that is taken back. Each is a few statements."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.db import connection
from django.db.models import F, Q, QuerySet, Value
from django.db.models.expressions import Func
from django.db.models.functions import Now

from curation.models import BulkAction, BulkChange, Queue, QueueItem, Reservation, Trajectory, User
from curation.selectors.bulk import MOST_TAGS, BulkOrder, in_hands
from curation.services.decisions import decide_in_bulk, withdraw_bulk_decisions
from curation.services.queue_items import add_trajectories

Action = BulkAction.Action

# A later action that gave or took the same tag has the last word.
LAST_WORD = """
SELECT mine.trajectory_id FROM curation_bulkchange AS mine
WHERE mine.bulk_id = %(bulk)s AND mine.trajectory_id = ANY(%(ids)s) AND NOT EXISTS (
    SELECT 1 FROM curation_bulkchange AS later JOIN curation_bulkaction AS other ON other.id = later.bulk_id
    WHERE later.trajectory_id = mine.trajectory_id AND later.id > mine.id
        AND other.action IN ('tag', 'untag') AND other.parameters ->> 'tag' = %(tag)s)
"""


class QueueChanged(Exception):
    """Somebody else put one of the trajectories into the queue, or took its item, at the same moment."""


def change_trajectories(job: BulkAction, order: BulkOrder, ids: Sequence[int]) -> list[BulkChange]:
    """Do what `order` says to these, which it changes; returns what is to be remembered of it, not saved yet.

    The caller holds a transaction, and where rows of trajectories are written, those rows. Raises QueueChanged: then
    the transaction has to be rolled back, and may be begun again.
    """
    if not ids:
        return []
    if order.action in (Action.ACCEPT, Action.REJECT):
        decide_in_bulk(job, ids, verdict=order.action, comment=order.reason)
    elif order.action == Action.TAG:
        _add_tag(ids, order.tag)
    elif order.action == Action.UNTAG:
        _remove_tag(ids, order.tag)
    elif order.queue is not None:
        return _queue(job, order.queue, order.assignee, ids)
    return [BulkChange(bulk=job, trajectory_id=pk) for pk in ids]


def take_back(job: BulkAction, changes: Sequence[BulkChange]) -> list[int]:
    """Take back what was changed of these trajectories and not changed since; returns which. The caller as above."""
    ids = [change.trajectory_id for change in changes]
    if job.action in (Action.ACCEPT, Action.REJECT):
        return withdraw_bulk_decisions(job, ids)
    if job.action in (Action.TAG, Action.UNTAG):
        return _take_back_tag(job, ids)
    if job.action == Action.QUEUE:
        return _remove_items(job, ids, assignee=None)
    return _take_back_assignment(job, changes)


def _add_tag(ids: Sequence[int], tag: str) -> None:
    Trajectory.objects.filter(pk__in=ids).update(tags=Func(F("tags"), Value(tag), function="array_append"))


def _remove_tag(ids: Sequence[int], tag: str) -> None:
    Trajectory.objects.filter(pk__in=ids).update(tags=Func(F("tags"), Value(tag), function="array_remove"))


def _take_back_tag(job: BulkAction, ids: Sequence[int]) -> list[int]:
    tag = job.parameters["tag"]
    with connection.cursor() as cursor:
        cursor.execute(LAST_WORD, {"bulk": job.pk, "ids": list(ids), "tag": tag})
        unchanged = Trajectory.objects.filter(pk__in=[pk for (pk,) in cursor.fetchall()])
    if job.action == Action.TAG:
        undone = list(unchanged.filter(tags__contains=[tag]).values_list("pk", flat=True))
        _remove_tag(undone, tag)
    else:
        without = unchanged.exclude(tags__contains=[tag]).filter(tags__len__lt=MOST_TAGS)
        undone = list(without.values_list("pk", flat=True))
        _add_tag(undone, tag)
    return undone


def _queue(job: BulkAction, queue: Queue, assignee: User | None, ids: Sequence[int]) -> list[BulkChange]:
    """Put those into the queue that are not in it and, with an assignee, make all of them that person's."""
    items = QueueItem.objects.filter(queue=queue, trajectory__in=ids)
    before = dict(items.order_by("pk").select_for_update().values_list("trajectory_id", "assignee_id"))
    if before and assignee is None:
        raise QueueChanged
    missing = [pk for pk in ids if pk not in before]
    if missing and add_trajectories(queue, Trajectory.objects.filter(pk__in=missing)) != len(missing):
        raise QueueChanged
    if assignee is not None:
        free = items.exclude(in_hands(held=Q(expires_at__gt=Now())))
        if free.update(assignee=assignee) != len(ids):
            raise QueueChanged
    return [
        BulkChange(bulk=job, trajectory_id=pk, added_item=pk not in before, assignee_before_id=before.get(pk))
        for pk in ids
    ]


def _take_back_assignment(job: BulkAction, changes: Sequence[BulkChange]) -> list[int]:
    """Items that it put into the queue go; the others are whose they were before."""
    assignee = job.parameters["assignee"]
    undone = _remove_items(job, [change.trajectory_id for change in changes if change.added_item], assignee=assignee)
    before: dict[int | None, list[int]] = {}
    for change in changes:
        if not change.added_item:
            before.setdefault(change.assignee_before_id, []).append(change.trajectory_id)
    for person, ids in before.items():
        undone += _give_items(job, ids, assignee=assignee, to=person)
    return undone


def _remove_items(job: BulkAction, ids: Sequence[int], *, assignee: int | None) -> list[int]:
    """Remove items from the queue that are still as the action left them; returns their trajectories."""
    free = _lock_items(job, ids).filter(assignee=assignee).exclude(in_hands())
    # An item that a curator decided on has served its purpose, too.
    removed = dict(free.filter(decisions=None).values_list("pk", "trajectory_id"))
    QueueItem.objects.filter(pk__in=removed).delete()
    return [pk for pk in removed.values() if pk is not None]


def _give_items(job: BulkAction, ids: Sequence[int], *, assignee: int, to: int | None) -> list[int]:
    """Give items that are still the assignee's, and in nobody's hands, to somebody else, or to all."""
    free = _lock_items(job, ids).filter(assignee=assignee).exclude(in_hands(held=Q(expires_at__gt=Now())))
    given = dict(free.values_list("pk", "trajectory_id"))
    QueueItem.objects.filter(pk__in=given).update(assignee=to)
    return [pk for pk in given.values() if pk is not None]


def _lock_items(job: BulkAction, ids: Collection[int]) -> QuerySet[QueueItem]:
    """The items of these trajectories in the action's queue: who would take one waits."""
    items = QueueItem.objects.filter(queue=job.parameters["queue"], trajectory__in=ids)
    # Reservations first, as for whoever answers on a hold that ended.
    held = Reservation.objects.filter(item__queue=job.parameters["queue"], item__trajectory__in=ids)
    list(held.order_by("pk").select_for_update(of=("self",)).values_list("pk"))
    list(items.order_by("pk").select_for_update().values_list("pk"))
    return items
