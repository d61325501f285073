"""A pair that one person meets more than once: in two queues, as a gold item, or after deciding it."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from django.urls import reverse

from curation.models import Judgement, PreferencePair, Queue, Reservation, Role
from curation.permissions import Access
from curation.selectors.pairs import find_judgement
from curation.services.gold import mark_decided_gold, mark_gold_pair
from curation.services.pair_queue import submit_judgement
from curation.services.pairs import decide_pair, judge_pair, withdraw_judgement
from curation.services.queues import create_queue
from tests.factories import make_member, make_project, owner_access
from tests.pairs.cast import answer_for, make_pairs, make_queue, sign_in, take

pytestmark = pytest.mark.django_db


class Scene(NamedTuple):
    pair: PreferencePair
    winner: int
    loser: int
    person: Access
    queues: tuple[Queue, Queue]

    def answer(self, queue: Queue, winner: int | None) -> Judgement:
        return submit_judgement(
            self.person, take(self.person, queue), answer_for(self.person, self.pair, winner=winner)
        )

    def make_gold(self, queue: Queue) -> None:
        mark_gold_pair(owner_access(queue.project), queue, self.pair, winner=self.winner)
        self.serve_gold(queue)

    def serve_gold(self, queue: Queue) -> None:
        Queue.objects.filter(pk=queue.pk).update(gold_percent=100)
        queue.refresh_from_db()

    def result(self) -> tuple[str, int]:
        self.pair.refresh_from_db()
        return self.pair.status, self.pair.chosen_id


@pytest.fixture
def scene() -> Scene:
    project = make_project()
    (pair,) = make_pairs(project)
    everything = PreferencePair.objects.filter(project=project)
    second = create_queue(owner_access(project), name="Second", pairs=everything)
    person = make_member(project, Role.CURATOR, Role.REVIEWER)
    return Scene(pair, pair.chosen_id, pair.rejected_id, person, (make_queue(project), second))


@pytest.mark.parametrize("answer", ["the same", "another"])
def test_a_decision_stands_whatever_its_curator_answers_to_a_gold_item(scene: Scene, answer: str) -> None:
    decide_pair(scene.person, scene.pair, answer_for(scene.person, scene.pair, winner=scene.winner))
    assert mark_decided_gold(scene.person, scene.queues[0]) == 1
    scene.serve_gold(scene.queues[0])
    scene.answer(scene.queues[0], scene.winner if answer == "the same" else None)
    assert scene.result() == ("confirmed", scene.winner)
    assert Judgement.objects.get(decides=True).item is None


def test_a_decision_stands_whatever_its_curator_answers_in_a_queue(scene: Scene) -> None:
    decided = decide_pair(scene.person, scene.pair, answer_for(scene.person, scene.pair, winner=scene.loser))
    scene.answer(scene.queues[0], scene.winner)
    assert scene.result() == ("confirmed", scene.loser)
    assert find_judgement(scene.person, scene.pair) == decided


def test_deciding_leaves_what_one_answered_in_a_queue(scene: Scene) -> None:
    given = scene.answer(scene.queues[0], scene.winner)
    decided = decide_pair(scene.person, scene.pair, answer_for(scene.person, scene.pair, winner=scene.loser))
    assert scene.result() == ("confirmed", scene.loser)
    withdraw_judgement(scene.person, decided)
    assert scene.result() == ("confirmed", scene.winner)
    assert Judgement.objects.get() == given


def test_each_queue_keeps_its_answer_and_the_newer_is_the_persons_vote(scene: Scene) -> None:
    for queue, winner in zip(scene.queues, (scene.winner, scene.loser), strict=True):
        scene.answer(queue, winner)
    assert {given.item.queue_id for given in Judgement.objects.all() if given.item} == {q.pk for q in scene.queues}
    assert scene.result() == ("confirmed", scene.loser)
    assert scene.pair.confidence == pytest.approx(2 / 3), "one person is one vote"


def test_an_answer_to_a_gold_item_leaves_the_vote_from_another_queue(scene: Scene) -> None:
    scene.answer(scene.queues[0], scene.winner)
    scene.make_gold(scene.queues[1])
    scene.answer(scene.queues[1], scene.loser)
    assert scene.result() == ("confirmed", scene.winner)


def test_who_met_a_pair_as_gold_judges_it_from_the_list_too(scene: Scene) -> None:
    scene.make_gold(scene.queues[0])
    scene.answer(scene.queues[0], scene.loser)
    assert scene.result()[0] == "proposed"
    given = answer_for(scene.person, scene.pair, winner=scene.winner)
    judge_pair(scene.person, scene.pair, given)
    assert scene.result() == ("confirmed", scene.winner)
    assert Judgement.objects.filter(item__gold=True).count() == 1


def test_the_list_changes_the_judgement_that_counts(scene: Scene) -> None:
    for queue in scene.queues:
        scene.answer(queue, scene.winner)
    given = answer_for(scene.person, scene.pair, winner=scene.loser)
    judge_pair(scene.person, scene.pair, given)
    assert scene.result() == ("confirmed", scene.loser)
    assert Judgement.objects.count() == 2


def test_taking_back_in_one_queue_leaves_the_other_as_it_was(scene: Scene) -> None:
    first, second = scene.queues
    held = take(scene.person, first)
    kept = scene.answer(first, scene.winner)
    withdraw_judgement(scene.person, scene.answer(second, scene.loser))
    assert scene.result() == ("confirmed", scene.winner)
    states = dict(Reservation.objects.values_list("item__queue", "state"))
    assert states == {first.pk: "done", second.pk: "held"}
    given = answer_for(scene.person, scene.pair, winner=scene.loser)
    again = sign_in(scene.person).post(
        reverse("curation:queue-judge", args=[first.project.slug, held.pk]),
        {"answer": given.answer, "left": given.left_id, "right": given.right_id},
    )
    assert again.status_code == 302
    assert Judgement.objects.get() == kept


def test_a_reservation_that_lost_its_answer_takes_one(scene: Scene) -> None:
    given = scene.answer(scene.queues[0], scene.winner)
    Judgement.objects.filter(pk=given.pk).delete()
    held = Reservation.objects.get()
    again = submit_judgement(scene.person, held, answer_for(scene.person, scene.pair, winner=scene.loser))
    assert again.item_id == held.item_id
    assert scene.result() == ("confirmed", scene.loser)
