"""Reading queues: what is left, who holds what, and how far each reviewer got."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.cache import cache
from django.db import connection
from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Greatest, Now, TruncDate

from curation.models import PreferencePair, Queue, QueueItem, Reservation, Review, Trajectory
from curation.models.queue import OPEN
from curation.permissions import Access

LARGE = 5000
"""Rows from which on a count is kept for a few seconds: they are counted for every item that is taken."""

KEPT_SECONDS = 5
Counted = TypeVar("Counted")
HELD, DONE = Reservation.State.HELD, Reservation.State.DONE
# Two requests of one moment agree with FREE_EXPIRED on whether a hold still runs: both go by the transaction's time.
FIND_HOLD = """
SELECT held.id FROM curation_reservation AS held JOIN curation_queueitem AS item ON item.id = held.item_id
WHERE held.reviewer_id = %s AND held.state = 'held' AND item.queue_id = %s AND held.expires_at > now()
ORDER BY held.taken_at LIMIT 1
"""


@dataclass(frozen=True)
class Progress:
    """Reviews wanted and given in a queue, and the caller's own share."""

    wanted: int
    given: int
    mine: int
    mine_today: int

    @property
    def left(self) -> int:
        return max(0, self.wanted - self.given)


def keep_if_large(key: str, count: Callable[[], Counted], *, size: Callable[[Counted], int]) -> Counted:
    """What `count` gives; where it counted much, what it gave a few seconds ago.

    Of those who come when that is too old one counts anew, and the others are given the old a little longer.
    """
    kept: tuple[float, Counted] | None = cache.get(key)
    if kept is not None and (kept[0] > time.time() or not cache.add(f"{key}-counted-anew", True, KEPT_SECONDS)):
        return kept[1]
    counted = count()
    if size(counted) > LARGE:
        cache.set(key, (time.time() + KEPT_SECONDS, counted), 12 * KEPT_SECONDS)
        cache.delete(f"{key}-counted-anew")
    return counted


def list_queues(access: Access) -> QuerySet[Queue]:
    """The project's queues with `item_count` and `done_count` (reviews given); gold items as in count_progress."""
    items = QueueItem.objects.filter(queue=OuterRef("pk")).order_by().values("queue")
    given = Reservation.objects.filter(item__queue=OuterRef("pk"), state=DONE).order_by()
    if access.is_curator:
        items, given = items.filter(gold=False), given.filter(slot__isnull=False)
    named = Queue.reviewers.through.objects.filter(queue=OuterRef("pk"))
    return (
        Queue.objects.filter(project=access.project)
        .select_related("rubric")
        .prefetch_related("reviewers")
        .annotate(
            item_count=Coalesce(Subquery(items.annotate(n=Count("pk")).values("n")), Value(0)),
            done_count=Coalesce(Subquery(given.values("item__queue").annotate(n=Count("pk")).values("n")), Value(0)),
            wanted_count=Greatest(F("item_count") * F("reviews_wanted"), F("done_count")),
            may_take=~Exists(named) | Exists(named.filter(user=access.user)),
        )
        .order_by("-id")
    )


def count_progress(access: Access, queue: Queue) -> Progress:
    """Of a large queue, what others gave is some seconds old."""
    wanted, given = count_reviews(access, queue)
    counts = Reservation.objects.filter(item__queue=queue, state=DONE, reviewer=access.user).aggregate(
        mine=Count("id"), today=Count("id", filter=Q(taken_at__date=TruncDate(Now())))
    )
    return Progress(wanted=wanted, given=given, mine=counts["mine"], mine_today=counts["today"])


def count_reviews(access: Access, queue: Queue) -> tuple[int, int]:
    """Reviews wanted in a queue and given; of a large one some seconds old.

    Only curators are told without gold items: a reviewer could tell one by a count that stands still when they answer.
    """
    with_gold = not access.is_curator
    key = f"progress-{queue.pk}-{with_gold}"
    return keep_if_large(key, lambda: _count_reviews(queue, with_gold), size=lambda counts: counts[0])


