"""What a queue has left is kept by triggers, so that taking the next item asks an index alone, however many work."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections
from django.utils import timezone

from curation.models import Queue, Reservation, Review, Task, Trajectory
from curation.permissions import Access
from curation.services.queues import create_queue, defer_item, release_item, skip_item, take_next
from curation.services.reviews import Answer, submit_review, undo_review
from tests.factories import make_member, make_project, make_task, make_trajectories, make_trajectory, owner_access


def make_queue(access: Access, *, reviews_wanted: int = 1) -> Queue:
    chosen = Trajectory.objects.filter(project=access.project)
    return create_queue(access, name="Queue", trajectories=chosen, reviews_wanted=reviews_wanted)


def check_slots(queue: Queue) -> None:
    """Free is exactly what no reservation holds."""
    for item in queue.items.all():
        taken = set(item.reservations.filter(state__in=["held", "done"]).values_list("slot", flat=True))
        assert sorted(item.free_slots) == sorted({*range(1, queue.reviews_wanted + 1)} - taken)


@pytest.mark.django_db(transaction=True)
def test_a_team_gives_every_item_the_reviews_it_wants_and_none_too_many() -> None:
    project = make_project()
    make_trajectories(project, 40)
    queue = make_queue(owner_access(project), reviews_wanted=3)
    people = [make_member(project) for _ in range(8)]

    def work(person: Access) -> int:
        saved = 0
        try:
            while (held := take_next(person, queue)) is not None:
                submit_review(person, held, Answer(verdict="accept", grade=1 + held.item_id % 5))
                saved += 1
        finally:
            connections.close_all()
        return saved

    with ThreadPoolExecutor(len(people)) as pool:
        saved = sum(pool.map(work, people))
    assert saved == 120
    reviews = Review.objects.exclude(submitted_at=None).values_list("item", "reviewer")
    assert len(set(reviews)) == 120
    assert set(Counter(item for item, _ in reviews).values()) == {3}
    check_slots(queue)


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(5))
def test_slots_follow_whatever_is_done_with_reservations(seed: int) -> None:
    chance = random.Random(seed)
    project = make_project()
    make_trajectories(project, 4)
    owner = owner_access(project)
    queue = make_queue(owner, reviews_wanted=2)
    people = [make_member(project) for _ in range(3)]
    for _ in range(30):
        person = chance.choice(people)
        held = take_next(person, queue)
        done = Review.objects.filter(item__queue=queue, reviewer=person.user).exclude(submitted_at=None).first()
        act = chance.choice(["submit", "skip", "defer", "release", "expire", "undo", "leave"])
        if act == "undo" and done:
            undo_review(person, done)
        elif held and act == "submit":
            submit_review(person, held, Answer(verdict="reject"))
        elif held and act == "skip":
            skip_item(held, reason="Not mine.")
        elif held and act == "defer":
            defer_item(held)
        elif held and act == "release":
            release_item(owner, held)
        elif held and act == "expire":
            Reservation.objects.filter(pk=held.pk).update(expires_at=timezone.now())
        check_slots(queue)
    people[0].user.delete()
    check_slots(queue)


@pytest.mark.django_db
def test_an_item_is_in_the_band_of_its_task() -> None:
    project = make_project()
    task = make_task(project, band=2)
    make_trajectory(project, task=task)
    make_trajectory(project, task=make_task(project, band=None))
    queue = make_queue(owner_access(project))
    assert sorted(queue.items.values_list("band", flat=True)) == [0, 2]
    Task.objects.filter(pk=task.pk).update(band=5)
    assert sorted(queue.items.values_list("band", flat=True)) == [0, 5]
    Task.objects.filter(pk=task.pk).update(band=None)
    assert set(queue.items.values_list("band", flat=True)) == {0}


@pytest.mark.django_db
def test_taking_reads_an_index_of_what_is_open_and_not_the_queue() -> None:
    project = make_project()
    for band in range(1, 6):
        task = make_task(project, band=band)
        for _ in range(40):
            make_trajectory(project, task=task)
    queue = make_queue(owner_access(project))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE curation_queueitem")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT id FROM curation_queueitem WHERE queue_id = %s AND free_slots <> '{}' AND band = 3"
            " AND assignee_id IS NULL"
            " ORDER BY rank, id LIMIT 1 FOR UPDATE SKIP LOCKED",
            [queue.pk],
        )
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Scan using open_item_by_" in plan
    assert "Sort" not in plan
