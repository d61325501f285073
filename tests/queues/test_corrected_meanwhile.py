"""A review says what somebody thought of what they read: never of what somebody else wrote in the meantime."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from curation.models import Reservation, Review, Trajectory
from curation.permissions import Access
from curation.revisions import EditStep, InsertStep
from curation.services.corrections import correct_trajectory
from curation.services.queues import create_queue, take_next
from curation.services.reviews import Answer, LeaseLost, RevisionMoved, save_draft, submit_review, undo_review
from tests.at_once import at_once
from tests.factories import make_member, make_project, make_trajectory, owner_access

EDIT = EditStep(step_id=3, message="I look first.")


def hold(*, wanted: int = 1) -> tuple[Trajectory, Access, Reservation]:
    project = make_project()
    trajectory = make_trajectory(project, "look", "take")
    queue = create_queue(
        owner_access(project), name="Q", trajectories=Trajectory.objects.filter(project=project), reviews_wanted=wanted
    )
    person = make_member(project)
    held = take_next(person, queue)
    assert held is not None
    return trajectory, person, held


def correct(trajectory: Trajectory) -> None:
    fresh = Trajectory.objects.get(pk=trajectory.pk)
    correct_trajectory(owner_access(trajectory.project), fresh, EDIT, base=0, reason="unclear")


@pytest.mark.django_db
def test_an_answer_to_an_older_revision_is_kept_and_its_reviewer_told_who_corrected() -> None:
    trajectory, person, held = hold()
    correct(trajectory)
    with pytest.raises(RevisionMoved, match=owner_access(trajectory.project).user.username):
        submit_review(person, held, Answer(verdict="accept", comment="fine", revision=0))
    draft = Review.objects.get()
    assert (draft.submitted_at, draft.comment, draft.revision.number) == (None, "fine", 0)
    trajectory.refresh_from_db()
    assert trajectory.status == "unreviewed"
    review = submit_review(person, held, Answer(verdict="accept", revision=1))
    assert review.revision.number == 1


@pytest.mark.django_db
def test_the_draft_says_that_the_trajectory_was_corrected_while_it_is_read(client: Client) -> None:
    trajectory, person, held = hold()
    client.force_login(person.user)
    draft = reverse("curation:queue-draft", args=[trajectory.project.slug, held.pk])
    assert "Draft kept" in client.post(draft, {"comment": "so far", "revision": "0"}).content.decode()
    correct(trajectory)
    assert "corrected this trajectory" in client.post(draft, {"revision": "0"}).content.decode()
    page = reverse("curation:queue-review", args=[trajectory.project.slug, held.pk])
    answer = client.post(page, {"verdict": "accept", "revision": "0"}).content.decode()
    assert "it is at revision 1" in answer
    assert 'name="revision" value="1"' in " ".join(answer.split())
    assert Reservation.objects.get().state == "held"


@pytest.mark.django_db
def test_a_review_of_an_older_revision_says_so_wherever_it_is_shown(client: Client) -> None:
    trajectory, person, held = hold()
    submit_review(person, held, Answer(verdict="accept", revision=0))
    client.force_login(person.user)
    place = reverse("curation:trajectory-detail", args=[trajectory.project.slug, trajectory.pk])
    assert "corrected since" not in client.get(place).content.decode()
    correct(trajectory)
    assert "corrected since" in client.get(place).content.decode()


@pytest.mark.django_db
def test_labels_of_a_review_taken_back_stand_at_their_steps_of_the_newest_revision(client: Client) -> None:
    trajectory, person, held = hold()
    answer = Answer(verdict="reject", labels={3: "correct"}, failure_mode_of={4: "loop"}, first_error=4, revision=0)
    review = submit_review(person, held, answer)
    lead = owner_access(trajectory.project)
    fresh = Trajectory.objects.get(pk=trajectory.pk)
    correct_trajectory(lead, fresh, InsertStep(after_step_id=2, message="I look first."), base=0, reason="")
    undo_review(person, review)
    client.force_login(person.user)
    page = client.get(reverse("curation:queue-review", args=[trajectory.project.slug, held.pk])).content.decode()
    flat = " ".join(page.split())
    assert "Corrected since you read revision 0" in flat
    assert 'name="label-4" value="correct" checked' in flat
    assert 'name="label-5" value="wrong" checked' in flat
    assert 'name="first_error" value="5" checked' in flat


@pytest.mark.django_db
def test_whoever_comes_back_to_a_draft_is_told_that_somebody_else_corrected_since(client: Client) -> None:
    trajectory, person, held = hold()
    save_draft(person, held, Answer(comment="so far", revision=0))
    client.force_login(person.user)
    place = reverse("curation:queue-review", args=[trajectory.project.slug, held.pk])
    assert "Corrected since" not in client.get(place).content.decode()
    correct(trajectory)
    assert "Corrected since you read revision 0" in " ".join(client.get(place).content.decode().split())


@pytest.mark.django_db
def test_a_revision_that_does_not_exist_is_refused() -> None:
    _, person, held = hold()
    with pytest.raises(ValueError, match="no revision 7"):
        submit_review(person, held, Answer(verdict="accept", revision=7))
    assert not Review.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(4))
def test_a_correction_during_the_submit_comes_before_it_or_after_it(attempt: int) -> None:
    trajectory, person, held = hold()
    outcome, _ = at_once(
        lambda: submit_review(person, held, Answer(verdict="accept", revision=0)), lambda: correct(trajectory)
    )
    trajectory.refresh_from_db()
    review = Review.objects.get()
    assert trajectory.head_number == 1
    assert review.revision.number == 0
    if isinstance(outcome, RevisionMoved):
        assert (review.submitted_at, trajectory.status) == (None, "unreviewed")
    else:
        assert (review.submitted_at is not None, trajectory.status) == (True, "accepted")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(4))
def test_two_answers_at_the_same_moment_are_both_seen_by_the_status(attempt: int) -> None:
    trajectory, person, held = hold(wanted=2)
    other = make_member(trajectory.project)
    theirs = take_next(other, held.item.queue)
    assert theirs is not None
    at_once(
        lambda: submit_review(person, held, Answer(verdict="accept", grade=1)),
        lambda: submit_review(other, theirs, Answer(verdict="reject", grade=5)),
    )
    trajectory.refresh_from_db()
    assert (trajectory.status, trajectory.task.human_grade) == ("disputed", 3)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(4))
def test_a_lease_that_ends_during_the_submit_leaves_one_review_or_a_draft(attempt: int) -> None:
    trajectory, person, held = hold()
    other = make_member(trajectory.project)
    Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    outcome, taken = at_once(
        lambda: submit_review(person, held, Answer(verdict="accept", comment="an hour of thought")),
        lambda: take_next(other, held.item.queue),
    )
    review = Review.objects.get(reviewer=person.user)
    assert review.comment == "an hour of thought"
    assert Reservation.objects.filter(state__in=["held", "done"]).count() == 1
    if isinstance(outcome, LeaseLost):
        assert taken is not None
        assert review.submitted_at is None
    else:
        assert taken is None
        assert review.submitted_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_double_click_is_one_review() -> None:
    _, person, held = hold()
    first, second = at_once(*[lambda: submit_review(person, held, Answer(verdict="accept"))] * 2)
    assert first == second
    assert Review.objects.exclude(submitted_at=None).count() == 1


@pytest.mark.django_db
def test_a_correction_leads_back_to_the_review_however_large_numbers_have_become(client: Client) -> None:
    with connection.cursor() as cursor:  # numbers of four digits and more were once written with a comma
        cursor.execute("SELECT setval(pg_get_serial_sequence('curation_reservation', 'id'), 1234567)")
    trajectory, person, held = hold()
    client.force_login(person.user)
    review = reverse("curation:queue-review", args=[trajectory.project.slug, held.pk])
    link = re.search(r'class="edit"\s+href="([^"]+)"', client.get(review).content.decode())
    assert link
    form = client.get(unescape(link[1])).content.decode()
    assert f'name="reservation" value="{held.pk}"' in " ".join(form.split())
    saved = {"reservation": held.pk, "base": 0, "operation": "delete", "save": "1", "reason": "why"}
    answer = client.post(unescape(link[1]).split("?")[0], saved)
    assert answer["Location"].startswith(review)
