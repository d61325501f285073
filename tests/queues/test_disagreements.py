"""Disagreements: which there are, deciding one after another, taking a decision back, and pairs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from curation.models import Decision, Judgement, Queue, QueueItem, Revision, Trajectory
from curation.permissions import Access
from curation.selectors.disagreements import count_disagreements, find_next_disagreement, list_disagreements
from curation.services.decisions import decide_trajectory
from tests.factories import make_document, make_member, owner_access
from tests.queues.cast import (
    LEVELS,
    address,
    give_judgement,
    give_review,
    make_pair_queue,
    make_queue,
    make_rubric,
    sign_in,
)

pytestmark = pytest.mark.django_db


def differ(queue: Queue, *, number: int = 1) -> list[QueueItem]:
    """Two people at odds over the first items of a queue."""
    first, second = (make_member(queue.project) for _ in range(2))
    items = list(queue.items.order_by("pk")[:number])
    for item in items:
        give_review(item, first, "accept", 2, comment="Fine.", first_error=3)
        give_review(item, second, "reject", 4, comment="Not fine.")
    return items


def ids(queue: Queue, *, decided: bool = False) -> list[int]:
    return list(list_disagreements(queue).filter(decided=decided).order_by("pk").values_list("pk", flat=True))


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ({"verdict": "accept"}, {"verdict": "reject"}, True),
        ({"verdict": "accept"}, {"verdict": "unsure"}, True),
        ({"verdict": "accept", "grade": 2}, {"verdict": "accept", "grade": 3}, False),
        ({"verdict": "accept", "grade": 2}, {"verdict": "accept", "grade": 4}, True),
        ({"verdict": "accept", "grade": 1}, {"verdict": "accept"}, False),
        ({"scores": {"care": 1}}, {"scores": {"care": 2}}, False),
        ({"scores": {"care": 1}}, {"scores": {"care": 3}}, True),
        ({"scores": {"care": 1}}, {"scores": {"other": 4}}, False),
        ({"scores": {"care": 1}}, {"scores": {"care": "1"}}, False),
    ],
)
def test_what_counts_as_a_disagreement(one: dict[str, Any], other: dict[str, Any], found: bool) -> None:
    queue = make_queue(1)
    rubric = make_rubric(queue, "care", "other")
    item = queue.items.get()
    for fields in (one, other):
        give_review(item, make_member(queue.project), rubric=rubric, **fields)
    assert bool(ids(queue)) is found
    page = sign_in(make_member(queue.project, "curator")).get(address("queue-disagreements", queue)).content.decode()
    assert ("Decide</a>" in page) is found


def test_levels_of_other_scales_are_not_compared() -> None:
    queue = make_queue(1)
    old, new = make_rubric(queue, "care"), make_rubric(queue, "care", levels=LEVELS[1:])
    item = queue.items.get()
    give_review(item, make_member(queue.project), scores={"care": 1}, rubric=old)
    give_review(item, make_member(queue.project), scores={"care": 4}, rubric=new)
    assert ids(queue) == []


def test_gold_items_drafts_and_other_queues_are_no_disagreement() -> None:
    queue, other = make_queue(2), make_queue(1)
    gold, draft = differ(queue, number=2)
    differ(other)
    QueueItem.objects.filter(pk=gold.pk).update(gold=True)
    draft.reviews.filter(verdict="reject").update(submitted_at=None)
    assert ids(queue) == []
    assert count_disagreements(queue) == (0, 0)
    assert count_disagreements(other) == (1, 0)


def test_a_curator_decides_one_after_another_with_enter() -> None:
    queue = make_queue(4)
    first, second, third = differ(queue, number=3)
    curator = make_member(queue.project, "curator")
    client = sign_in(curator)
    page = client.get(address("queue-disagreements", queue)).content.decode()
    assert page.count("Decide</a>") == 3
    answer = client.post(address("queue-adjudicate", queue, second.pk), {"verdict": "accept", "grade": "5"})
    assert answer["Location"] == address("queue-adjudicate", queue, third.pk)
    answer = client.post(answer["Location"], {"verdict": "reject"})
    assert answer["Location"] == address("queue-adjudicate", queue, first.pk)
    answer = client.post(answer["Location"], {"verdict": "unsure", "comment": "Who knows."})
    assert answer["Location"] == address("queue-disagreements", queue)
    assert count_disagreements(queue) == (0, 3)
    assert Trajectory.objects.get(queue_items=second).status == "accepted"
    assert Trajectory.objects.get(queue_items=third).status == "rejected"
    decided = Decision.objects.get(item=second)
    assert (decided.grade, decided.decided_by) == (5, curator.user)
    page = client.get(address("queue-disagreements", queue) + "?decided=1").content.decode()
    assert page.count("Open</a>") == 3


def test_the_page_shows_the_reviews_side_by_side_with_levels_and_older_revisions() -> None:
    queue = make_queue(1)
    rubric = make_rubric(queue, "care")
    item = queue.items.get()
    trajectory = item.get_trajectory()
    old = trajectory.revisions.get()
    Revision.objects.create(trajectory=trajectory, number=1, document=make_document("look"))
    Trajectory.objects.filter(pk=trajectory.pk).update(head_number=1)
    people = [make_member(queue.project) for _ in range(2)]
    give_review(item, people[0], "accept", 1, scores={"care": 1}, rubric=rubric, revision=old, first_error=4)
    give_review(item, people[1], "reject", 5, scores={"care": 4}, rubric=rubric, comment="<i>So wrong.</i>")
    page = sign_in(make_member(queue.project, "curator")).get(address("queue-adjudicate", queue, item.pk))
    text = page.content.decode()
    assert "Reviews differ in: verdict, difficulty, care" in text
    for words in ("revision 0, not the newest", "step 4", "&lt;i&gt;So wrong.", people[0].user.username):
        assert words in text
    assert re.search(r"<td>\s*none\s*</td>\s*<td>\s*all\s*</td>", text)


def test_a_decision_without_a_verdict_is_refused_and_nothing_typed_is_lost() -> None:
    queue = make_queue(1)
    (item,) = differ(queue)
    client = sign_in(make_member(queue.project, "curator"))
    for sent in ({"comment": "half a thought"}, {"verdict": "maybe", "comment": "half a thought"}):
        answer = client.post(address("queue-adjudicate", queue, item.pk), sent)
        assert "Choose a verdict" in answer.content.decode()
        assert "half a thought" in answer.content.decode()
    answer = client.post(address("queue-adjudicate", queue, item.pk), {"verdict": "accept", "grade": "9"})
    assert answer.status_code == 200
    assert not Decision.objects.exists()


def test_a_decision_that_is_taken_back_opens_the_disagreement_again() -> None:
    queue = make_queue(1)
    (item,) = differ(queue)
    client = sign_in(make_member(queue.project, "curator"))
    client.post(address("queue-adjudicate", queue, item.pk), {"verdict": "accept"})
    client.post(address("queue-withdraw", queue, item.pk))
    assert ids(queue) == [item.pk]
    assert Trajectory.objects.get(queue_items=item).status == "disputed"
    again = client.post(address("queue-withdraw", queue, item.pk), follow=True)
    assert "no decision to take back" in again.content.decode()
    assert "Earlier decisions" in again.content.decode()


def test_only_curators_decide_and_only_in_their_own_project() -> None:
    queue = make_queue(1)
    (item,) = differ(queue)
    other = make_queue(1)
    reviewer = sign_in(make_member(queue.project))
    stranger = make_member(other.project, "curator", "reviewer")
    for name in ("queue-adjudicate", "queue-withdraw", "queue-reuse"):
        assert reviewer.post(address(name, queue, item.pk), {"verdict": "accept"}).status_code == 403
        assert sign_in(stranger).post(address(name, queue, item.pk), {"verdict": "accept"}).status_code == 404
        # an item of another queue, named below one's own
        assert sign_in(stranger).post(address(name, other, item.pk), {"verdict": "accept"}).status_code == 404
    assert sign_in(stranger).post(address("api-queue-decision", other, item.pk, rest=True)).status_code == 404
    assert not Decision.objects.exists()


def test_deciding_over_rest() -> None:
    queue = make_queue(2)
    items = differ(queue, number=2)
    client = sign_in(make_member(queue.project, "curator"))
    listed = client.get(address("api-queue-disagreements", queue, rest=True) + "?decided=false").json()["results"]
    assert [row["item"] for row in listed] == [item.pk for item in items]
    place = address("api-queue-decision", queue, items[0].pk, rest=True)
    assert client.post(place, {"verdict": "maybe"}).status_code == 400
    made = client.post(place, {"verdict": "reject", "grade": 4, "comment": "Broken."})
    assert made.status_code == 201
    assert (made.json()["verdict"], made.json()["revision"]) == ("reject", 0)
    listed = client.get(address("api-queue-disagreements", queue, rest=True) + "?decided=true").json()["results"]
    assert [row["item"] for row in listed] == [items[0].pk]
    assert client.delete(place).status_code == 204
    assert client.delete(place).status_code == 409
    bad = client.get(address("api-queue-disagreements", queue, rest=True) + "?after=damaged")
    assert bad.status_code == 400


def test_pairs_whose_judgements_name_other_winners_wait_for_a_curator() -> None:
    queue = make_pair_queue(4)
    first, second = (make_member(queue.project) for _ in range(2))
    same, apart, tied, decided = queue.items.order_by("pk")
    give_judgement(same, first, "left-better")
    give_judgement(same, second, "right-slightly-better", swapped=True)
    give_judgement(apart, first, "left-better")
    give_judgement(apart, second, "left-better", swapped=True)
    give_judgement(tied, first, "tie")
    give_judgement(tied, second, "both-bad")
    give_judgement(decided, first, "left-better")
    give_judgement(decided, second, "right-better")
    give_judgement(decided, owner_access(queue.project), "tie", decides=True)
    assert ids(queue) == [apart.pk, tied.pk]
    assert ids(queue, decided=True) == [decided.pk]
    client = sign_in(make_member(queue.project, "curator"))
    page = client.get(address("queue-disagreements", queue)).content.decode()
    assert address("queue-adjudicate", queue, apart.pk) in page
    assert "A better" in page
    place = client.get(address("queue-adjudicate", queue, apart.pk))["Location"]
    assert place.endswith(f"/pairs/{apart.pair_id}/?deciding={queue.pk}")
    assert Judgement.objects.count() == 9


def test_the_list_takes_as_many_queries_for_thirty_as_for_three() -> None:
    counts = []
    for number in (3, 30):
        queue = make_queue(number)
        make_rubric(queue, "care")
        differ(queue, number=number)
        client = sign_in(make_member(queue.project, "curator"))
        client.get(address("queue-disagreements", queue))
        with CaptureQueriesContext(connection) as queries:
            page = client.get(address("queue-disagreements", queue))
        assert page.content.decode().count("Decide</a>") == number
        assert not any('"curation_revision"."document"' in query["sql"] for query in queries)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_next_one_is_found_by_number_and_from_the_start_again() -> None:
    queue = make_queue(3)
    items = differ(queue, number=3)
    access: Access = owner_access(queue.project)
    decide_trajectory(access, items[2].get_trajectory(), verdict="accept")
    assert find_next_disagreement(queue) == items[0]
    assert find_next_disagreement(queue, after=items[0].pk) == items[1]
    assert find_next_disagreement(queue, after=items[1].pk) == items[0]
    decide_trajectory(access, items[0].get_trajectory(), verdict="accept")
    assert find_next_disagreement(queue, after=items[1].pk) is None
