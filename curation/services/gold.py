"""Gold items: trajectories and pairs whose answer is known, served as if they were others, to see how people do."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery

from curation.models import (
    Decision,
    PreferencePair,
    Queue,
    QueueItem,
    Reservation,
    Review,
    Role,
    Trajectory,
)
from curation.permissions import Access
from curation.selectors.agreement import PREFERENCES
from curation.selectors.gold import list_decided, list_decided_pairs, unmet
from curation.services.audit import record_action
from curation.services.decisions import settle_trajectories
from curation.services.pairs import settle_pair

ITEMS_AT_ONCE = 1000


class ItemMet(ValueError):
    """Somebody holds or has reviewed the item: what they say would no longer count for it."""


def mark_gold(
    access: Access, queue: Queue, trajectory: Trajectory, *, verdict: str, grade: int | None = None
) -> QueueItem:
    """Make a trajectory a gold item of a queue, whether it is in it or not; a gold item gets this answer instead.

    Raises ValueError for an answer that cannot be right or wrong, and ItemMet.
    """
    access.require(Role.CURATOR)
    if queue.kind != Queue.Kind.SINGLE:
        raise ValueError("This queue holds pairs, not trajectories.")
    if verdict not in (Review.Verdict.ACCEPT, Review.Verdict.REJECT):
        raise ValueError("The known answer is accept or reject: unsure can be neither right nor wrong.")
    if grade is not None and not 1 <= grade <= 5:
        raise ValueError("Difficulty is a whole number from 1 to 5.")
    with transaction.atomic():
        item = _turn_gold(queue, {"trajectory": trajectory}, {"gold_verdict": verdict, "gold_grade": grade})
        record_action(access, "gold.mark", queue.pk, trajectory=trajectory.pk, verdict=verdict, grade=grade)
    return item


def mark_gold_pair(access: Access, queue: Queue, pair: PreferencePair, *, winner: int) -> QueueItem:
    """Make a pair a gold item of a pairwise queue, as mark_gold does; `winner` is the better side's revision."""
    access.require(Role.CURATOR)
    if queue.kind != Queue.Kind.PAIRWISE:
        raise ValueError("This queue holds trajectories, not pairs.")
    if winner not in (pair.chosen_id, pair.rejected_id):
        raise ValueError("The better side has to be one of this pair's.")
    with transaction.atomic():
        item = _turn_gold(queue, {"pair": pair}, {"gold_winner_id": winner})
        record_action(access, "gold.mark", queue.pk, pair=pair.pk, winner=winner)
    return item


def _turn_gold(queue: Queue, what: dict[str, Any], answer: dict[str, Any]) -> QueueItem:
    """One statement decides between this and whoever is just taking the item: a slot that is taken is on its row."""
    item, made = QueueItem.objects.get_or_create(queue=queue, **what, defaults={"gold": True} | answer)
    if not made:
        free = queue.items.filter(pk=item.pk)
        if not (free.filter(gold=True) | free.filter(unmet(queue))).update(gold=True, **answer):
            raise ItemMet("Somebody holds or has reviewed this item: it can no longer become a gold item.")
        item.refresh_from_db()
    return item


def mark_decided_gold(access: Access, queue: Queue) -> int:
    """Make all that curators decided, and that nobody met in this queue yet, gold items; returns how many."""
    access.require(Role.CURATOR)
    with transaction.atomic():
        number = _mark_pairs(queue) if queue.kind == Queue.Kind.PAIRWISE else _mark_trajectories(queue)
        if number:
            record_action(access, "gold.mark", queue.pk, decided=number)
    return number


def _mark_trajectories(queue: Queue) -> int:
    standing = Decision.objects.filter(trajectory=OuterRef("trajectory"), withdrawn_at=None).order_by("-pk")
    inside = queue.items.filter(unmet(queue), trajectory__in=list_decided(queue).values("pk"))
    turned = inside.update(
        gold=True,
        gold_verdict=Subquery(standing.values("verdict")[:1]),
        gold_grade=Subquery(standing.values("grade")[:1]),
    )
    outside = list_decided(queue).values_list("pk", "decided_verdict", "decided_grade")
    return turned + _add_gold(
        queue, [{"trajectory_id": pk, "gold_verdict": verdict, "gold_grade": grade} for pk, verdict, grade in outside]
    )


def _mark_pairs(queue: Queue) -> int:
    lefts = PREFERENCES[: len(PREFERENCES) // 2]
    winners = {
        pair: left if answer in lefts else right
        for pair, answer, left, right in list_decided_pairs(queue).values_list("pair", "answer", "left", "right")
    }
    inside = list(queue.items.select_for_update().filter(unmet(queue), pair__in=winners))
    for item in inside:
        item.gold, item.gold_winner_id = True, winners.pop(item.pair_id or 0)
    QueueItem.objects.bulk_update(inside, ["gold", "gold_winner"], batch_size=ITEMS_AT_ONCE)
    return len(inside) + _add_gold(
        queue, [{"pair_id": pair, "gold_winner_id": winner} for pair, winner in winners.items()]
    )


def _add_gold(queue: Queue, rows: list[dict[str, Any]]) -> int:
    """New gold items; what the queue holds already stays as it is."""
    before = queue.items.count()
    fresh = [QueueItem(queue=queue, gold=True, **row) for row in rows]
    QueueItem.objects.bulk_create(fresh, batch_size=ITEMS_AT_ONCE, ignore_conflicts=True)
    return queue.items.count() - before


def unmark_gold(access: Access, item: QueueItem) -> bool:
    """Make a gold item an ordinary one; what was answered to it counts from now on. False where it was none."""
    access.require(Role.CURATOR)
    with transaction.atomic():
        # In the order in which an answer takes them: the reservations, what was answered to, and last the item.
        list(item.reservations.order_by("pk").select_for_update().values_list("pk"))
        if item.trajectory_id is not None:
            Trajectory.objects.select_for_update(no_key=True).get(pk=item.trajectory_id)
        gold = QueueItem.objects.select_for_update(of=["self"]).select_related("queue").filter(pk=item.pk, gold=True)
        locked = gold.first()
        if locked is None:
            return False
        _give_slots(locked)
        plain = {"gold": False, "gold_verdict": "", "gold_grade": None, "gold_winner": None}
        QueueItem.objects.filter(pk=item.pk).update(**plain)
        if item.trajectory_id is not None:
            settle_trajectories(access.project, [item.trajectory_id])
        if item.pair is not None:
            settle_pair(access, item.pair)
        record_action(access, "gold.unmark", item.queue_id, item=item.pk)
    return True


def _give_slots(item: QueueItem) -> None:
    """Everybody who holds or answered a gold item gets one of its slots, so that it is not served too often."""
    met: QuerySet[Reservation] = item.reservations.filter(state__in=[Reservation.State.HELD, Reservation.State.DONE])
    taken = set(met.exclude(slot=None).values_list("slot", flat=True))
    free = [slot for slot in range(1, item.queue.reviews_wanted + 1) if slot not in taken]
    for reservation, slot in zip(met.filter(slot=None).order_by("pk"), free, strict=False):
        Reservation.objects.filter(pk=reservation.pk).update(slot=slot)
