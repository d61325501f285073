"""Reading bulk actions and saved filters; what an action would do to each trajectory, before it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import (
    Case,
    CharField,
    Count,
    Exists,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Now

from curation.models import BulkAction, Decision, Queue, QueueItem, Reservation, Review, SavedFilter, Trajectory, User
from curation.permissions import Access
from curation.selectors.pages import Page, take_page

Action = BulkAction.Action
MOST_TAGS = 20
"""Tags of one trajectory."""

CHANGES, ALREADY, FULL, BUSY = "changes", "already", "full", "busy"
"""What becomes of a trajectory: all but the first leave it as it is."""

REASONS = {
    (Action.ACCEPT, ALREADY): "are accepted already, by a decision that stands",
    (Action.REJECT, ALREADY): "are rejected already, by a decision that stands",
    (Action.TAG, ALREADY): "have the tag already",
    (Action.TAG, FULL): f"have {MOST_TAGS} tags, the most there can be",
    (Action.UNTAG, ALREADY): "do not have the tag",
    (Action.QUEUE, ALREADY): "are in the queue already",
    (Action.ASSIGN, ALREADY): "are this reviewer's already",
    (Action.ASSIGN, BUSY): "are in somebody's hands, reviewed or begun in this queue, or gold items of it",
}


@dataclass(frozen=True, kw_only=True)
class BulkOrder:
    """What to do with each of many trajectories: an action, and what that action needs."""

    action: str
    tag: str = ""
    queue: Queue | None = None
    assignee: User | None = None
    reason: str = ""


@dataclass(frozen=True)
class BandCount:
    """Trajectories of one band: how many fit, and how many of them would change."""

    band: int | None
    fitting: int
    changing: int


@dataclass(frozen=True)
class Preview:
    """What an action would do. `left_out` says why trajectories stay as they are: reason to number.

    `contrary` counts those whose reviews say the opposite of what would be decided.
    """

    bands: list[BandCount]
    left_out: dict[str, int]
    contrary: int

    @property
    def fitting(self) -> int:
        return sum(row.fitting for row in self.bands)

    @property
    def changing(self) -> int:
        return sum(row.changing for row in self.bands)

    @property
    def shares(self) -> list[tuple[int | None, float]]:
        """What would change, by band, as the bar of bands takes it."""
        return [(row.band, row.changing) for row in self.bands if row.changing]


def preview_bulk_action(chosen: QuerySet[Trajectory], order: BulkOrder) -> Preview:
    """Count what `order` would do to the chosen trajectories. Reads no document."""
    counted = mark_fates(chosen.order_by(), order).values_list("task__band", "fate").annotate(n=Count("pk"))
    fitting: dict[int | None, int] = {}
    changing: dict[int | None, int] = {}
    left_out: dict[str, int] = {}
    for band, fate, number in counted:
        fitting[band] = fitting.get(band, 0) + number
        if fate == CHANGES:
            changing[band] = number
        else:
            left_out[fate] = left_out.get(fate, 0) + number
    bands = [
        BandCount(band, fitting[band], changing.get(band, 0)) for band in sorted(fitting, key=lambda band: band or 0)
    ]
    contrary = 0
    if order.action in (Action.ACCEPT, Action.REJECT):
        other = Review.Verdict.REJECT if order.action == Action.ACCEPT else Review.Verdict.ACCEPT
        said = Review.objects.filter(trajectory=OuterRef("pk"), verdict=other, submitted_at__isnull=False)
        against = chosen.filter(Exists(said.exclude(item__gold=True)))
        contrary = mark_fates(against.order_by(), order).filter(fate=CHANGES).count()
    return Preview(bands, left_out, contrary)


def mark_fates(rows: QuerySet[Trajectory], order: BulkOrder) -> QuerySet[Any]:
    """The trajectories with `fate`: whether `order` changes each, or why not. The preview and the job both go by it."""
    match order.action:
        case Action.ACCEPT | Action.REJECT:
            standing = Decision.objects.filter(trajectory=OuterRef("pk"), withdrawn_at=None).order_by("-id")
            rows = rows.alias(standing=Subquery(standing.values("verdict")[:1]))
            fates = [(Q(standing=order.action), ALREADY)]
        case Action.TAG:
            fates = [(Q(tags__contains=[order.tag]), ALREADY), (Q(tags__len__gte=MOST_TAGS), FULL)]
        case Action.UNTAG:
            fates = [(~Q(tags__contains=[order.tag]), ALREADY)]
        case Action.QUEUE:
            items = QueueItem.objects.filter(queue=order.queue, trajectory=OuterRef("pk"))
            fates = [(Q(Exists(items)), ALREADY)]
        case _:
            items = QueueItem.objects.filter(queue=order.queue, trajectory=OuterRef("pk"))
            busy = items.filter(in_hands(held=Q(expires_at__gt=Now())))
            fates = [(Q(Exists(items.filter(assignee=order.assignee))), ALREADY), (Q(Exists(busy)), BUSY)]
    whens = [When(condition, then=Value(fate)) for condition, fate in fates]
    return rows.annotate(fate=Case(*whens, default=Value(CHANGES), output_field=CharField()))


def in_hands(*, held: Q | None = None) -> Q:
    """Of queue items: somebody holds it, or has reviewed or begun it, or it is a gold item, which is everybody's.

    `held` narrows which holds count; without it, one whose lease ran out counts too, since it may still be answered.
    """
    mine = Reservation.objects.filter(item=OuterRef("pk"))
    taken = Q(state=Reservation.State.DONE) | (Q(state=Reservation.State.HELD) & (held or Q()))
    return Q(gold=True) | Q(Exists(mine.filter(taken))) | Q(Exists(Review.objects.filter(item=OuterRef("pk"))))


def explain_left_out(action: str, left_out: Mapping[str, int]) -> list[str]:
    """Sentences that say how many trajectories stay as they are, and why."""
    return [f"{number:,} {REASONS[Action(action), reason]}." for reason, number in sorted(left_out.items())]


def list_bulk_actions(access: Access, *, cursor: str | None = None, size: int = 50) -> Page[BulkAction]:
    """Newest first, with who started them."""
    actions = BulkAction.objects.filter(project=access.project).select_related("created_by")
    return take_page(actions, order="-id", cursor=cursor, size=size)


def name_target(action: BulkAction) -> Mapping[str, Any]:
    """Names of what an action's parameters point to: "tag", "queue", "assignee", "reason"; of what is gone, its id."""
    named = dict(action.parameters)
    if "queue" in named:
        queue = Queue.objects.filter(project=action.project_id, pk=named["queue"]).first()
        named["queue"] = queue.name if queue else f"{named['queue']}, which is gone"
    if "assignee" in named:
        person = User.objects.filter(pk=named["assignee"]).first()
        named["assignee"] = person.get_username() if person else f"{named['assignee']}, who is gone"
    return named


def list_single_queues(access: Access) -> QuerySet[Queue]:
    """The project's queues that hold trajectories, by name."""
    return Queue.objects.filter(project=access.project, kind=Queue.Kind.SINGLE).order_by("name")


def list_saved_filters(access: Access) -> list[SavedFilter]:
    return list(SavedFilter.objects.filter(project=access.project).select_related("created_by").order_by("name"))


def list_tags(access: Access) -> list[str]:
    """The tags of the project's trajectories, by name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT unnest(tags) AS tag FROM curation_trajectory WHERE project_id = %s AND tags <> '{}'"
            " ORDER BY tag LIMIT 200",
            [access.project.pk],
        )
        return [tag for (tag,) in cursor.fetchall()]
