"""Reading queues: what is left, who holds what, and how far each reviewer got."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.cache import cache
from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Now, TruncDate

from curation.models import Queue, QueueItem, Reservation, Review, Trajectory
from curation.models.queue import OPEN
from curation.permissions import Access

LARGE = 5000
"""Rows from which on a count is kept for a few seconds: they are counted for every item that is taken."""

KEPT_SECONDS = 5
Counted = TypeVar("Counted")
HELD, DONE = Reservation.State.HELD, Reservation.State.DONE


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
    """What `count` gives; where it counted much, what it gave a few seconds ago."""
    kept: Counted | None = cache.get(key)
    if kept is not None:
        return kept
    counted = count()
    if size(counted) > LARGE:
        cache.set(key, counted, KEPT_SECONDS)
    return counted


def list_queues(access: Access) -> QuerySet[Queue]:
    """The project's queues with `item_count` and `done_count` (reviews given)."""
    queues = Queue.objects.filter(project=access.project).order_by("-id")
    return queues.annotate(
        item_count=Count("items", distinct=True),
        done_count=Count("items__reservations", filter=Q(items__reservations__state=DONE), distinct=True),
        wanted_count=F("item_count") * F("reviews_wanted"),
    )


def count_progress(access: Access, queue: Queue) -> Progress:
    """Of a large queue, what others gave is some seconds old."""
    wanted, given = keep_if_large(f"progress-{queue.pk}", lambda: _count_reviews(queue), size=lambda counts: counts[0])
    counts = Reservation.objects.filter(item__queue=queue, state=DONE, reviewer=access.user).aggregate(
        mine=Count("id"), today=Count("id", filter=Q(taken_at__date=TruncDate(Now())))
    )
    return Progress(wanted=wanted, given=given, mine=counts["mine"], mine_today=counts["today"])


def _count_reviews(queue: Queue) -> tuple[int, int]:
    """Reviews wanted and given."""
    given = Reservation.objects.filter(item__queue=queue, state=DONE).count()
    return queue.items.count() * queue.reviews_wanted, given


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
    rows = queue.items.values("trajectory__task__band").annotate(n=Count("id")).order_by("trajectory__task__band")
    return [(row["trajectory__task__band"], row["n"]) for row in rows]


def find_draft(reservation: Reservation) -> Review | None:
    """The reviewer's own answer to an item so far, submitted or not."""
    drafts = Review.objects.filter(item_id=reservation.item_id, reviewer_id=reservation.reviewer_id)
    return drafts.prefetch_related("step_labels").first()


def find_hold(access: Access, queue: Queue) -> Reservation | None:
    """What the caller holds in a queue already."""
    held = Reservation.objects.filter(item__queue=queue, reviewer=access.user, state=HELD, expires_at__gt=Now())
    return held.order_by("taken_at").first()


def has_open_items(access: Access, queue: Queue) -> bool:
    """Whether anything is left that the caller could take."""
    mine = Reservation.objects.filter(
        item=OuterRef("pk"), reviewer=access.user, state__in=[HELD, DONE, Reservation.State.SKIPPED]
    )
    return queue.items.filter(OPEN).exclude(Exists(mine)).exists()


def find_last_review(access: Access, queue: Queue) -> Review | None:
    """The caller's last submitted review in a queue: what undo takes back."""
    mine = Review.objects.filter(item__queue=queue, reviewer=access.user).exclude(submitted_at=None)
    return mine.order_by("-submitted_at", "-id").first()


def count_band_shares(access: Access) -> tuple[dict[int, int], dict[int, int]]:
    """Trajectories by known band: of the pool, and of what was accepted so far; of many, some seconds old."""

    def count() -> list[tuple[int, int, int]]:
        known = Trajectory.objects.filter(project=access.project, task__band__isnull=False).values("task__band")
        accepted = Count("id", filter=Q(status=Trajectory.Status.ACCEPTED))
        rows = known.annotate(pool=Count("id"), accepted=accepted)
        return [(band or 0, pool, kept) for band, pool, kept in rows.values_list("task__band", "pool", "accepted")]

    key = f"band-shares-{access.project.pk}"
    counted = keep_if_large(key, count, size=lambda rows: sum(pool for _, pool, _ in rows))
    return {band: pool for band, pool, _ in counted}, {band: accepted for band, _, accepted in counted}


def list_items(queue: Queue) -> QuerySet[QueueItem]:
    return queue.items.select_related("trajectory__task").order_by("rank", "id")
