"""Gold items: their answer is known, everybody gets each once, and nobody can tell them from others."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from curation.models import Project, Queue, QueueItem, Reservation, Trajectory
from curation.selectors.queues import count_progress, list_queues
from curation.selectors.remarks import read_mentions, write_lines
from curation.services.queues import create_queue, release_item, take_next
from curation.services.reviews import Answer, submit_review, undo_review
from tests.factories import make_member, make_project, make_trajectories, owner_access

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def make_queue(project: Project, *, gold: int = 2, others: int = 3, percent: int = 50) -> Queue:
    made = list(make_trajectories(project, gold + others))
    queue = create_queue(
        owner_access(project), name="Q", trajectories=Trajectory.objects.filter(project=project), gold_percent=percent
    )
    chosen = [trajectory.pk for trajectory in made[:gold]]
    queue.items.filter(trajectory__in=chosen).update(gold=True, gold_verdict="reject")
    return queue


def test_everybody_gets_every_gold_item_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.services.queues.random.random", lambda: 0.0)  # the lot that always draws gold
    queue = make_queue(project)
    for _ in range(3):
        person = make_member(project)
        found = []
        for _ in range(2):
            held = take_next(person, queue)
            assert held is not None
            assert held.slot is None
            found.append(held.item_id)
            submit_review(person, held, Answer(verdict="accept"))
        assert set(found) == set(queue.items.filter(gold=True).values_list("pk", flat=True))
    assert Reservation.objects.filter(item__gold=True, state="done").count() == 6


def test_without_a_share_no_gold_item_is_served(project: Project) -> None:
    queue, person = make_queue(project, percent=0), make_member(project)
    found = []
    while (held := take_next(person, queue)) is not None:
        found.append(held.item.gold)
        submit_review(person, held, Answer(verdict="accept"))
    assert found == [False] * 3


def test_what_is_said_of_gold_counts_neither_for_the_trajectory_nor_for_progress(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curation.services.queues.random.random", lambda: 0.0)
    queue, person = make_queue(project, gold=1, others=1), make_member(project)
    held = take_next(person, queue)
    assert held is not None
    review = submit_review(person, held, Answer(verdict="accept", grade=5))
    trajectory = review.trajectory
    trajectory.refresh_from_db()
    assert (trajectory.status, trajectory.task.human_grade) == ("unreviewed", None)
    owner = owner_access(project)
    # curators see what is left; to the reviewer, a count that stood still would tell that it was gold
    for access, counts, mine in ((owner, (1, 0), 0), (person, (2, 1), 1)):
        progress = count_progress(access, queue)
        assert (progress.wanted, progress.given, progress.mine) == (*counts, mine)
        listed = list_queues(access).get(pk=queue.pk)
        assert (listed.item_count, listed.done_count) == counts  # type: ignore[attr-defined]  # annotated
    again = undo_review(person, review)
    assert again.item.gold
    release_item(person, again)
    assert QueueItem.objects.get(pk=held.item_id).free_slots == []


def test_an_item_that_is_gold_no_longer_is_open_again(project: Project) -> None:
    queue = make_queue(project, gold=1, others=0, percent=0)
    item = queue.items.get()
    assert item.free_slots == []
    queue.items.update(gold=False)
    item.refresh_from_db()
    assert item.free_slots == [1]
    assert take_next(make_member(project), queue) is not None


def test_the_page_of_a_gold_item_looks_like_any_other(
    project: Project, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curation.services.queues.random.random", lambda: 0.0)
    queue = make_queue(project)
    others = [make_member(project) for _ in range(2)]
    for person in others:
        held = take_next(person, queue)
        assert held is not None
        submit_review(person, held, Answer(verdict="reject", comment="what the others said"))
    person = make_member(project)
    client.force_login(person.user)
    held = take_next(person, queue)
    assert held is not None
    page = client.get(reverse("curation:queue-review", args=[project.slug, held.pk])).content.decode()
    assert "gold" not in page.lower()
    assert "what the others said" not in page


def test_a_colleague_named_in_the_review_of_a_gold_item_is_not_told_what_was_said(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curation.services.queues.random.random", lambda: 0.0)
    queue, person, colleague = make_queue(project, gold=1), make_member(project), make_member(project)
    held = take_next(person, queue)
    assert held is not None
    submit_review(person, held, Answer(verdict="reject", comment=f"@{colleague.user.username}, a loop."))
    for access, said in ((colleague, ""), (owner_access(project), f"@{colleague.user.username}, a loop.")):
        mentions = read_mentions(colleague)
        assert [line.text for line in write_lines(access, list(mentions))] == [said]
