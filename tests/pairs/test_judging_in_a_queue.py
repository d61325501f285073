"""Pairs as items of a queue: an answer counts while its reviewer holds the pair, once, and can be taken back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from curation.models import Judgement, PreferencePair, Project, QueueItem, Reservation, Role
from curation.permissions import Access
from curation.selectors.pairs import find_last_judgement
from curation.services.pair_queue import submit_judgement
from curation.services.pairs import PairAnswer, withdraw_judgement
from curation.services.queues import release_item, take_next
from curation.services.reviews import LeaseLost
from tests.at_once import at_once
from tests.factories import make_member, make_project
from tests.pairs.cast import answer_for, make_pairs, make_queue, sign_in, take

pytestmark = pytest.mark.django_db


def prefer(access: Access, reservation: Reservation) -> PairAnswer:
    """The answer that the side which is chosen so far is better."""
    pair = PreferencePair.objects.get(queue_items=reservation.item_id)
    return answer_for(access, pair, winner=pair.chosen_id, reason="It finishes.")


def lose(reservation: Reservation) -> None:
    """The lease ran out."""
    past = timezone.now() - timedelta(minutes=1)
    Reservation.objects.filter(pk=reservation.pk).update(expires_at=past)


def test_an_answer_confirms_the_pair_and_ends_the_reservation() -> None:
    project = make_project()
    make_pairs(project)
    access, queue = make_member(project), make_queue(project)
    held = take(access, queue)
    judgement = submit_judgement(access, held, prefer(access, held))
    held.refresh_from_db()
    assert (held.state, judgement.item_id) == ("done", held.item_id)
    assert PreferencePair.objects.get().status == "confirmed"
    assert take_next(access, queue) is None


def test_the_time_at_work_is_no_longer_than_the_pair_was_held() -> None:
    project = make_project()
    make_pairs(project)
    access = make_member(project)
    held = take(access, make_queue(project))
    Reservation.objects.filter(pk=held.pk).update(taken_at=timezone.now() - timedelta(seconds=60))
    given = prefer(access, held)
    answer = PairAnswer(given.answer, given.left_id, given.right_id, seconds=10**6)
    assert 59 <= submit_judgement(access, held, answer).seconds <= 70


def test_a_bad_answer_leaves_the_pair_held_and_only_its_holder_answers() -> None:
    project = make_project()
    make_pairs(project)
    access = make_member(project)
    held = take(access, make_queue(project))
    with pytest.raises(ValueError, match="not the two sides"):
        submit_judgement(access, held, PairAnswer("tie", 1, 2))
    held.refresh_from_db()
    assert held.state == "held"
    with pytest.raises(Reservation.DoesNotExist):
        submit_judgement(make_member(project), held, prefer(access, held))
    with pytest.raises(PermissionDenied):
        submit_judgement(make_member(project, Role.ENGINEER), held, prefer(access, held))


def test_a_lost_lease_is_told_with_who_has_the_pair_and_nothing_is_saved() -> None:
    project = make_project()
    make_pairs(project)
    slow, quick, queue = make_member(project), make_member(project), make_queue(project)
    held = take(slow, queue)
    lose(held)
    taken = take(quick, queue)
    with pytest.raises(LeaseLost, match=f"{quick.user.username} has it now"):
        submit_judgement(slow, held, prefer(slow, held))
    assert Judgement.objects.count() == 0
    release_item(quick, taken)
    submit_judgement(slow, held, prefer(slow, held))
    held.refresh_from_db()
    assert held.state == "done"


def test_taking_back_gives_the_pair_to_its_reviewer_again() -> None:
    project = make_project()
    make_pairs(project, 2)
    access, queue = make_member(project), make_queue(project)
    for _ in range(2):
        held = take(access, queue)
        submit_judgement(access, held, prefer(access, held))
    last = find_last_judgement(access, queue=queue)
    assert last is not None
    again = withdraw_judgement(access, last)
    assert again is not None
    assert take(access, queue) == again == held
    assert set(PreferencePair.objects.values_list("status", flat=True)) == {"confirmed", "proposed"}
    assert Reservation.objects.filter(state="done").count() == 1


def test_a_gold_pair_tests_the_reviewer_and_is_not_settled_by_it() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    access = make_member(project)
    make_queue(project)
    QueueItem.objects.update(gold=True, gold_winner=pair.chosen_id)
    item = QueueItem.objects.get()
    held = Reservation.objects.create(item=item, reviewer=access.user, expires_at=timezone.now() + timedelta(minutes=9))
    submit_judgement(access, held, prefer(access, held))
    pair.refresh_from_db()
    assert (pair.status, pair.confidence, pair.judgements.count()) == ("proposed", None, 1)


@pytest.mark.django_db(transaction=True)
def test_two_people_who_answer_the_same_pair_at_the_same_moment_both_count() -> None:
    project = make_project()
    make_pairs(project)
    queue = make_queue(project, reviews_wanted=2)
    people = [make_member(project), make_member(project)]
    held = [take(person, queue) for person in people]
    answers = [prefer(person, mine) for person, mine in zip(people, held, strict=True)]
    at_once(*[lambda n=n: submit_judgement(people[n], held[n], answers[n]) for n in range(2)])
    pair = PreferencePair.objects.get()
    assert (pair.judgements.count(), pair.status) == (2, "confirmed")
    assert pair.confidence == pytest.approx(3 / 4)


@pytest.mark.django_db(transaction=True)
def test_a_double_click_counts_once() -> None:
    project = make_project()
    make_pairs(project)
    access = make_member(project)
    held = take(access, make_queue(project))
    given = prefer(access, held)
    done = at_once(*[lambda: submit_judgement(access, held, given)] * 4)
    assert {judgement.pk for judgement in done if isinstance(judgement, Judgement)} == {Judgement.objects.get().pk}
    assert PreferencePair.objects.get().confidence == pytest.approx(2 / 3)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(3))
def test_where_a_lease_ends_during_the_submit_the_pair_is_judged_once_for_its_slot(attempt: int) -> None:
    project = make_project()
    make_pairs(project)
    slow, quick, queue = make_member(project), make_member(project), make_queue(project)
    held = take(slow, queue)
    given = prefer(slow, held)
    lose(held)
    submitted, taken = at_once(lambda: submit_judgement(slow, held, given), lambda: take_next(quick, queue))
    assert isinstance(submitted, Judgement | LeaseLost)
    assert isinstance(submitted, Judgement) != isinstance(taken, Reservation)
    assert Reservation.objects.filter(state__in=["held", "done"]).count() == 1
    assert Judgement.objects.count() == int(isinstance(submitted, Judgement))


def open_page(project: Project) -> tuple[Access, Client, Reservation]:
    access = make_member(project)
    return access, sign_in(access), take(access, make_queue(project))


def post(client: Client, project: Project, name: str, pk: int, **fields: object) -> str:
    response = client.post(reverse(f"curation:{name}", args=[project.slug, pk]), fields)
    assert response.status_code == 302
    return str(response["Location"])


def as_form(given: PairAnswer) -> dict[str, object]:
    return {"answer": given.answer, "left": given.left_id, "right": given.right_id, "reason": given.reason}


def test_save_and_next_goes_through_the_queue_and_undo_brings_back_what_was_answered() -> None:
    project = make_project()
    make_pairs(project, 2)
    access, client, held = open_page(project)
    address = reverse("curation:queue-judge", args=[project.slug, held.pk])
    page = client.get(address)
    assert "yours until" in page.content.decode()
    following = post(client, project, "queue-judge", held.pk, **as_form(prefer(access, held)))
    assert following != address
    last = Judgement.objects.get()
    shown = client.get(following).context
    assert shown["last"] == last
    undone = post(client, project, "queue-judge-undo", held.item.queue_id, judgement=last.pk)
    assert undone == address
    page = client.get(undone)
    assert (page.context["answer"], page.context["reason"]) == (last.answer, "It finishes.")
    assert Judgement.objects.count() == 0
    again = post(client, project, "queue-judge-undo", held.item.queue_id, judgement=last.pk)
    assert again == reverse("curation:queue-detail", args=[project.slug, held.item.queue_id])


def test_an_answer_on_a_lost_lease_is_shown_again() -> None:
    project = make_project()
    make_pairs(project)
    access, client, held = open_page(project)
    lose(held)
    take(make_member(project), held.item.queue)
    address = post(client, project, "queue-judge", held.pk, **as_form(prefer(access, held)))
    page = client.get(address)
    assert page.context["reason"] == "It finishes."
    assert page.context["answer"]
    text = page.content.decode()
    assert "has it now" in text
    assert "You no longer hold this pair" in text


def test_what_is_typed_is_kept_and_the_lease_with_it() -> None:
    project = make_project()
    make_pairs(project)
    _, client, held = open_page(project)
    lose(held)
    address = reverse("curation:queue-judge-draft", args=[project.slug, held.pk])
    assert b"yours until" in client.post(address, {"answer": "tie", "reason": "<b>x</b>"}).content
    held.refresh_from_db()
    assert held.expires_at > timezone.now()
    page = client.get(reverse("curation:queue-judge", args=[project.slug, held.pk]))
    assert (page.context["answer"], page.context["reason"]) == ("tie", "<b>x</b>")
    assert "<b>x</b>" not in page.content.decode()


@pytest.mark.parametrize("name", ["queue-judge", "queue-judge-draft"])
def test_somebody_elses_reservation_is_not_found(name: str) -> None:
    project = make_project()
    make_pairs(project)
    _, _, held = open_page(project)
    address = reverse(f"curation:{name}", args=[project.slug, held.pk])
    assert sign_in(make_member(project)).post(address, {"answer": "tie"}).status_code == 404
    assert sign_in(make_member(make_project())).post(address, {"answer": "tie"}).status_code == 404
    assert sign_in(make_member(project, Role.ENGINEER)).post(address, {"answer": "tie"}).status_code == 403
