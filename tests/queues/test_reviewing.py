"""What a review changes: status, grade, labels; what undo takes back; and that nothing typed is lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from curation.models import Reservation, Review, Trajectory
from curation.permissions import Access
from curation.services.queues import create_queue, release_item, take_next
from curation.services.reviews import Answer, LeaseLost, save_draft, submit_review, undo_review
from tests.factories import make_member, make_project, make_trajectory, owner_access

pytestmark = pytest.mark.django_db


def hold(wanted: int = 1) -> tuple[Trajectory, Access, Reservation]:
    project = make_project()
    trajectory = make_trajectory(project, "look", "take", "drop")
    queue = create_queue(
        owner_access(project), name="Queue", trajectories=Trajectory.objects.all(), reviews_wanted=wanted
    )
    person = make_member(project)
    reservation = take_next(person, queue)
    assert reservation is not None
    return trajectory, person, reservation


def status_of(trajectory: Trajectory) -> str:
    return Trajectory.objects.get(pk=trajectory.pk).status


def test_a_submitted_review_decides_status_and_difficulty() -> None:
    trajectory, person, reservation = hold()
    answer = Answer(verdict="accept", grade=4, labels={3: "correct"}, first_error=4, comment="</script>")
    review = submit_review(person, reservation, answer)
    assert status_of(trajectory) == "accepted"
    trajectory.task.refresh_from_db()
    assert (trajectory.task.human_grade, trajectory.task.band) == (4, 4)
    labels = {label.step_id: (label.label, label.first_error) for label in review.step_labels.all()}
    assert labels == {3: ("correct", False), 4: ("wrong", True)}
    assert review.revision.number == 0


def test_submitting_twice_is_one_review() -> None:
    _, person, reservation = hold()
    first = submit_review(person, reservation, Answer(verdict="accept"))
    again = submit_review(person, reservation, Answer(verdict="reject"))
    assert first == again
    assert again.verdict == "accept"
    assert Review.objects.count() == 1


def test_two_reviewers_who_differ_leave_the_trajectory_disputed() -> None:
    trajectory, person, reservation = hold(wanted=2)
    submit_review(person, reservation, Answer(verdict="accept"))
    other = make_member(trajectory.project)
    second = take_next(other, reservation.item.queue)
    assert second is not None
    submit_review(other, second, Answer(verdict="reject"))
    assert status_of(trajectory) == "disputed"


def test_undo_makes_the_last_review_a_draft_again_and_takes_back_its_effects() -> None:
    trajectory, person, reservation = hold()
    review = submit_review(person, reservation, Answer(verdict="accept", grade=5))
    undo_review(person, review)
    assert status_of(trajectory) == "unreviewed"
    trajectory.task.refresh_from_db()
    assert trajectory.task.human_grade is None
    review.refresh_from_db()
    assert review.submitted_at is None
    assert review.verdict == "accept"
    assert submit_review(person, reservation, Answer(verdict="reject")).verdict == "reject"


def test_nobody_undoes_the_review_of_somebody_else() -> None:
    trajectory, person, reservation = hold()
    review = submit_review(person, reservation, Answer(verdict="accept"))
    with pytest.raises(ValueError, match="nothing of yours"):
        undo_review(make_member(trajectory.project), review)
    assert status_of(trajectory) == "accepted"


def test_a_submit_on_a_lost_lease_is_kept_as_a_draft_and_says_who_has_the_item() -> None:
    trajectory, person, reservation = hold()
    Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    other = make_member(trajectory.project)
    assert take_next(other, reservation.item.queue) is not None
    with pytest.raises(LeaseLost, match=other.user.username):
        submit_review(person, reservation, Answer(verdict="accept", comment="an hour of thought"))
    draft = Review.objects.get(reviewer=person.user)
    assert draft.comment == "an hour of thought"
    assert draft.submitted_at is None
    assert status_of(trajectory) == "unreviewed"


def test_a_lease_that_ran_out_with_nobody_else_waiting_still_submits() -> None:
    trajectory, person, reservation = hold()
    Reservation.objects.update(state="released", expires_at=timezone.now() - timedelta(hours=1))
    submit_review(person, reservation, Answer(verdict="accept"))
    assert status_of(trajectory) == "accepted"


def test_drafts_keep_what_was_typed_without_a_verdict() -> None:
    trajectory, person, reservation = hold()
    save_draft(person, reservation, Answer(comment="so far"))
    save_draft(person, reservation, Answer(comment="so far so good", labels={99: "wrong", 3: "neutral"}))
    draft = Review.objects.get()
    assert draft.comment == "so far so good"
    assert [label.step_id for label in draft.step_labels.all()] == [3]
    assert status_of(trajectory) == "unreviewed"


@pytest.mark.parametrize(
    "answer",
    [Answer(), Answer(verdict="maybe"), Answer(verdict="accept", grade=6), Answer(verdict="accept", labels={3: "x"})],
)
def test_an_answer_that_does_not_exist_changes_nothing(answer: Answer) -> None:
    trajectory, person, reservation = hold()
    with pytest.raises(ValueError, match=r"\w"):
        submit_review(person, reservation, answer)
    assert not Review.objects.exists()
    assert status_of(trajectory) == "unreviewed"


def test_a_colleague_named_in_a_comment_is_told_until_the_review_is_taken_back() -> None:
    trajectory, person, reservation = hold()
    colleague = make_member(trajectory.project)
    review = submit_review(
        person, reservation, Answer(verdict="accept", comment=f"@{colleague.user.username}, is step 3 allowed?")
    )
    assert [mention.review for mention in colleague.user.mentions.all()] == [review]
    undo_review(person, review)
    assert not colleague.user.mentions.exists()


def test_a_wrong_step_says_what_went_wrong_there() -> None:
    _, person, reservation = hold()
    answer = Answer(
        verdict="reject", labels={3: "wrong", 4: "correct"}, failure_mode_of={3: "loop", 4: "unsafe"}, seconds=10**6
    )
    review = submit_review(person, reservation, answer)
    assert {label.step_id: label.failure_mode for label in review.step_labels.all()} == {3: "loop", 4: ""}
    assert review.seconds < 60  # no longer than the item was held


def test_whoever_lost_an_item_is_told_of_who_took_it_and_not_of_who_reviewed_it_beside_them() -> None:
    trajectory, person, reservation = hold(wanted=2)
    beside = make_member(trajectory.project)
    theirs = take_next(beside, reservation.item.queue)
    assert theirs is not None
    submit_review(beside, theirs, Answer(verdict="accept"))
    release_item(owner_access(trajectory.project), reservation)
    with pytest.raises(LeaseLost, match="Released by") as lost:
        submit_review(person, reservation, Answer(verdict="reject"))
    assert beside.user.username not in str(lost.value)