def _count_reviews(queue: Queue, with_gold: bool) -> tuple[int, int]:
    """Reviews wanted and given; of gold items, one is wanted of each who works here."""
    given = Reservation.objects.filter(item__queue=queue, state=DONE)
    plain, known = Q(gold=False), Q(gold=True)
    items = queue.items.aggregate(plain_items=Count("pk", filter=plain), gold_items=Count("pk", filter=known))
    wanted = items["plain_items"] * queue.reviews_wanted
    if not with_gold:
        return wanted, given.filter(slot__isnull=False).count()
    if items["gold_items"]:
        people = Reservation.objects.filter(item__queue=queue).aggregate(n=Count("reviewer", distinct=True))["n"]
        wanted += items["gold_items"] * max(1, people)
    return wanted, given.count()


def list_skips(queue: Queue, *, most: int = 50) -> QuerySet[Reservation]:
    """The items that somebody passed over last, with their reasons."""
    skipped = Reservation.objects.filter(item__queue=queue, state=Reservation.State.SKIPPED)
    return skipped.select_related("reviewer", "item__trajectory__task", "item__pair__task").order_by("-pk")[:most]


def list_holds(queue: Queue) -> QuerySet[Reservation]:
    """Who holds what since when."""
    held = Reservation.objects.filter(item__queue=queue, state=HELD, expires_at__gt=Now())
    return held.select_related("reviewer", "item__trajectory__task", "item__pair__task").order_by("taken_at")


def list_reviewers(queue: Queue) -> list[dict[str, Any]]:
    """Reviews given by each reviewer: reviewer__username, reviews, last."""
    done = Reservation.objects.filter(item__queue=queue, state=DONE)
    rows = done.values("reviewer__username").annotate(reviews=Count("id"), last=Max("taken_at"))
    return [dict(row) for row in rows.order_by("-reviews")]


def count_bands(queue: Queue) -> list[tuple[int | None, int]]:
    """Items of a queue by difficulty band."""
    rows = queue.items.values("band").annotate(n=Count("id")).order_by("band")
    return [(row["band"] or None, row["n"]) for row in rows]


def find_hold(access: Access, queue: Queue) -> Reservation | None:
    """What the caller holds in a queue already."""
    with connection.cursor() as cursor:
        cursor.execute(FIND_HOLD, [access.user.pk, queue.pk])
        row = cursor.fetchone()
    return find_reservation(queue, row[0]) if row else None


def find_reservation(queue: Queue, pk: int) -> Reservation:
    """A reservation in a queue, with what a page needs of it."""
    reservation = Reservation.objects.select_related("item__trajectory__task").get(pk=pk)
    reservation.item.queue = queue
    return reservation


def has_open_items(access: Access, queue: Queue) -> bool:
    """Whether anything is left that the caller could take."""
    mine = Reservation.objects.filter(
        item=OuterRef("pk"), reviewer=access.user, state__in=[HELD, DONE, Reservation.State.SKIPPED]
    )
    others = Q(assignee__isnull=False) & ~Q(assignee=access.user)
    return queue.items.filter(OPEN).exclude(others).exclude(Exists(mine)).exists()


def find_last_review(access: Access, queue: Queue) -> Review | None:
    """The caller's last submitted review in a queue: what undo takes back."""
    mine = Review.objects.filter(item__queue=queue, reviewer=access.user).exclude(submitted_at=None)
    return mine.order_by("-submitted_at", "-id").first()


def count_band_shares(access: Access, queue: Queue) -> tuple[dict[int, int], dict[int, int]]:
    """Trajectories (of a pairwise queue, pairs) by known band: all, and those accepted; of many, some seconds old."""

    def count() -> list[tuple[int, int, int]]:
        kinds: dict[str, tuple[QuerySet[Any], str]] = {
            Queue.Kind.SINGLE: (Trajectory.objects.all(), Trajectory.Status.ACCEPTED),
            Queue.Kind.PAIRWISE: (PreferencePair.objects.all(), PreferencePair.Status.CONFIRMED),
        }
        rows, wanted = kinds[queue.kind]
        known = rows.filter(project=access.project, task__band__isnull=False).order_by().values("task__band")
        counted = known.annotate(pool=Count("id"), accepted=Count("id", filter=Q(status=wanted)))
        return [(band or 0, pool, kept) for band, pool, kept in counted.values_list("task__band", "pool", "accepted")]

    key = f"band-shares-{access.project.pk}-{queue.kind}"
    counted = keep_if_large(key, count, size=lambda rows: sum(pool for _, pool, _ in rows))
    return {band: pool for band, pool, _ in counted}, {band: accepted for band, _, accepted in counted}
