"""Judging the pairs of a queue: an answer counts as long as its reviewer holds the item, and once."""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction

from curation.models import Judgement, PreferencePair, Reservation, Role
from curation.permissions import Access
from curation.services.pairs import PairAnswer, record_judgement
from curation.services.reviews import LeaseLost, hold_again, seconds_since, tell_who_has_it

HELD, DONE = Reservation.State.HELD, Reservation.State.DONE


def submit_judgement(access: Access, reservation: Reservation, given: PairAnswer) -> Judgement:
    """Judge the pair that is held, once: a second submit of the same reservation returns the first one's judgement.

    Raises LeaseLost where somebody else has the item by now (nothing is saved then: the caller keeps what was
    typed), and ValueError for an answer that is none.
    """
    access.require(Role.REVIEWER)
    given.check()
    lost = None
    with transaction.atomic():
        current = Reservation.objects.select_for_update().get(pk=reservation.pk, reviewer=access.user)
        pair = PreferencePair.objects.get(queue_items=current.item_id, project=access.project)
        first = Judgement.objects.filter(item=current.item_id, reviewer=access.user).first()
        if current.state == DONE and first is not None:
            return first
        if current.state not in (HELD, DONE) and not hold_again(access, current):
            lost = current
        else:
            Reservation.objects.filter(pk=current.pk).update(state=DONE)
            spent = min(given.seconds, seconds_since(current))
            return record_judgement(access, pair, replace(given, seconds=spent), item=current.item)
    raise LeaseLost(tell_who_has_it(lost))
