"""Reading queues: what is left, who holds what, and how far each reviewer got."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Max, Q, QuerySet
from django.db.models.functions import Now, TruncDate

from curation.models import Queue, QueueItem, Reservation, Review, Trajectory
from curation.permissions import Access

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


def list_queues(access: Access) -> QuerySet[Queue]:
    """The project's queues with `item_count` and `done_count` (reviews given)."""
    queues = Queue.objects.filter(project=access.project).order_by("-id")
    return queues.annotate(
        item_count=Count("items", distinct=True),
        done_count=Count("items__reservations", filter=Q(items__reservations__state=DONE), distinct=True),
        wanted_count=F("item_count") * F("reviews_wanted"),
    )


def count_progress(access: Access, queue: Queue) -> Progress:
    given = Reservation.objects.filter(item__queue=queue, state=DONE)
    counts = given.aggregate(
        given=Count("id"),
        mine=Count("id", filter=Q(reviewer=access.user)),
        today=Count("id", filter=Q(reviewer=access.user, taken_at__date=TruncDate(Now()))),
    )
    wanted = queue.items.count() * queue.reviews_wanted
    return Progress(wanted=wanted, given=counts["given"], mine=counts["mine"], mine_today=counts["today"])


def list_holds(queue: Queue) -> QuerySet[Reservation]:
    """Who holds what since when."""
    held = Reservation.objects.filter(item__queue=queue, state=HELD, expires_at__gt=Now())
    return held.select_related("reviewer", "item__trajectory__task").order_by("taken_at")


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


def find_last_review(access: Access, queue: Queue) -> Review | None:
    """The caller's last submitted review in a queue: what undo takes back."""
    mine = Review.objects.filter(item__queue=queue, reviewer=access.user).exclude(submitted_at=None)
    return mine.order_by("-submitted_at", "-id").first()


def count_band_shares(access: Access) -> tuple[dict[int, int], dict[int, int]]:
    """Trajectories by known band: of the pool, and of what was accepted so far."""
    rows = (
        Trajectory.objects.filter(project=access.project, task__band__isnull=False)
        .values("task__band")
        .annotate(pool=Count("id"), accepted=Count("id", filter=Q(status=Trajectory.Status.ACCEPTED)))
    )
    known = [(row["task__band"] or 0, row["pool"], row["accepted"]) for row in rows]
    return {band: pool for band, pool, _ in known}, {band: accepted for band, _, accepted in known}


def list_items(queue: Queue) -> QuerySet[QueueItem]:
    return queue.items.select_related("trajectory__task").order_by("rank", "id")
