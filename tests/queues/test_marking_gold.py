"""Gold items: made, unmade, measured, and known to nobody but curators."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connections
from django.urls import reverse

from curation.models import PreferencePair, Queue, QueueItem, Reservation, Trajectory
from curation.permissions import Access
from curation.selectors.gold import list_decided, list_wrong_answers, measure_accuracy
from curation.services.decisions import decide_trajectory, withdraw_decision
from curation.services.gold import mark_decided_gold, mark_gold, mark_gold_pair, unmark_gold
from curation.services.queues import take_next
from tests.factories import make_member, make_trajectory, owner_access
from tests.queues.cast import address, give_judgement, give_review, make_pair, make_pair_queue, make_queue, sign_in

pytestmark = pytest.mark.django_db


def check_gold(item: QueueItem) -> None:
    item.refresh_from_db()
    assert item.gold
    assert item.free_slots == []


def test_a_trajectory_becomes_gold_whether_it_is_in_the_queue_or_not() -> None:
    queue = make_queue(2)
    owner = owner_access(queue.project)
    inside = queue.items.earliest("pk")
    check_gold(mark_gold(owner, queue, inside.get_trajectory(), verdict="accept", grade=3))
    outside = make_trajectory(queue.project)
    added = mark_gold(owner, queue, outside, verdict="reject")
    check_gold(added)
    assert queue.items.count() == 3
    mark_gold(owner, queue, outside, verdict="accept")
    added.refresh_from_db()
    assert added.gold_verdict == "accept"


def test_what_somebody_holds_or_reviewed_does_not_become_gold() -> None:
    queue = make_queue(2)
    owner, person = owner_access(queue.project), make_member(queue.project)
    held = take_next(person, queue)
    assert held is not None
    reviewed = queue.items.exclude(pk=held.item_id).get()
    give_review(reviewed, make_member(queue.project))
    for item in queue.items.all():
        with pytest.raises(ValueError, match="holds or has reviewed"):
            mark_gold(owner, queue, item.get_trajectory(), verdict="accept")
    assert not queue.items.filter(gold=True).exists()


@pytest.mark.parametrize(("verdict", "grade"), [("unsure", None), ("", None), ("maybe", 3), ("accept", 6)])
def test_an_answer_that_cannot_be_right_is_refused(verdict: str, grade: int | None) -> None:
    queue = make_queue(1)
    with pytest.raises(ValueError, match=r"known answer|Difficulty"):
        mark_gold(owner_access(queue.project), queue, queue.items.get().get_trajectory(), verdict=verdict, grade=grade)
    assert not QueueItem.objects.filter(gold=True).exists()


@pytest.mark.django_db(transaction=True)
def test_taking_an_item_and_making_it_gold_at_the_same_moment() -> None:
    queue = make_queue(1, wanted=1)
    owner, person = owner_access(queue.project), make_member(queue.project)
    trajectory = queue.items.get().get_trajectory()
    both = Barrier(2)

    def take() -> bool:
        try:
            both.wait()
            return take_next(person, queue) is not None
        finally:
            connections.close_all()

    def mark() -> bool:
        try:
            both.wait()
            mark_gold(owner, queue, trajectory, verdict="accept")
        except ValueError:
            return False
        else:
            return True
        finally:
            connections.close_all()

    for _ in range(8):
        Reservation.objects.all().delete()
        queue.items.update(gold=False)
        with ThreadPoolExecutor(2) as pool:
            taken, marked = pool.submit(take), pool.submit(mark)
            outcome = taken.result(), marked.result()
        item = queue.items.get()
        assert item.gold is outcome[1]
        # never an ordinary hold, with a slot, on an item that is gold
        assert not (item.gold and item.reservations.filter(slot__isnull=False).exists())


def decide(queue: Queue, number: int, verdict: str = "accept") -> list[Trajectory]:
    owner = owner_access(queue.project)
    found = [make_trajectory(queue.project) for _ in range(number)]
    for trajectory in found:
        decide_trajectory(owner, trajectory, verdict=verdict, grade=2)
    return found


def test_everything_decided_becomes_gold_at_once_but_for_what_was_met_here() -> None:
    queue = make_queue(2)
    owner = owner_access(queue.project)
    free, met = queue.items.order_by("pk")
    give_review(met, make_member(queue.project))
    for item in (free, met):
        decide_trajectory(owner, item.get_trajectory(), verdict="reject", grade=5)
    decide(queue, 3)
    decide(queue, 1, "unsure")
    taken_back = decide_trajectory(owner, make_trajectory(queue.project), verdict="accept")
    withdraw_decision(owner, taken_back)
    assert list_decided(queue).count() == 4
    assert mark_decided_gold(owner, queue) == 4
    assert mark_decided_gold(owner, queue) == 0
    check_gold(free)
    assert (free.gold_verdict, free.gold_grade) == ("reject", 5)
    gold = queue.items.filter(gold=True)
    assert sorted(gold.values_list("gold_verdict", "gold_grade")) == [*[("accept", 2)] * 3, ("reject", 5)]


def test_a_gold_item_that_is_made_ordinary_counts_again_and_is_not_served_too_often() -> None:
    queue = make_queue(1, wanted=2)
    owner = owner_access(queue.project)
    item = queue.items.get()
    mark_gold(owner, queue, item.get_trajectory(), verdict="accept")
    for verdict in ("accept", "reject", "reject"):
        give_review(item, make_member(queue.project), verdict)
    assert item.get_trajectory().status == "unreviewed"
    assert unmark_gold(owner, item)
    assert not unmark_gold(owner, item)
    item.refresh_from_db()
    assert (item.gold, item.gold_verdict, item.free_slots) == (False, "", [])
    assert Trajectory.objects.get(queue_items=item).status == "disputed"
    assert take_next(make_member(queue.project), queue) is None


def test_accuracy_counts_verdicts_and_grades_within_one() -> None:
    queue = make_queue(5)
    owner = owner_access(queue.project)
    good, bad = (make_member(queue.project) for _ in range(2))
    items = list(queue.items.order_by("pk"))
    for item in items[:4]:
        mark_gold(owner, queue, item.get_trajectory(), verdict="accept", grade=3)
    mark_gold(owner, queue, items[4].get_trajectory(), verdict="reject")
    for item, grade in zip(items[:4], (2, 3, 4, None), strict=True):
        give_review(item, good, "accept", grade)
    give_review(items[4], good, "reject", 1)
    for item, verdict, grade in zip(items[:3], ("accept", "reject", "accept"), (5, 3, 3), strict=True):
        give_review(item, bad, verdict, grade)
    best, worst = measure_accuracy(queue)
    assert (best.name, best.answered, best.right, best.verdicts) == (good.user.username, 5, 5, 5)
    assert (worst.answered, worst.right, worst.verdicts) == (3, 1, 2)
    assert worst.low < 1 / 3 < worst.high
    assert {answer.item_id for answer in list_wrong_answers(queue, bad.user.pk)} == {items[0].pk, items[1].pk}
    client = sign_in(make_member(queue.project, "curator"))
    page = client.get(address("queue-gold", queue) + f"?reviewer={bad.user.pk}").content.decode()
    assert f"What {bad.user.username} got wrong" in page
    assert "100 %" in client.get(address("queue-detail", queue)).content.decode()


def test_gold_pairs() -> None:
    queue = make_pair_queue(2)
    owner = owner_access(queue.project)
    person = make_member(queue.project)
    first, second = queue.items.order_by("pk")
    for item in (first, second):
        assert item.pair is not None
        check_gold(mark_gold_pair(owner, queue, item.pair, winner=min(item.pair.chosen_id, item.pair.rejected_id)))
    give_judgement(first, person, "left-better")
    give_judgement(second, person, "left-better", swapped=True)
    (accuracy,) = measure_accuracy(queue)
    assert (accuracy.answered, accuracy.right) == (2, 1)
    with pytest.raises(ValueError, match="one of this pair's"):
        mark_gold_pair(owner, queue, make_pair(queue.project), winner=1)
    decided = QueueItem.objects.create(queue=queue, pair=make_pair(queue.project))
    give_judgement(decided, owner, "right-better", decides=True)
    assert mark_decided_gold(owner, queue) == 1
    decided.refresh_from_db()
    assert decided.pair is not None
    assert decided.gold_winner_id == max(decided.pair.chosen_id, decided.pair.rejected_id)
    first.refresh_from_db()
    assert first.pair is not None
    assert first.pair.status == "proposed"
    page = sign_in(make_member(queue.project, "curator")).get(
        address("queue-gold", queue) + f"?reviewer={person.user.pk}"
    )
    assert page.content.decode().count("Make ordinary") == 3
    unmark_gold(owner, first)
    assert PreferencePair.objects.get(pk=first.pair_id).status == "confirmed"  # type: ignore[misc]  # a pair's item


def test_the_page_adds_refuses_and_removes() -> None:
    queue = make_queue(1)
    client = sign_in(make_member(queue.project, "curator"))
    trajectory = queue.items.get().trajectory_id
    place = address("queue-gold", queue)
    assert "Enter a whole number" in client.post(place, {"trajectory": "x", "verdict": "accept"}).content.decode()
    assert client.post(place, {"trajectory": 10**30, "verdict": "accept"}).status_code == 200
    assert client.post(place, {"trajectory": 10**9, "verdict": "accept"}).status_code == 404
    assert client.post(place, {"trajectory": trajectory, "verdict": "accept", "grade": "2"}).status_code == 302
    item = queue.items.get()
    check_gold(item)
    page = client.get(place).content.decode()
    assert "accept, 2" in page
    client.post(address("queue-unmark", queue, item.pk))
    assert not queue.items.get().gold
    again = client.post(address("queue-unmark", queue, item.pk), follow=True)
    assert "no gold item any more" in again.content.decode()


def test_a_decision_is_used_as_gold_of_another_queue_from_its_page() -> None:
    queue = make_queue(1)
    other = Queue.objects.create(project=queue.project, name="Training round")
    item = queue.items.get()
    client = sign_in(make_member(queue.project, "curator"))
    early = client.post(address("queue-reuse", queue, item.pk), {"queue": other.pk}, follow=True)
    assert "Decide it first" in early.content.decode()
    decide_trajectory(owner_access(queue.project), item.get_trajectory(), verdict="reject", grade=4)
    assert "Training round" in client.get(address("queue-adjudicate", queue, item.pk)).content.decode()
    client.post(address("queue-reuse", queue, item.pk), {"queue": other.pk})
    assert other.items.get().gold_verdict == "reject"
    assert client.post(address("queue-reuse", queue, item.pk), {"queue": make_queue(1).pk}).status_code == 404


def test_gold_over_rest() -> None:
    queue = make_queue(2)
    curator, reviewer = (sign_in(make_member(queue.project, role)) for role in ("curator", "reviewer"))
    place = address("api-queue-gold", queue, rest=True)
    trajectory = queue.items.earliest("pk").trajectory_id
    assert reviewer.post(place, {"trajectory": trajectory, "verdict": "accept"}).status_code == 403
    assert curator.post(place, {"trajectory": trajectory}).status_code == 400
    assert curator.post(place, {"trajectory": trajectory, "verdict": "unsure"}).status_code == 400
    made = curator.post(place, {"trajectory": trajectory, "verdict": "accept", "grade": 2})
    assert made.status_code == 201
    assert made.json()["gold_verdict"] == "accept"
    give_review(queue.items.latest("pk"), make_member(queue.project))
    held = queue.items.latest("pk").trajectory_id
    assert curator.post(place, {"trajectory": held, "verdict": "accept"}).status_code == 409
    give_review(queue.items.earliest("pk"), make_member(queue.project), "reject")
    assert [(row["answered"], row["wrong"]) for row in curator.get(place).json()["results"]] == [(1, 1)]
    accuracy = curator.get(address("api-queue-accuracy", queue, rest=True)).json()["results"]
    assert (accuracy[0]["answered"], accuracy[0]["share"]) == (1, 0.0)
    decided = address("api-queue-gold-decided", queue, rest=True)
    decide(queue, 2)
    assert curator.post(decided).json() == {"marked": 2}
    one = address("api-queue-gold-item", queue, made.json()["id"], rest=True)
    assert (curator.delete(one).status_code, curator.delete(one).status_code) == (204, 409)


def pages_of(queue: Queue, person: Access) -> dict[str, bytes]:
    """Everything a reviewer may read of a queue."""
    client = sign_in(person)
    pages = {name: client.get(address(name, queue)) for name in ("queue-detail", "queue-progress")}
    pages |= {name: client.get(address(name, queue)) for name in ("queue-progress-export", "queue-reviews-export")}
    pages |= {name: client.get(address(name, queue, rest=True)) for name in ("api-queue-progress", "api-queue-reviews")}
    return {name: b"".join(page) if page.streaming else page.content for name, page in pages.items()}


def test_nothing_a_reviewer_may_read_tells_a_gold_item_from_another() -> None:
    """Two queues that differ in nothing but that one item of one of them is gold read the same."""
    seen = []
    for gold in (True, False):
        queue = make_queue(2, wanted=1, name="Same")
        person = make_member(queue.project)
        first = queue.items.earliest("pk")
        if gold:
            mark_gold(owner_access(queue.project), queue, first.get_trajectory(), verdict="accept")
        give_review(first, person, "reject")
        give_review(first, make_member(queue.project), "accept") if gold else None
        seen.append((queue, person, pages_of(queue, person)))
    (queue, person, with_gold), (_, _, without) = seen
    for name, content in with_gold.items():
        assert b"gold" not in content.lower(), name
        if name in ("queue-reviews-export", "api-queue-reviews"):
            assert content.count(b"accept") == without[name].count(b"accept") == 0
    first = queue.items.earliest("pk")
    assert first.reviews.count() == 2
    page = reverse("curation:trajectory-detail", args=[queue.project.slug, first.trajectory_id])
    curator = sign_in(make_member(queue.project, "curator"))
    assert sign_in(person).get(page).content.decode().count('id="review-') == 1
    assert curator.get(page).content.decode().count('id="review-') == 2
    told = curator.get(address("api-queue-reviews", queue, rest=True)).json()["results"]
    assert len(told) == 2
