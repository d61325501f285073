"""Pairs as people judge them.

With several judgements the majority decides which side won, or that both are bad; an equal split is a tie. A curator
may decide over all of them. How sure the result is, is told from all judgements of the pair's task.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from statistics import median_low

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac

from curation.formats.cleaning import clean_text
from curation.models import Judgement, PreferencePair, QueueItem, Reservation, Role
from curation.permissions import Access
from curation.preferences import Comparison, fit_strengths, posterior_share, win_probability
from curation.services.audit import record_action
from curation.services.queue_items import follow_pairs

Answer, Status = Judgement.Answer, PreferencePair.Status

LONGEST_REASON = 5000
MOST_SECONDS = 24 * 60 * 60
MOST_TOGETHER = 500
"""Pairs of one task that are looked at together: of more, each is told by its own judgements."""

_STRENGTH = {
    Answer.LEFT_MUCH_BETTER: 3,
    Answer.LEFT_BETTER: 2,
    Answer.LEFT_SLIGHTLY_BETTER: 1,
    Answer.RIGHT_SLIGHTLY_BETTER: 1,
    Answer.RIGHT_BETTER: 2,
    Answer.RIGHT_MUCH_BETTER: 3,
}
_LEFT = {Answer.LEFT_MUCH_BETTER, Answer.LEFT_BETTER, Answer.LEFT_SLIGHTLY_BETTER}


@dataclass(frozen=True)
class Sides:
    """The two revisions of a pair as one reviewer sees them."""

    left_id: int
    right_id: int


@dataclass(frozen=True)
class PairAnswer:
    """What somebody says of a pair, with its revisions as they were shown. `seconds` is the time at work on it."""

    answer: str
    left_id: int
    right_id: int
    reason: str = ""
    seconds: int = 0

    def check(self) -> None:
        """Raises ValueError for what no page would send."""
        if self.answer not in Answer.values:
            raise ValueError("Choose an answer: one side better, about equal, or both bad.")
        if len(self.reason) > LONGEST_REASON:
            raise ValueError(f"A reason has at most {LONGEST_REASON:,} characters.")


def choose_sides(access: Access, pair: PreferencePair) -> Sides:
    """Which revision this reviewer sees on the left: by lot, but the same whenever they come back."""
    low, high = sorted([pair.chosen_id, pair.rejected_id])
    lot = salted_hmac("curation.pairs.sides", f"{pair.pk}:{access.user.pk}").digest()[0] % 2
    return Sides(low, high) if lot else Sides(high, low)


def judge_pair(access: Access, pair: PreferencePair, given: PairAnswer) -> Judgement:
    """Record the caller's judgement, or change it, and settle the pair by all judgements so far.

    Raises ValueError for an unknown answer or for sides that are not this pair's.
    """
    access.require(Role.REVIEWER)
    return record_judgement(access, pair, given)


def decide_pair(access: Access, pair: PreferencePair, given: PairAnswer) -> Judgement:
    """Decide a pair, over whatever was judged of it; a second decision of the same curator replaces the first.

    Raises ValueError for an answer that is none, and where another curator has decided already.
    """
    access.require(Role.CURATOR)
    return record_judgement(access, pair, given, decides=True)


def record_judgement(
    access: Access, pair: PreferencePair, given: PairAnswer, *, item: QueueItem | None = None, decides: bool = False
) -> Judgement:
    """What judging, deciding and answering in a queue come to; the caller's roles are checked by those."""
    given.check()
    with transaction.atomic():
        locked = _lock_pair(access, pair)
        if {given.left_id, given.right_id} != {locked.chosen_id, locked.rejected_id}:
            raise ValueError("These are not the two sides of this pair; open it again.")
        decided = locked.judgements.filter(decides=True).exclude(reviewer=access.user).select_related("reviewer")
        if decides and (other := decided.first()):
            raise ValueError(f"{other.reviewer or 'Somebody'} has decided this pair already.")
        before = _find_own(access, locked, item=item, decides=decides)
        judgement = before or Judgement(pair=locked, reviewer=access.user, item=item)
        said = judgement.answer
        judgement.answer, judgement.left_id, judgement.right_id = given.answer, given.left_id, given.right_id
        judgement.reason = clean_text(given.reason)[0].strip()
        judgement.seconds = min(max(given.seconds, judgement.seconds), MOST_SECONDS)
        judgement.decides = decides or judgement.decides
        judgement.save()
        if decides:
            record_action(access, "pair.decide", locked.pk, answer=given.answer)
        elif before is not None and said != given.answer:
            record_action(access, "judgement.change", locked, before=said, after=given.answer)
        _settle(locked)
    pair.refresh_from_db(fields=["status", "strength", "chosen", "rejected", "swapped", "confidence"])
    return judgement


def withdraw_judgement(access: Access, judgement: Judgement) -> Reservation | None:
    """Take back one's own judgement: the pair settles by the others, as if it had never been given.

    Where it was given in a queue, its reviewer holds that item again: the reservation is returned. Raises ValueError
    where the judgement is not the caller's own, or was taken back already.
    """
    with transaction.atomic():
        done = (
            Reservation.objects.select_related("item__queue")
            .select_for_update(of=("self",))
            .filter(item=judgement.item_id, reviewer=access.user, state=Reservation.State.DONE)
        )
        reservation = done.first()
        locked = _lock_pair(access, judgement.pair)
        gone, _ = locked.judgements.filter(pk=judgement.pk, reviewer=access.user).delete()
        if not gone:
            raise ValueError("There is nothing of yours to take back here.")
        if reservation is not None:
            lease = timedelta(minutes=reservation.item.queue.lease_minutes)
            done.update(state=Reservation.State.HELD, expires_at=Now() + lease)
        record_action(access, "judgement.withdraw", locked, answer=judgement.answer, decided=judgement.decides)
        _settle(locked)
    return reservation


