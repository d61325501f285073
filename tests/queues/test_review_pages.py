"""The workbench's pages: save and next in one request, drafts, skipping, releasing, blind queues."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from curation.models import Queue, Reservation, Review, Trajectory
from curation.permissions import Access
from curation.services.queues import create_queue, take_next
from tests.factories import make_member, make_project, make_trajectories, owner_access

pytestmark = pytest.mark.django_db


def open_queue(number: int = 2, *, blind: bool = False, wanted: int = 1) -> tuple[Queue, Access, Client]:
    project = make_project()
    make_trajectories(project, number)
    queue = create_queue(
        owner_access(project), name="Queue", trajectories=Trajectory.objects.all(), blind=blind, reviews_wanted=wanted
    )
    person = make_member(project)
    client = Client()
    client.force_login(person.user)
    return queue, person, client


def address(name: str, queue: Queue, pk: int) -> str:
    return reverse(f"curation:{name}", args=[queue.project.slug, pk])


def test_save_and_next_is_one_request() -> None:
    queue, _, client = open_queue()
    first = client.post(address("queue-next", queue, queue.pk))
    held = Reservation.objects.get(state="held")
    assert first["Location"] == address("queue-review", queue, held.pk)
    assert client.get(first["Location"]).status_code == 200
    sent = {"verdict": "accept", "grade": "2", "label-3": "correct", "first_error": "4", "failure_modes": ["loop"]}
    answer = client.post(first["Location"], sent)
    following = Reservation.objects.get(state="held")
    assert answer["Location"] == address("queue-review", queue, following.pk)
    review = Review.objects.get()
    assert (review.verdict, review.grade, review.failure_modes) == ("accept", 2, ["loop"])
    assert {label.step_id for label in review.step_labels.all()} == {3, 4}
    last = client.post(answer["Location"], {"verdict": "reject"}, follow=True)
    assert "Nothing is left for you" in last.content.decode()


def test_save_and_next_takes_few_statements_however_much_is_done(django_assert_max_num_queries: object) -> None:
    queue, person, client = open_queue(4)
    held = take_next(person, queue)
    while held is not None and queue.items.exclude(free_slots=[]).exists():
        with django_assert_max_num_queries(32):  # type: ignore[operator]  # pytest-django's fixture
            page = client.post(
                address("queue-review", queue, held.pk), {"verdict": "accept", "grade": "3"}, HTTP_HX_REQUEST="true"
            )
        held = Reservation.objects.get(state="held")
        assert page["HX-Push-Url"] == address("queue-review", queue, held.pk)
    assert "3 of 4 done · you 3 today" in page.content.decode()


def test_an_answer_without_a_verdict_stays_on_the_page_and_says_so() -> None:
    queue, person, client = open_queue()
    held = take_next(person, queue)
    assert held is not None
    answer = client.post(address("queue-review", queue, held.pk), {"grade": "2"}, follow=True)
    assert "Choose a verdict" in answer.content.decode()
    assert not Review.objects.exclude(submitted_at=None).exists()


def test_what_is_typed_is_kept_and_shown_again() -> None:
    queue, person, client = open_queue()
    held = take_next(person, queue)
    assert held is not None
    client.post(address("queue-draft", queue, held.pk), {"comment": "half a thought", "label-3": "wrong"})
    page = client.get(address("queue-review", queue, held.pk)).content.decode()
    assert "half a thought" in page
    assert re.search(r'name="label-3"\s+value="wrong"\s+checked', page)


def test_skipping_needs_a_reason_and_goes_on() -> None:
    queue, person, client = open_queue()
    held = take_next(person, queue)
    assert held is not None
    refused = client.post(address("queue-skip", queue, held.pk), follow=True)
    assert "why you skip" in refused.content.decode()
    client.post(address("queue-skip", queue, held.pk), {"reason": "my own\x00 run"})
    assert Reservation.objects.get(pk=held.pk).state == "skipped"
    assert Reservation.objects.filter(state="held").count() == 1


def test_putting_off_goes_on_and_keeps_what_was_typed() -> None:
    queue, person, client = open_queue()
    held = take_next(person, queue)
    assert held is not None
    client.post(address("queue-draft", queue, held.pk), {"comment": "Half read."})
    answer = client.post(address("queue-defer", queue, held.pk))
    other = Reservation.objects.get(state="held")
    assert answer["Location"] == address("queue-review", queue, other.pk)
    assert other.item_id != held.item_id
    back = client.post(address("queue-defer", queue, other.pk), follow=True)
    assert "Half read." in back.content.decode()
    stranger = Client()
    stranger.force_login(make_member(queue.project).user)
    assert stranger.post(address("queue-defer", queue, Reservation.objects.get(state="held").pk)).status_code == 404


def test_only_its_holder_or_a_curator_releases_an_item() -> None:
    queue, person, _ = open_queue()
    held = take_next(person, queue)
    assert held is not None
    other = Client()
    other.force_login(make_member(queue.project).user)
    assert other.post(address("queue-release", queue, held.pk)).status_code == 403
    assert other.get(address("queue-review", queue, held.pk)).status_code == 404
    curator = Client()
    curator.force_login(make_member(queue.project, "curator").user)
    curator.post(address("queue-release", queue, held.pk))
    assert Reservation.objects.get(pk=held.pk).state == "released"


def test_a_blind_queue_hides_outcome_model_and_the_reviews_of_others() -> None:
    queue, person, client = open_queue(1, blind=True, wanted=2)
    other = make_member(queue.project)
    theirs = take_next(other, queue)
    assert theirs is not None
    colleague = Client()
    colleague.force_login(other.user)
    colleague.post(address("queue-review", queue, theirs.pk), {"verdict": "reject", "comment": "my secret view"})
    mine = take_next(person, queue)
    assert mine is not None
    page = client.get(address("queue-review", queue, mine.pk)).content.decode()
    assert "my secret view" not in page
    assert "✓ success" not in page
    assert "attempts solved" not in page


def test_a_blind_reviewer_does_not_read_the_reviews_elsewhere_before_answering() -> None:
    queue, person, client = open_queue(1, blind=True, wanted=2)
    other = make_member(queue.project)
    theirs = take_next(other, queue)
    assert theirs is not None
    colleague = Client()
    colleague.force_login(other.user)
    colleague.post(address("queue-review", queue, theirs.pk), {"verdict": "reject", "comment": "my secret view"})
    mine = take_next(person, queue)
    assert mine is not None
    detail = reverse("curation:trajectory-detail", args=[queue.project.slug, mine.item.trajectory_id])
    assert "my secret view" not in client.get(detail).content.decode()
    client.post(address("queue-review", queue, mine.pk), {"verdict": "accept"})
    assert "my secret view" in client.get(detail).content.decode()


def test_undo_opens_the_last_review_again() -> None:
    queue, person, client = open_queue()
    held = take_next(person, queue)
    assert held is not None
    client.post(address("queue-review", queue, held.pk), {"verdict": "accept"})
    answer = client.post(address("queue-undo", queue, queue.pk))
    assert answer["Location"] == address("queue-review", queue, held.pk)
    page = client.get(answer["Location"]).content.decode()
    assert re.search(r'value="accept"\s+data-key="a"\s+checked', page)


def test_the_queue_pages_take_a_fixed_number_of_queries(django_assert_max_num_queries: object) -> None:
    queue, person, client = open_queue(30)
    take_next(person, queue)
    for name in ("queue-list", "queue-detail"):
        args = [queue.project.slug] if name == "queue-list" else [queue.project.slug, queue.pk]
        with django_assert_max_num_queries(16):  # type: ignore[operator]  # pytest-django's fixture
            assert client.get(reverse(f"curation:{name}", args=args)).status_code == 200


def test_another_answer_from_a_second_tab_is_told_that_the_first_stands() -> None:
    queue, person, client = open_queue()
    held = take_next(person, queue)
    assert held is not None
    page = address("queue-review", queue, held.pk)
    client.post(page, {"verdict": "accept", "grade": "2"})
    same = client.post(page, {"verdict": "accept", "grade": "2"}, follow=True).content.decode()
    assert "that answer stands" not in same
    other = client.post(page, {"verdict": "reject", "grade": "5"}, follow=True).content.decode()
    assert "You had answered this item already (accept)" in other
    assert Review.objects.get(item=held.item).verdict == "accept"


def test_curators_read_why_items_were_skipped() -> None:
    queue, person, client = open_queue()
    held = take_next(person, queue)
    assert held is not None
    client.post(address("queue-skip", queue, held.pk), {"reason": "I wrote this task <b>myself</b>."})
    progress = address("queue-progress", queue, queue.pk)
    assert "I wrote this task" not in client.get(progress).content.decode()
    client.force_login(owner_access(queue.project).user)
    assert "I wrote this task &lt;b&gt;myself&lt;/b&gt;." in client.get(progress).content.decode()


def test_whoever_is_not_named_is_offered_no_next_item_and_a_refusal_says_why() -> None:
    queue, _, client = open_queue()
    queue.reviewers.add(make_member(queue.project).user)
    for name, args in (("queue-list", []), ("queue-detail", [queue.pk])):
        page = client.get(reverse(f"curation:{name}", args=[queue.project.slug, *args])).content.decode()
        assert address("queue-next", queue, queue.pk) not in page
    refused = client.post(address("queue-next", queue, queue.pk))
    assert refused.status_code == 403
    assert "named by its curator" in refused.content.decode()
