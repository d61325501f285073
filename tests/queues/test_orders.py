"""In which order a queue hands out what it holds, and to whom."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied

from curation.models import PreferencePair, Project, Queue, QueueItem, Reservation, Revision, Trajectory
from curation.permissions import Access
from curation.selectors.pairs import find_last_judgement
from curation.services.pair_queue import submit_judgement
from curation.services.pairs import PairAnswer, judge_pair, withdraw_judgement
from curation.services.projects import remove_member
from curation.services.queues import change_queue, create_queue, defer_item, release_item, take_next
from curation.services.reviews import Answer, submit_review
from curation.services.targets import set_target
from tests.factories import make_member, make_project, make_task, make_trajectories, make_trajectory, owner_access

pytestmark = pytest.mark.django_db
Order = Queue.Order


@pytest.fixture
def project() -> Project:
    return make_project()


def make_queue(project: Project, **options: object) -> Queue:
    everything = Trajectory.objects.filter(project=project)
    return create_queue(owner_access(project), name="Queue", trajectories=everything, **options)  # type: ignore[arg-type]  # options of the service


def take_all(person: Access, queue: Queue) -> list[int | None]:
    """What the person is given, one after the other."""
    found = []
    for _ in range(queue.items.count()):
        held = take_next(person, queue)
        assert held is not None
        found.append(held.item.trajectory_id)
        defer_item(held)
    return found


def test_within_a_band_the_task_with_the_fewest_accepted_attempts_comes_first(project: Project) -> None:
    rich, poor = make_task(project, band=3), make_task(project, band=3)
    make_trajectory(project, task=rich, status="accepted")
    waiting = make_trajectory(project, task=rich), make_trajectory(project, task=poor)
    open_ones = Trajectory.objects.filter(status="unreviewed")
    queue = create_queue(owner_access(project), name="Q", trajectories=open_ones, order=Order.DEFICIT)
    assert take_all(make_member(project), queue) == [waiting[1].pk, waiting[0].pk]


def test_the_order_follows_what_is_accepted_while_people_work(project: Project) -> None:
    first, second = make_task(project, band=3), make_task(project, band=3)
    ours = [make_trajectory(project, task=first) for _ in range(2)]
    theirs = make_trajectory(project, task=second)
    queue, person = make_queue(project, order=Order.DEFICIT), make_member(project)
    held = take_next(person, queue)
    assert held is not None
    assert held.item.trajectory_id == ours[0].pk
    submit_review(person, held, Answer(verdict="accept", grade=3))
    following = take_next(person, queue)
    assert following is not None
    assert following.item.trajectory_id == theirs.pk


def test_a_random_order_is_the_same_again_for_the_same_seed(project: Project) -> None:
    make_trajectories(project, 20)
    everything = Trajectory.objects.filter(project=project)
    orders = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        queue = create_queue(owner_access(project), name=name, trajectories=everything, order=Order.RANDOM, seed=seed)
        orders.append(take_all(make_member(project), queue))
    assert orders[0] == orders[1] != orders[2]
    assert sorted(map(str, orders[0])) == sorted(map(str, orders[2]))


def test_disputes_come_first_also_those_that_arise_while_people_work(project: Project) -> None:
    make_trajectories(project, 3)
    queue = make_queue(project, order=Order.DISAGREEMENT, reviews_wanted=3)
    people = [make_member(project) for _ in range(3)]
    for person, verdict in zip(people[:2], ("accept", "reject"), strict=True):
        held = take_next(person, queue)
        assert held is not None
        if verdict == "reject":
            disputed = held.item_id
        submit_review(person, held, Answer(verdict=verdict))
    third = take_next(people[2], queue)
    assert third is not None
    assert third.item_id == disputed


def test_uncertain_scores_come_first_and_unknown_ones_last(project: Project) -> None:
    rewards = [None, 0.1, 0.9, 1.0]
    made = [make_trajectory(project) for _ in rewards]
    for trajectory, reward in zip(made, rewards, strict=True):
        Trajectory.objects.filter(pk=trajectory.pk).update(reward=reward)
    queue = make_queue(project, order=Order.UNCERTAINTY)
    assert take_all(make_member(project), queue) == [made[3].pk, made[2].pk, made[1].pk, made[0].pk]


def test_only_those_who_are_named_take_from_a_queue(project: Project) -> None:
    make_trajectories(project, 2)
    named, other = make_member(project), make_member(project)
    queue = make_queue(project, reviewers=[named.user])
    assert take_next(named, queue) is not None
    with pytest.raises(PermissionDenied, match="named by its curator"):
        take_next(other, queue)
    change_queue(owner_access(project), queue, name="Q", reviewers=[], lease_minutes=5, gold_percent=0)
    assert take_next(other, queue) is not None


def test_nobody_but_a_reviewer_of_the_project_can_be_named(project: Project) -> None:
    make_trajectories(project, 1)
    stranger, curator = make_member(make_project()), make_member(project, "curator")
    for person in (stranger, curator):
        with pytest.raises(ValueError, match="Only reviewers"):
            make_queue(project, reviewers=[person.user])
    assert not Queue.objects.exists()


def test_what_is_assigned_goes_to_its_assignee_first_and_to_nobody_else(project: Project) -> None:
    make_trajectories(project, 3)
    queue, person, other = make_queue(project), make_member(project), make_member(project)
    last = queue.items.order_by("-rank", "-id").first()
    assert last is not None
    QueueItem.objects.filter(pk=last.pk).update(assignee=person.user)
    mine = take_next(person, queue)
    assert mine is not None
    assert mine.item_id == last.pk
    release_item(person, mine)
    found = []
    while (held := take_next(other, queue)) is not None:
        found.append(held.item_id)
        submit_review(other, held, Answer(verdict="accept"))
    assert len(found) == 2
    assert last.pk not in found


def test_what_was_assigned_to_somebody_who_left_is_everybodys_again(project: Project) -> None:
    make_trajectories(project, 1)
    queue, person, other = make_queue(project), make_member(project), make_member(project)
    queue.items.update(assignee=person.user)
    assert take_next(other, queue) is None
    remove_member(owner_access(project), project.memberships.get(user=person.user))
    assert take_next(other, queue) is not None


def test_a_pairwise_queue_hands_out_pairs_by_band_to_as_many_as_it_wants(project: Project) -> None:
    for band in (2, 5):
        task = make_task(project, band=band)
        good, bad = make_trajectory(project, task=task), make_trajectory(project, task=task, success=False)
        sides = [Revision.objects.get(trajectory=side) for side in (good, bad)]
        PreferencePair.objects.create(
            project=project, task=task, chosen=sides[0], rejected=sides[1], shared_steps=2, origin="outcome"
        )
    queue = create_queue(owner_access(project), name="Pairs", pairs=PreferencePair.objects.all(), reviews_wanted=2)
    assert queue.kind == Queue.Kind.PAIRWISE
    people = [make_member(project) for _ in range(3)]
    held = [take_next(person, queue) for person in people]
    assert [one.item.band for one in held if one] == [5, 5, 2]
    assert all(one.item.pair_id and not one.item.trajectory_id for one in held if one)
    assert Reservation.objects.filter(state="held").count() == 3
    project.tasks.filter(band=2).update(band=4)
    assert set(queue.items.values_list("band", flat=True)) == {4, 5}


def make_pairs_of(project: Project, *numbers: int) -> list[list[PreferencePair]]:
    """For each number a task with as many pairs."""
    made = []
    for number in numbers:
        task = make_task(project, band=3)
        good = Revision.objects.get(trajectory=make_trajectory(project, task=task))
        bad = [make_trajectory(project, task=task, success=False) for _ in range(number)]
        made.append(
            [
                PreferencePair.objects.create(
                    project=project, task=task, chosen=good, rejected=side, shared_steps=2, origin="outcome"
                )
                for side in Revision.objects.filter(trajectory__in=bad)
            ]
        )
    return made


def judge_next(person: Access, queue: Queue, answer: str) -> int | None:
    """The pair that the person was given, and answered so with the older side on the left."""
    held = take_next(person, queue)
    assert held is not None
    pair = PreferencePair.objects.get(queue_items=held.item)
    left, right = sorted([pair.chosen_id, pair.rejected_id])
    submit_judgement(person, held, PairAnswer(answer, left, right))
    return pair.pk


def test_the_order_of_pairs_follows_what_is_confirmed_while_people_work(project: Project) -> None:
    ours, theirs = make_pairs_of(project, 2, 1)
    queue = create_queue(owner_access(project), name="Pairs", pairs=PreferencePair.objects.all(), order=Order.DEFICIT)
    person = make_member(project)
    assert judge_next(person, queue, "left-better") == ours[0].pk
    following = take_next(person, queue)
    assert following is not None
    assert following.item.pair_id == theirs[0].pk
    judgement = find_last_judgement(person, queue=queue)
    assert judgement is not None
    withdraw_judgement(person, judgement)
    assert set(queue.items.values_list("rank", flat=True)) == {0}


def test_pairs_that_people_answer_differently_come_first_once_they_do(project: Project) -> None:
    made = make_pairs_of(project, 1, 1, 1)
    everything = PreferencePair.objects.all()
    queue = create_queue(
        owner_access(project), name="Pairs", pairs=everything, order=Order.DISAGREEMENT, reviews_wanted=3
    )
    last = made[-1][0]
    for answer in ("left-better", "tie"):
        person = make_member(project)
        judge_pair(person, last, PairAnswer(answer, last.chosen_id, last.rejected_id))
        last.refresh_from_db()
    assert queue.items.get(pair=last).rank == -2
    held = take_next(make_member(project), queue)
    assert held is not None
    assert held.item.pair_id == last.pk


def test_the_order_of_the_deficit_follows_the_projects_target(project: Project) -> None:
    access = owner_access(project)
    easy, hard = make_task(project, band=1), make_task(project, band=5)
    make_trajectory(project, task=easy, status="accepted")
    make_trajectory(project, task=hard, status="accepted")
    waiting = [make_trajectory(project, task=task) for task in (easy, hard)]
    open_ones = Trajectory.objects.filter(status="unreviewed")
    queue = create_queue(access, name="Q", trajectories=open_ones, order=Order.DEFICIT)
    set_target(access, {"kind": "manual", "shares": {"1": 0.9, "5": 0.1}})
    project.refresh_from_db()
    assert take_all(make_member(project), queue) == [waiting[0].pk, waiting[1].pk]
    set_target(access, {"kind": "manual", "shares": {"1": 0.1, "5": 0.9}})
    project.refresh_from_db()
    assert take_all(make_member(project), queue) == [waiting[1].pk, waiting[0].pk]