def settle_pair(access: Access, pair: PreferencePair) -> None:
    """Set what the judgements that count make of a pair, where other ones count than before."""
    with transaction.atomic():
        _settle(_lock_pair(access, pair))


def _lock_pair(access: Access, pair: PreferencePair) -> PreferencePair:
    """The pair, locked with the others of its task: of two judgements at once the later sees the earlier."""
    of_task = PreferencePair.objects.filter(task=pair.task_id, project=access.project).select_for_update(no_key=True)
    list(of_task.order_by("pk").values_list("pk", flat=True)[:MOST_TOGETHER])
    return of_task.get(pk=pair.pk)


def _find_own(access: Access, pair: PreferencePair, *, item: QueueItem | None, decides: bool) -> Judgement | None:
    """The caller's judgement that a new one takes the place of: every item has its own, and a decision is no item's.

    From the list, the one that counts is changed. The pair is locked, so that there is one from the list at most.
    """
    mine = pair.judgements.filter(reviewer=access.user).order_by("-decides", "-pk")
    if item is not None:
        return mine.filter(item=item).first()
    if decides:
        return mine.filter(Q(decides=True) | Q(item=None)).first()
    return mine.exclude(item__gold=True, decides=False).first()


def _settle(pair: PreferencePair) -> None:
    """Set what judgements make of a pair: with none left it is as it was proposed or imported."""
    judgements = _list_votes(pair.judgements.all())
    decided = [judgement for judgement in judgements if judgement.decides]
    leader, strength = _count_votes(decided or judgements)
    if isinstance(leader, int):
        pair.status, winner = Status.CONFIRMED, leader
    else:
        winner = pair.rejected_id if pair.swapped else pair.chosen_id
        imported = pair.origin == PreferencePair.Origin.IMPORTED
        pair.status = leader or (Status.CONFIRMED if imported else Status.PROPOSED)
    pair.strength = strength
    if winner == pair.rejected_id:
        pair.swapped = not pair.swapped
        pair.chosen_id, pair.rejected_id = pair.rejected_id, pair.chosen_id
        pair.chosen_characters, pair.rejected_characters = pair.rejected_characters, pair.chosen_characters
    fields = ["status", "strength", "swapped", "chosen", "rejected", "chosen_characters", "rejected_characters"]
    pair.save(update_fields=fields)
    _weigh_task(pair)
    follow_pairs(pair.task_id)


def _count_votes(judgements: list[Judgement]) -> tuple[int | str | None, int | None]:
    """The revision that won, or what else the pair is, None without a vote; and how strongly it won."""
    votes: Counter[int | str] = Counter()
    strengths: dict[int, list[int]] = {}
    for judgement in judgements:
        strength = _STRENGTH.get(Answer(judgement.answer))
        if strength is None:
            votes[Status.TIE if judgement.answer == Answer.TIE else Status.BOTH_BAD] += 1
        else:
            winner = judgement.left_id if judgement.answer in _LEFT else judgement.right_id
            votes[winner] += 1
            strengths.setdefault(winner, []).append(strength)
    if not votes:
        return None, None
    (leader, most), *others = votes.most_common()
    if others and others[0][1] == most:
        leader = Status.TIE
    return leader, median_low(strengths[leader]) if isinstance(leader, int) else None


def _weigh_task(pair: PreferencePair) -> None:
    """Set the confidence of the pair's task: of whole attempts fitted together, of single turns each by itself."""
    pairs = list(PreferencePair.objects.filter(task=pair.task_id).order_by("pk")[: MOST_TOGETHER + 1])
    if len(pairs) > MOST_TOGETHER:
        pairs = [pair]
    judged: dict[int, list[Comparison]] = {each.pk: [] for each in pairs}
    for judgement in _list_votes(Judgement.objects.filter(pair__in=judged)):
        if judgement.answer != Answer.BOTH_BAD:
            judged[judgement.pair_id].append(_compare(judgement))
    whole = [comparison for each in pairs if not each.step_only for comparison in judged[each.pk]]
    together = len({side for comparison in whole for side in comparison[:2]}) > 2
    strengths = fit_strengths(whole) if together else {}
    changed = []
    for each in pairs:
        if together and not each.step_only:
            confidence = win_probability(strengths, each.chosen_id, each.rejected_id)
        else:
            confidence = posterior_share(judged[each.pk], each.chosen_id)
        if confidence != each.confidence:
            each.confidence = confidence
            changed.append(each)
    PreferencePair.objects.bulk_update(changed, ["confidence"])


def _compare(judgement: Judgement) -> Comparison:
    left_won = judgement.answer in _LEFT
    winner, loser = (judgement.left_id, judgement.right_id) if left_won else (judgement.right_id, judgement.left_id)
    return Comparison(winner, loser, tie=judgement.answer == Answer.TIE)


def _list_votes(judgements: QuerySet[Judgement]) -> list[Judgement]:
    """One for each reviewer of each pair: their decision, else their newest judgement.

    Judgements of gold items test the reviewer, and say nothing of the pair.
    """
    counting = judgements.exclude(item__gold=True, decides=False).order_by("decides", "pk")
    return list({(each.pair_id, each.reviewer_id or -each.pk): each for each in counting}.values())
