"""Reviews: drafts, submitting, undoing, and what follows from them for the trajectory and its task."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from curation.models import Reservation, Review, Revision, StepLabel
from curation.models.review import FailureMode
from curation.permissions import Access
from curation.services.decisions import settle_trajectories


class LeaseLost(ValueError):
    """The reviewer no longer holds the item; what they wrote was kept as a draft."""


@dataclass(frozen=True)
class Answer:
    """What a reviewer says of a trajectory. `labels` maps step ids to correct, neutral or wrong."""

    verdict: str = ""
    grade: int | None = None
    failure_modes: list[str] = field(default_factory=list)
    comment: str = ""
    labels: dict[int, str] = field(default_factory=dict)
    first_error: int | None = None

    def check(self) -> None:
        """Raises ValueError for what no page would send."""
        if self.verdict and self.verdict not in Review.Verdict.values:
            raise ValueError(f"Unknown verdict {self.verdict!r}.")
        if self.grade is not None and not 1 <= self.grade <= 5:
            raise ValueError("Difficulty is a whole number from 1 to 5.")
        unknown = sorted(set(self.failure_modes) - set(FailureMode.values))
        if unknown:
            raise ValueError(f"Unknown failure mode {unknown[0]!r}.")
        if not set(self.labels.values()) <= set(StepLabel.Label.values):
            raise ValueError("A step is labelled correct, neutral or wrong.")


def save_draft(access: Access, reservation: Reservation, answer: Answer) -> Review:
    """Keep what was typed so far. A review that was submitted already is left as it is."""
    answer.check()
    with transaction.atomic():
        return _write_review(access, reservation, answer)


def submit_review(access: Access, reservation: Reservation, answer: Answer) -> Review:
    """Submit a review, once: a second submit of the same reservation returns the first one's review.

    Raises LeaseLost where somebody else has the item by now (the answer is then kept as a draft), and ValueError
    for an answer without a verdict or with values that do not exist.
    """
    answer.check()
    if not answer.verdict:
        raise ValueError("Choose a verdict: accept, reject or unsure.")
    lost = None
    with transaction.atomic():
        current = Reservation.objects.select_for_update().get(pk=reservation.pk)
        if current.state == Reservation.State.DONE:
            return Review.objects.get(item_id=current.item_id, reviewer=access.user)
        review = _write_review(access, reservation, answer)
        if current.state != Reservation.State.HELD and not hold_again(current):
            lost = current
        else:
            Reservation.objects.filter(pk=current.pk).update(state=Reservation.State.DONE)
            Review.objects.filter(pk=review.pk).update(submitted_at=Now())
            review.refresh_from_db()
            settle_trajectories(access.project, [review.trajectory_id])
    if lost is not None:
        raise LeaseLost(tell_who_has_it(lost))
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
        settle_trajectories(access.project, [review.trajectory_id])
    return reservation


def _write_review(access: Access, reservation: Reservation, answer: Answer) -> Review:
    trajectory = reservation.item.get_trajectory()
    head = Revision.objects.only("pk").get(trajectory=trajectory, number=trajectory.head_number)
    review, _ = Review.objects.select_for_update().get_or_create(
        trajectory=trajectory, item_id=reservation.item_id, reviewer=access.user, defaults={"revision": head}
    )
    if review.submitted_at is not None:
        return review
    review.revision = head
    review.verdict, review.grade, review.comment = answer.verdict, answer.grade, answer.comment
    review.failure_modes = sorted(set(answer.failure_modes))
    review.save(update_fields=["revision", "verdict", "grade", "comment", "failure_modes", "saved_at"])
    labels = dict(answer.labels)
    if answer.first_error is not None:
        labels[answer.first_error] = StepLabel.Label.WRONG
    review.step_labels.all().delete()
    StepLabel.objects.bulk_create(
        StepLabel(review=review, step_id=step, label=label, first_error=step == answer.first_error)
        for step, label in labels.items()
        if 1 <= step <= trajectory.step_count
    )
    return review


def hold_again(reservation: Reservation) -> bool:
    """Take back a hold that ran out or was released, where its slot and its reviewer are still free."""
    if reservation.state != Reservation.State.RELEASED:
        return False
    try:
        with transaction.atomic():
            Reservation.objects.filter(pk=reservation.pk).update(state=Reservation.State.HELD)
    except IntegrityError:
        return False
    return True


def tell_who_has_it(reservation: Reservation) -> str:
    """Why an answer to an item did not count, for the one who gave it."""
    others = Reservation.objects.filter(
        item_id=reservation.item_id, state__in=[Reservation.State.HELD, Reservation.State.DONE]
    ).exclude(reviewer_id=reservation.reviewer_id)
    holder = others.select_related("reviewer").order_by("-id").first()
    if holder is None:
        return "Your hold on this item ended. Your answer is kept as a draft."
    verb = "has reviewed it" if holder.state == Reservation.State.DONE else "has it now"
    return f"Your hold on this item ended, and {holder.reviewer.get_username()} {verb}. Your answer is kept as a draft."
