"""Pairs: proposed from attempts that part ways, and judged by people.

With several judgements the majority decides which side won, or that both are bad; an equal split is a tie.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import product
from statistics import median_low

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils.crypto import salted_hmac

from curation.formats.document import Document
from curation.models import Judgement, PreferencePair, Revision, Role, Task, Trajectory
from curation.permissions import Access
from curation.revisions import shared_prefix, split_pair_messages
from curation.services.audit import record_action

Answer, Status, Origin = Judgement.Answer, PreferencePair.Status, PreferencePair.Origin

ATTEMPTS_AT_ONCE = 20
"""Attempts of each outcome that are compared at one task: documents of one task are held in memory together."""

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
class Proposals:
    """What a search for pairs came to. `unusable` counts, by reason, pairs that no trainer could learn from."""

    tasks: int
    proposed: int
    unusable: dict[str, int]


@dataclass(frozen=True)
class Sides:
    """The two revisions of a pair as one reviewer sees them."""

    left_id: int
    right_id: int


def propose_pairs(access: Access, *, most_per_task: int = 3) -> Proposals:
    """Propose success over failure at every task with both, the longest shared beginning first.

    A task gets `most_per_task` such pairs in all, those of earlier calls included, so that no attempt is in more and
    a second call adds nothing. The recorded revisions are compared, since the outcome is theirs; crashed attempts
    and successes that a reviewer rejected are passed over.
    """
    access.require(Role.CURATOR)
    attempts = Trajectory.objects.filter(task=OuterRef("pk"), project=access.project)
    tasks = Task.objects.filter(Exists(_successes(attempts)), Exists(_failures(attempts)), project=access.project)
    tasks = tasks.annotate(pair_count=Count("pairs", filter=Q(pairs__origin=Origin.OUTCOME)))
    seen = proposed = 0
    unusable: Counter[str] = Counter()
    for task in tasks.order_by("pk").iterator(500):
        seen += 1
        if task.pair_count < most_per_task:
            pairs = _pair_attempts(task, most_per_task - task.pair_count, unusable)
            before = task.pairs.count()
            PreferencePair.objects.bulk_create(pairs, ignore_conflicts=True)
            proposed += task.pairs.count() - before
    proposals = Proposals(tasks=seen, proposed=proposed, unusable=dict(unusable))
    record_action(access, "pairs.propose", tasks=seen, proposed=proposed, unusable=proposals.unusable)
    return proposals


def propose_correction_pair(trajectory: Trajectory) -> PreferencePair | None:
    """Propose the newest revision of a failed attempt over the recorded one.

    An earlier proposal of the same attempt that nobody has judged yet makes way. None where the attempt did not
    fail, was not corrected, or the two would make no pair to learn from.
    """
    if trajectory.success is not False or trajectory.head_number == 0:
        return None
    ends = {r.number: r for r in trajectory.revisions.filter(number__in=[0, trajectory.head_number])}
    recorded, newest = ends[0], ends[trajectory.head_number]
    chosen, rejected = Document.model_validate(newest.document), Document.model_validate(recorded.document)
    try:
        split_pair_messages(chosen, rejected)
    except ValueError:
        return None
    with transaction.atomic():
        stale = PreferencePair.objects.filter(rejected=recorded, origin=Origin.CORRECTION, judgements=None)
        stale.exclude(chosen=newest).delete()
        pair = PreferencePair(
            project_id=trajectory.project_id,
            task_id=trajectory.task_id,
            chosen=newest,
            rejected=recorded,
            origin=Origin.CORRECTION,
            shared_steps=shared_prefix(chosen, rejected),
        )
        PreferencePair.objects.bulk_create([pair], ignore_conflicts=True)
    return PreferencePair.objects.filter(_between(newest.pk, recorded.pk)).first()


def choose_sides(access: Access, pair: PreferencePair) -> Sides:
    """Which revision this reviewer sees on the left: by lot, but the same whenever they come back."""
    low, high = sorted([pair.chosen_id, pair.rejected_id])
    lot = salted_hmac("curation.pairs.sides", f"{pair.pk}:{access.user.pk}").digest()[0] % 2
    return Sides(low, high) if lot else Sides(high, low)


def judge_pair(
    access: Access, pair: PreferencePair, *, answer: str, left_id: int, right_id: int, reason: str = ""
) -> Judgement:
    """Record the caller's judgement, or change it, and settle the pair by all judgements so far.

    `left_id` and `right_id` are the pair's revisions as they were shown. Raises ValueError for an unknown answer or
    for sides that are not this pair's.
    """
    access.require(Role.REVIEWER)
    if answer not in Answer.values:
        raise ValueError("Choose an answer: one side better, about equal, or both bad.")
    if len(reason) > 5000:
        raise ValueError("A reason has at most 5,000 characters.")
    with transaction.atomic():
        locked = PreferencePair.objects.select_for_update().get(pk=pair.pk, project=access.project)
        if {left_id, right_id} != {locked.chosen_id, locked.rejected_id}:
            raise ValueError("These are not the two sides of this pair; open it again.")
        words = reason.strip().replace("\x00", "\ufffd")
        fields = {"left_id": left_id, "right_id": right_id, "answer": answer, "reason": words}
        before = locked.judgements.filter(reviewer=access.user).first()
        judgement, made = locked.judgements.update_or_create(reviewer=access.user, defaults=fields)
        if before is not None and not made and before.answer != answer:
            record_action(access, "judgement.change", locked, before=before.answer, after=answer)
        _settle(locked)
    pair.refresh_from_db(fields=["status", "strength", "chosen", "rejected"])
    return judgement


def _settle(pair: PreferencePair) -> None:
    votes: Counter[int | str] = Counter()
    strengths: dict[int, list[int]] = {pair.chosen_id: [], pair.rejected_id: []}
    for judgement in pair.judgements.all():
        strength = _STRENGTH.get(Answer(judgement.answer))
        if strength is None:
            votes[judgement.answer] += 1
        else:
            winner = judgement.left_id if judgement.answer in _LEFT else judgement.right_id
            votes[winner] += 1
            strengths[winner].append(strength)
    (leader, most), *others = votes.most_common()
    if others and others[0][1] == most:
        leader = Answer.TIE
    pair.strength = None
    if isinstance(leader, int):
        pair.status, pair.strength = Status.CONFIRMED, median_low(strengths[leader])
        if leader == pair.rejected_id:
            pair.chosen_id, pair.rejected_id = pair.rejected_id, pair.chosen_id
    else:
        pair.status = Status.TIE if leader == Answer.TIE else Status.BOTH_BAD
    pair.save(update_fields=["status", "strength", "chosen", "rejected"])


def _pair_attempts(task: Task, number: int, unusable: Counter[str]) -> list[PreferencePair]:
    """Up to `number` new pairs of a task's attempts."""
    attempts = Trajectory.objects.filter(task=task, project_id=task.project_id)
    winners, losers = _read_recorded(_successes(attempts)), _read_recorded(_failures(attempts))
    known = {
        frozenset(sides) for sides in task.pairs.filter(origin=Origin.OUTCOME).values_list("chosen_id", "rejected_id")
    }
    ranked = sorted(
        (-shared_prefix(winners[winner], losers[loser]), winner, loser)
        for winner, loser in product(winners, losers)
        if frozenset((winner, loser)) not in known
    )
    pairs: list[PreferencePair] = []
    for shared, winner, loser in ranked:
        if len(pairs) == number:
            break
        try:
            split_pair_messages(winners[winner], losers[loser])
        except ValueError as error:
            unusable[str(error)] += 1
            continue
        pairs.append(
            PreferencePair(
                project_id=task.project_id,
                task=task,
                chosen_id=winner,
                rejected_id=loser,
                shared_steps=-shared,
                origin=Origin.OUTCOME,
            )
        )
    return pairs


def _read_recorded(attempts: QuerySet[Trajectory]) -> dict[int, Document]:
    """The recorded documents of the first attempts, by revision id."""
    first = list(attempts.order_by("pk").values_list("pk", flat=True)[:ATTEMPTS_AT_ONCE])
    recorded = Revision.objects.filter(trajectory__in=first, number=0)
    return {revision.pk: Document.model_validate(revision.document) for revision in recorded}


def _successes(attempts: QuerySet[Trajectory]) -> QuerySet[Trajectory]:
    return attempts.filter(success=True).exclude(status=Trajectory.Status.REJECTED)


def _failures(attempts: QuerySet[Trajectory]) -> QuerySet[Trajectory]:
    return attempts.filter(success=False).exclude(completion=Trajectory.Completion.CRASHED)


def _between(one: int, other: int) -> Q:
    return Q(chosen=one, rejected=other) | Q(chosen=other, rejected=one)
