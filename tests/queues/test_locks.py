"""Work on one item from two sides at once: nobody waits in a circle. Each meets the other while both hold something."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from curation.models import Queue, QueueItem, Reservation, Review, Trajectory
from curation.services import bulk_changes, gold, reviews
from curation.services.difficulty_fits import queue_fit, run_fit
from curation.services.gold import mark_gold, unmark_gold
from curation.services.queues import create_queue, extend_queue, release_item, take_next
from curation.services.reviews import Answer, submit_review
from tests.at_once import at_once
from tests.factories import make_member, make_project, make_task, make_trajectory, owner_access
from tests.queues.cast import make_queue

pytestmark = pytest.mark.django_db(transaction=True)
PAUSE = 1.0

SLOW = """
CREATE FUNCTION slow_item() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END $$;
CREATE TRIGGER slow_item BEFORE UPDATE ON curation_queueitem FOR EACH ROW EXECUTE FUNCTION slow_item();
"""
FAST = "DROP TRIGGER slow_item ON curation_queueitem; DROP FUNCTION slow_item();"


@pytest.fixture
def slow_items() -> Iterator[None]:
    """Whoever writes on items takes so long that others meet them there."""
    with connection.cursor() as cursor:
        cursor.execute(SLOW)
    yield
    with connection.cursor() as cursor:
        cursor.execute(FAST)


def pause_in_submit(monkeypatch: pytest.MonkeyPatch) -> tuple[Event, Event]:
    """A submit holds its reservation, says so, and waits a while for the other side to hold something too."""
    holding, met = Event(), Event()
    write: Any = reviews._write_review

    def write_late(*args: Any, **options: Any) -> Review:
        holding.set()
        met.wait(PAUSE)
        answer: Review = write(*args, **options)
        return answer

    monkeypatch.setattr(reviews, "_write_review", write_late)
    return holding, met


def test_leases_that_ran_out_are_freed_while_a_submit_moves_the_band_of_their_task(slow_items: None) -> None:
    project = make_project()
    task = make_task(project)
    for _ in range(3):
        make_trajectory(project, task=task)
    everything = Trajectory.objects.filter(project=project)
    queue = create_queue(owner_access(project), name="Q", trajectories=everything, order=Queue.Order.OLDEST)
    people = [make_member(project) for _ in range(4)]
    ends = [timezone.now() + timedelta(minutes=minutes) for minutes in (9, -1, -1)]
    holds = [  # in the reverse order of the items
        Reservation.objects.create(item=item, reviewer=person.user, slot=1, expires_at=end)
        for item, person, end in zip(queue.items.order_by("-pk"), people, ends, strict=False)
    ]
    review, taken = at_once(
        lambda: submit_review(people[0], holds[0], Answer(verdict="accept", grade=5)),
        lambda: take_next(people[3], queue),
    )
    assert review.submitted_at is not None
    assert taken is None or taken.state == "held"


def test_a_gold_item_becomes_an_ordinary_one_while_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = make_queue(1, wanted=1)
    lead, person = owner_access(queue.project), make_member(queue.project)
    mark_gold(lead, queue, queue.items.get().get_trajectory(), verdict="accept")
    Queue.objects.filter(pk=queue.pk).update(gold_percent=100)
    monkeypatch.setattr("curation.services.queues.random.random", lambda: 0.0)
    held = take_next(person, Queue.objects.get(pk=queue.pk))
    assert held is not None
    holding, met = pause_in_submit(monkeypatch)
    give_slots = gold._give_slots

    def give_late(item: QueueItem) -> None:
        met.set()
        give_slots(item)

    monkeypatch.setattr(gold, "_give_slots", give_late)

    def unmark() -> bool:
        holding.wait(5)
        return unmark_gold(lead, queue.items.get())

    review, unmarked = at_once(lambda: submit_review(person, held, Answer(verdict="accept")), unmark)
    assert review.submitted_at is not None
    assert unmarked is True
    assert Trajectory.objects.get().status == "accepted"


def test_an_item_is_removed_by_undoing_a_bulk_action_while_somebody_answers_it_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = make_queue(1, wanted=1)
    person = make_member(queue.project)
    held = take_next(person, queue)
    assert held is not None
    release_item(person, held)
    holding, met = pause_in_submit(monkeypatch)
    lock = bulk_changes._lock_items

    def lock_late(*args: Any) -> Any:
        holding.wait(5)
        items = lock(*args)
        met.set()
        return items

    monkeypatch.setattr(bulk_changes, "_lock_items", lock_late)
    job: Any = SimpleNamespace(parameters={"queue": queue.pk})
    trajectory = held.item.trajectory_id or 0

    def undo() -> list[int]:
        with transaction.atomic():
            return bulk_changes._remove_items(job, [trajectory], assignee=None)

    review, removed = at_once(lambda: submit_review(person, held, Answer(verdict="accept")), undo)
    assert review.submitted_at is not None
    assert removed == []
    assert queue.items.exists()


def test_a_queue_is_filled_while_a_fit_moves_the_bands_of_what_is_in_it(slow_items: None) -> None:
    """Items are in the reverse order of their tasks, so that the two meet from both ends."""
    project = make_project()
    access = owner_access(project)
    waiting = []
    for task in [make_task(project) for _ in range(3)]:
        make_trajectory(project, task=task, success=True, status="accepted")
        waiting.append(make_trajectory(project, task=task, success=True))
    queue = Queue.objects.create(project=project, name="Q")
    for trajectory in reversed(waiting):
        QueueItem.objects.create(queue=queue, trajectory=trajectory)
    new = make_trajectory(project)
    job = queue_fit(project)
    at_once(
        lambda: run_fit(job.pk),
        lambda: extend_queue(access, queue, Trajectory.objects.filter(pk=new.pk)),
    )
    job.refresh_from_db()
    assert (job.state, job.error) == ("done", "")
    assert queue.items.count() == 4
    assert set(queue.items.exclude(trajectory=new).values_list("band", flat=True)) == {2}
