"""Reviews: drafts, submitting, undoing, and what follows from them for the trajectory and its task."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from curation.formats.cleaning import clean_text
from curation.models import Mention, Reservation, Review, Revision, StepLabel, Trajectory
from curation.models.queue import IS_A_PAIR
from curation.models.review import FailureMode
from curation.permissions import Access
from curation.services.audit import record_action
from curation.services.decisions import settle_trajectories
from curation.services.queues import may_hold_again
from curation.services.remarks import mention_members
from curation.services.rubrics import check_scores, find_rubric


class LeaseLost(ValueError):
    """The reviewer no longer holds the item; what they wrote was kept as a draft."""


class RevisionMoved(ValueError):
    """The trajectory was corrected while it was reviewed; what the reviewer wrote was kept as a draft."""


@dataclass(frozen=True)
class Answer:
    """What a reviewer says of a trajectory.

    `labels` maps step ids to correct, neutral or wrong, and `failure_mode_of` those that are wrong to what went wrong
    there. `scores` maps criteria of the rubric of that number to levels. `revision` is the number of the revision that
    was read (None: the newest); `seconds` is time at work, without idle time.
    """

    verdict: str = ""
    grade: int | None = None
    failure_modes: list[str] = field(default_factory=list)
    comment: str = ""
    labels: dict[int, str] = field(default_factory=dict)
    failure_mode_of: dict[int, str] = field(default_factory=dict)
    first_error: int | None = None
    scores: dict[str, int] = field(default_factory=dict)
    rubric: int | None = None
    revision: int | None = None
    seconds: int = 0

    def check(self) -> None:
        """Raises ValueError for what no page would send."""
        if self.verdict and self.verdict not in Review.Verdict.values:
            raise ValueError(f"Unknown verdict {self.verdict!r}.")
        if self.grade is not None and not 1 <= self.grade <= 5:
            raise ValueError("Difficulty is a whole number from 1 to 5.")
        unknown = sorted({*self.failure_modes, *self.failure_mode_of.values()} - set(FailureMode.values))
        if unknown:
            raise ValueError(f"Unknown failure mode {unknown[0]!r}.")
        if not set(self.labels.values()) <= set(StepLabel.Label.values):
            raise ValueError("A step is labelled correct, neutral or wrong.")


def save_draft(access: Access, reservation: Reservation, answer: Answer) -> Review:
    """Keep what was typed so far. A review that was submitted already is left as it is."""
    answer.check()
    with transaction.atomic():
        Reservation.objects.select_for_update().only("pk").get(pk=reservation.pk)
        return _write_review(access, reservation, _lock_trajectory(reservation), answer)


def submit_review(access: Access, reservation: Reservation, answer: Answer) -> Review:
    """Submit a review, once: a second submit of the same reservation returns the first one's review.

    Raises LeaseLost where somebody else has the item by now, and RevisionMoved where the revision that was read is no
    longer the newest (the answer is then kept as a draft), and ValueError for an answer without a verdict or with
    values that do not exist.
    """
    answer.check()
    if not answer.verdict:
        raise ValueError("Choose a verdict: accept, reject or unsure.")
    problem: ValueError | None = None
    with transaction.atomic():
        current = Reservation.objects.select_for_update().get(pk=reservation.pk)
        if current.state == Reservation.State.DONE:
            return Review.objects.get(item_id=current.item_id, reviewer=access.user)
        trajectory = _lock_trajectory(reservation)
        if answer.revision is not None and answer.revision != trajectory.head_number:
            problem = RevisionMoved(tell_moved(trajectory, answer.revision))
        elif current.state != Reservation.State.HELD and not hold_again(access, current):
            problem = LeaseLost(tell_who_has_it(current))
        submitted_at = timezone.now() if problem is None else None
        review = _write_review(access, reservation, trajectory, answer, submitted_at=submitted_at)
        if problem is None:
            Reservation.objects.filter(pk=current.pk).update(state=Reservation.State.DONE)
            settle_trajectories(access.project, [trajectory.pk])
            mention_members(access, review.comment, trajectory=trajectory, review=review)
    if problem is not None:
        raise problem
    return review


def undo_review(access: Access, review: Review) -> Reservation:
    """Take a submitted review back: it is a draft again, and its reviewer holds the item again.

    Raises ValueError where the review is not the caller's own, or is a draft.
    """
    with transaction.atomic():
        held = Reservation.objects.select_for_update().filter(
            item_id=review.item_id, reviewer=access.user, state=Reservation.State.DONE
        )
        reservation = held.first()
        if reservation is None or review.reviewer_id != access.user.pk:
            raise ValueError("There is nothing of yours to undo here.")
        lease = timedelta(minutes=reservation.item.queue.lease_minutes)
        Reservation.objects.filter(pk=reservation.pk).update(state=Reservation.State.HELD, expires_at=Now() + lease)
        Review.objects.filter(pk=review.pk).update(submitted_at=None)
        Mention.objects.filter(review=review).delete()
        record_action(access, "review.undo", review.trajectory_id, verdict=review.verdict, grade=review.grade)
        settle_trajectories(access.project, [review.trajectory_id])
    return reservation


def tell_moved(trajectory: Trajectory, seen: int) -> str:
    """Who corrected a trajectory after revision `seen` was shown."""
    newest = trajectory.revisions.defer("document").select_related("author").latest("number")
    return (
        f"{newest.author or 'Somebody'} corrected this trajectory while you read it: it is at revision "
        f"{newest.number}, you read revision {seen}. Your answer is kept; look at what changed, then save again."
    )


def _lock_trajectory(reservation: Reservation) -> Trajectory:
    """The trajectory of an item, its row locked: a correction comes before this answer or after it, never between.

    Raises ValueError where the item is a pair.
    """
    pk = reservation.item.trajectory_id
    if pk is None:
        raise ValueError(IS_A_PAIR)
    return Trajectory.objects.select_for_update(no_key=True).only("head_number", "step_count").get(pk=pk)


def _write_review(
    access: Access,
    reservation: Reservation,
    trajectory: Trajectory,
    answer: Answer,
    *,
    submitted_at: datetime | None = None,
) -> Review:
    """The caller's review of an item, with this answer unless it was submitted already.

    The caller holds the rows of the reservation and of the trajectory.
    """
    review = Review.objects.filter(item_id=reservation.item_id, reviewer=access.user).first()
    if review is not None and review.submitted_at is not None:
        return review
    number = trajectory.head_number if answer.revision is None else answer.revision
    seen = Revision.objects.only("number").filter(trajectory=trajectory, number=number).first()
    if seen is None:
        raise ValueError(f"Trajectory {trajectory.pk} has no revision {number}.")
    written = review or Review(trajectory=trajectory, item_id=reservation.item_id, reviewer=access.user)
    written.trajectory, written.revision = trajectory, seen
    written.rubric = find_rubric(reservation.item.queue, answer.rubric)
    written.scores = check_scores(written.rubric, answer.scores)
    written.verdict, written.grade = answer.verdict, answer.grade
    written.comment = clean_text(answer.comment)[0]
    written.failure_modes = sorted(set(answer.failure_modes))
    written.seconds = min(max(answer.seconds, 0), seconds_since(reservation))
    written.submitted_at = submitted_at
    written.save()
    if review is not None:
        review.step_labels.all().delete()
    _write_labels(written, answer, trajectory.step_count)
    return written


def _write_labels(review: Review, answer: Answer, step_count: int) -> None:
    labels = dict(answer.labels)
    if answer.first_error is not None:
        labels[answer.first_error] = StepLabel.Label.WRONG
    rows = [
        StepLabel(
            review=review,
            step_id=step,
            label=label,
            first_error=step == answer.first_error,
            failure_mode=answer.failure_mode_of.get(step, "") if label == StepLabel.Label.WRONG else "",
        )
        for step, label in labels.items()
        if 1 <= step <= step_count
    ]
    if rows:
        StepLabel.objects.bulk_create(rows)


def seconds_since(reservation: Reservation) -> int:
    """No more time can have been spent on an item than went by since it was taken."""
    return max(0, int((timezone.now() - reservation.taken_at).total_seconds()))


def hold_again(access: Access, reservation: Reservation) -> bool:
    """Take back a hold that ran out, where its slot and its reviewer are still free and nobody took it from them."""
    if reservation.state != Reservation.State.RELEASED or not may_hold_again(access, reservation):
        return False
    try:
        with transaction.atomic():
            Reservation.objects.filter(pk=reservation.pk).update(state=Reservation.State.HELD)
    except IntegrityError:
        return False
    return True


def tell_who_has_it(reservation: Reservation) -> str:
    """Why an answer to an item did not count, for whoever gave it: who has its slot now, else how the hold ended."""
    taken = Reservation.objects.filter(
        item_id=reservation.item_id,
        slot=reservation.slot,
        slot__isnull=False,  # gold items have none: there, nobody takes anything from anybody
        state__in=[Reservation.State.HELD, Reservation.State.DONE],
    )
    holder = taken.exclude(reviewer_id=reservation.reviewer_id).select_related("reviewer").first()
    if holder is None:
        why = reservation.reason or "Your hold on this item ended."
        return f"You no longer hold this item. {why} Your answer is kept as a draft."
    verb = "has reviewed it" if holder.state == Reservation.State.DONE else "has it now"
    return f"Your hold on this item ended, and {holder.reviewer.get_username()} {verb}. Your answer is kept as a draft."
