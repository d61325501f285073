"""Two people never trip over each other: what the database holds, tried with real connections at the same moment."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from curation.models import Queue, Reservation, Trajectory
from curation.permissions import Access
from curation.services.queues import create_queue, defer_item, release_item, renew_lease, skip_item, take_next
from curation.services.reviews import Answer, submit_review
from tests.at_once import at_once
from tests.factories import make_member, make_project, make_task, make_trajectories, make_trajectory, owner_access

pytestmark = pytest.mark.django_db


def make_queue(access: Access, **options: object) -> Queue:
    return create_queue(
        access,
        name="Queue",
        trajectories=Trajectory.objects.filter(project=access.project),
        **options,  # type: ignore[arg-type]  # options of the service
    )


@pytest.mark.django_db(transaction=True)
def test_reviewers_who_take_at_the_same_moment_get_different_items() -> None:
    project = make_project()
    make_trajectories(project, 6)
    queue = make_queue(owner_access(project))
    people = [make_member(project) for _ in range(6)]
    taken = at_once(*[lambda person=person: take_next(person, queue) for person in people])
    items = [reservation.item_id for reservation in taken if reservation]
    assert len(items) == len(set(items)) == 6


@pytest.mark.django_db(transaction=True)
def test_one_reviewer_in_two_tabs_gets_one_item() -> None:
    project = make_project()
    make_trajectories(project, 1)
    queue = make_queue(owner_access(project), reviews_wanted=3)
    person = make_member(project)
    at_once(*[lambda: take_next(person, queue)] * 4)
    assert Reservation.objects.filter(reviewer=person.user).count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_item_is_given_to_no_more_people_than_its_queue_wants() -> None:
    project = make_project()
    make_trajectories(project, 1)
    queue = make_queue(owner_access(project), reviews_wanted=2)
    people = [make_member(project) for _ in range(5)]
    taken = at_once(*[lambda person=person: take_next(person, queue) for person in people])
    assert sum(reservation is not None for reservation in taken) <= 2
    for person in people:
        take_next(person, queue)
    assert list(Reservation.objects.order_by("slot").values_list("slot", flat=True)) == [1, 2]


def test_taking_again_returns_the_item_one_holds() -> None:
    project = make_project()
    make_trajectories(project, 2)
    queue, person = make_queue(owner_access(project)), make_member(project)
    first, second = take_next(person, queue), take_next(person, queue)
    assert first is not None
    assert first == second


def test_the_database_refuses_a_second_reviewer_on_one_slot() -> None:
    project = make_project()
    make_trajectories(project, 1)
    held = take_next(make_member(project), make_queue(owner_access(project)))
    assert held is not None
    other = make_member(project)
    with pytest.raises(IntegrityError), transaction.atomic():
        Reservation.objects.create(item=held.item, reviewer=other.user, slot=held.slot, expires_at=timezone.now())


def test_a_lease_that_ran_out_frees_the_item_for_others() -> None:
    project = make_project()
    make_trajectories(project, 1)
    queue, slow, quick = make_queue(owner_access(project)), make_member(project), make_member(project)
    held = take_next(slow, queue)
    assert held is not None
    assert take_next(quick, queue) is None
    Reservation.objects.filter(pk=held.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    taken = take_next(quick, queue)
    assert taken is not None
    assert taken.item_id == held.item_id
    assert not renew_lease(held)


def test_a_skipped_item_goes_to_others_and_not_back_to_the_same_person() -> None:
    project = make_project()
    make_trajectories(project, 1)
    queue, person, other = make_queue(owner_access(project)), make_member(project), make_member(project)
    held = take_next(person, queue)
    assert held is not None
    with pytest.raises(ValueError, match="why"):
        skip_item(held, reason=" ")
    assert skip_item(held, reason="I know the customer.")
    assert take_next(person, queue) is None
    assert take_next(other, queue) is not None


def test_what_was_put_off_comes_back_after_all_others_and_in_turn() -> None:
    project = make_project()
    make_trajectories(project, 3)
    queue, person = make_queue(owner_access(project), order="oldest"), make_member(project)
    seen = []
    for _ in range(7):
        held = take_next(person, queue)
        assert held is not None
        seen.append(held.item_id)
        assert defer_item(held)
        assert not defer_item(held)
    first, second, third = sorted(set(seen))
    assert seen == [first, second, third, first, second, third, first]


def test_what_one_person_put_off_another_gets_and_a_done_item_does_not_come_back() -> None:
    project = make_project()
    make_trajectories(project, 1)
    queue, person, other = make_queue(owner_access(project)), make_member(project), make_member(project)
    held = take_next(person, queue)
    assert held is not None
    defer_item(held)
    taken = take_next(other, queue)
    assert taken is not None
    submit_review(other, taken, Answer(verdict="accept"))
    assert take_next(person, queue) is None


def test_a_released_item_can_be_taken_again() -> None:
    project = make_project()
    make_trajectories(project, 1)
    queue, person = make_queue(owner_access(project)), make_member(project)
    held = take_next(person, queue)
    assert held is not None
    assert release_item(owner_access(project), held)
    assert not release_item(owner_access(project), held)
    assert take_next(make_member(project), queue) is not None


def test_the_band_that_accepted_trajectories_lack_most_comes_first() -> None:
    project = make_project()
    easy, hard = make_task(project, band=1), make_task(project, band=5)
    for _ in range(3):
        make_trajectory(project, task=easy, status="accepted")
    make_trajectory(project, task=easy)
    wanted = make_trajectory(project, task=hard)
    make_trajectory(project, task=hard)
    taken = take_next(make_member(project), make_queue(owner_access(project)))
    assert taken is not None
    assert taken.item.trajectory_id == wanted.pk


def test_a_queue_of_nothing_or_with_a_taken_name_is_refused() -> None:
    project = make_project()
    access = owner_access(project)
    with pytest.raises(ValueError, match="nothing to review"):
        make_queue(access)
    make_trajectory(project)
    make_queue(access)
    with pytest.raises(ValueError, match="already"):
        make_queue(access)
    assert Queue.objects.count() == 1
