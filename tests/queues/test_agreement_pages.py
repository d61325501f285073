"""Agreement of a queue: what is measured, the cells and their items, rubric versions, pairs, and who may see it."""

from __future__ import annotations

import random
import re
from html import unescape

import pytest

from curation.models import Queue, Review
from curation.permissions import Access
from curation.selectors.agreement import (
    list_cell_items,
    list_criteria,
    measure_queue,
    orient_answer,
)
from tests.factories import make_member
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


def review_all(queue: Queue, people: list[Access], *, seed: int = 0) -> None:
    """Everybody reviews everything at random."""
    chance = random.Random(seed)
    for item in queue.items.order_by("pk"):
        for person in people:
            give_review(item, person, chance.choice(["accept", "reject", "unsure"]), chance.randint(1, 5))


def test_two_reviewers_have_kappa_and_three_have_alpha() -> None:
    queue = make_queue(8, wanted=3)
    people = [make_member(queue.project) for _ in range(3)]
    review_all(queue, people[:2])
    two = measure_queue(queue)
    assert [one.measured.method for one in two.agreements] == ["kappa", "kappa"]
    give_review(queue.items.earliest("pk"), people[2], "accept", 3)
    three = measure_queue(queue)
    assert {one.measured.method for one in three.agreements} == {"alpha"}
    assert three.agreements[0].measured.items == 8


def test_gold_items_drafts_and_single_answers_do_not_count() -> None:
    queue = make_queue(4)
    first, second = (make_member(queue.project) for _ in range(2))
    gold, single, draft, both = queue.items.order_by("pk")
    for item in (gold, draft, both):
        give_review(item, first, "accept")
        give_review(item, second, "reject")
    give_review(single, first)
    Review.objects.filter(item=draft, reviewer=second.user).update(submitted_at=None)
    type(gold).objects.filter(pk=gold.pk).update(gold=True)
    verdict = measure_queue(queue).agreements[0]
    assert verdict.measured.items == 1
    assert verdict.measured.value is None
    assert "Fewer than two" in verdict.measured.reason
    assert sum(map(sum, verdict.table)) == 1


@pytest.mark.parametrize("people", [2, 3])
def test_each_cell_leads_to_exactly_its_items(people: int) -> None:
    queue = make_queue(12, wanted=3)
    members = [make_member(queue.project) for _ in range(people)]
    review_all(queue, members, seed=people)
    report = measure_queue(queue)
    for one in report.agreements:
        pair = one.measured.reviewers if people == 2 else None
        for row, cells in enumerate(one.table):
            for column, number in enumerate(cells):
                found = list_cell_items(queue, one.criterion, (row, column), people=pair)
                assert found.count() == number, (one.criterion.name, row, column)
    assert sum(map(sum, report.agreements[0].table)) >= 12


def test_the_page_links_each_cell_and_the_link_lists_as_many_items() -> None:
    queue = make_queue(12)
    review_all(queue, [make_member(queue.project) for _ in range(2)])
    client = sign_in(make_member(queue.project, "curator"))
    page = client.get(address("queue-agreement", queue) + "?criterion=grade").content.decode()
    cells = re.findall(r'href="([^"]+agreement/items/[^"]+)">([\d,]+)</a>', page)
    assert sum(int(number) for _, number in cells) == 12
    for link, number in cells:
        listed = client.get(unescape(link)).content.decode()
        assert listed.count("Open</a>") == int(number)


def test_a_criterion_is_one_over_versions_that_kept_its_levels_and_two_where_they_changed() -> None:
    queue = make_queue(6)
    people = [make_member(queue.project) for _ in range(2)]
    rubrics = [make_rubric(queue, "care", "order"), make_rubric(queue, "care", "order", levels=LEVELS[:3])]
    rubrics.append(make_rubric(queue, "care", levels=LEVELS[:3]))
    names = {criterion.name: criterion for criterion in list_criteria(queue)[2:]}
    assert {name: one.versions for name, one in names.items()} == {
        "rubric.1.care": (1,),
        "rubric.1.order": (1,),
        "rubric.2.care": (2, 3),
        "rubric.2.order": (2,),
    }
    for number, item in enumerate(queue.items.order_by("pk")):
        for person in people:
            give_review(item, person, scores={"care": 1 + number % 3, "order": 2}, rubric=rubrics[number % 3])
    report = measure_queue(queue)
    assert report.versions == {1: 4, 2: 4, 3: 4}
    by_name = {one.criterion.name: one.measured for one in report.agreements}
    assert by_name["rubric.1.care"].items == 2
    assert by_name["rubric.2.care"].items == 4
    assert by_name["rubric.2.care"].value == pytest.approx(1.0)
    page = sign_in(make_member(queue.project, "curator")).get(address("queue-agreement", queue)).content.decode()
    assert "Care (version 2, 3)" in page
    assert re.search(r"under rubric version 1 \(4\)", page)


def test_levels_that_are_no_value_of_the_scale_are_missing_answers() -> None:
    queue = make_queue(2)
    people = [make_member(queue.project) for _ in range(2)]
    rubric = make_rubric(queue, "care")
    for item in queue.items.order_by("pk"):
        for person, value in zip(people, ("<b>9</b>", True), strict=True):
            give_review(item, person, scores={"care": value}, rubric=rubric)
    care = measure_queue(queue).agreements[2]
    assert (care.measured.items, care.measured.value) == (0, None)


def test_judgements_are_compared_as_if_the_older_side_had_been_on_the_left() -> None:
    assert orient_answer("left-better", swapped=False) == orient_answer("right-better", swapped=True) == ("a", 1)
    assert orient_answer("left-much-better", swapped=True) == ("b", 6)
    assert orient_answer("tie", swapped=True) == ("tie", 3)
    assert orient_answer("both-bad", swapped=False) == ("both-bad", None)
    queue = make_pair_queue(4)
    first, second = (make_member(queue.project) for _ in range(2))
    one, two, three, four = queue.items.order_by("pk")
    for item, ours, theirs in (
        (one, "left-better", "right-better"),
        (two, "tie", "tie"),
        (three, "both-bad", "both-bad"),
        (four, "right-much-better", "left-slightly-better"),
    ):
        give_judgement(item, first, ours)
        give_judgement(item, second, theirs, swapped=True)
    winner, preference = measure_queue(queue).agreements
    assert winner.measured.value == pytest.approx(1.0)
    assert (winner.measured.items, preference.measured.items) == (4, 3)
    assert preference.measured.value is not None
    assert preference.measured.value < 1
    for agreement in (winner, preference):
        for row, cells in enumerate(agreement.table):
            for column, number in enumerate(cells):
                found = list_cell_items(queue, agreement.criterion, (row, column), people=agreement.measured.reviewers)
                assert found.count() == number
    client = sign_in(make_member(queue.project, "curator"))
    page = client.get(address("queue-agreement", queue) + "?criterion=preference").content.decode()
    link = re.search(r'href="([^"]+agreement/items/[^"]+)"', page)
    assert link
    assert "A better" in client.get(unescape(link[1])).content.decode()


def test_only_curators_see_agreement() -> None:
    queue = make_queue(2)
    reviewer = sign_in(make_member(queue.project))
    stranger = sign_in(make_member(make_queue(1).project, "curator", "owner"))
    for name in ("queue-agreement", "queue-agreement-items", "queue-disagreements", "queue-gold"):
        assert reviewer.get(address(name, queue)).status_code == 403
        assert stranger.get(address(name, queue)).status_code == 404
    for name in ("api-queue-agreement", "api-queue-disagreements", "api-queue-gold", "api-queue-accuracy"):
        assert reviewer.get(address(name, queue, rest=True)).status_code == 403
        assert stranger.get(address(name, queue, rest=True)).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "",
        "criterion=nothing",
        "criterion=verdict&row=accept",
        "criterion=verdict&row=accept&column=%00",
        "criterion=grade&row=9&column=1",
        "criterion=grade&row=1&column=1&first=x&second=1",
        "criterion=grade&row=1&column=1&first=99999999999999999999&second=1",
    ],
)
def test_a_cell_that_does_not_exist_is_not_found(query: str) -> None:
    queue = make_queue(1)
    client = sign_in(make_member(queue.project, "curator"))
    assert client.get(address("queue-agreement-items", queue) + f"?{query}").status_code == 404


def test_agreement_over_rest_says_what_the_page_says() -> None:
    queue = make_queue(10)
    people = [make_member(queue.project) for _ in range(2)]
    review_all(queue, people, seed=4)
    client = sign_in(make_member(queue.project, "curator"))
    told = client.get(address("api-queue-agreement", queue, rest=True)).json()
    verdict = told["criteria"][0]
    measured = measure_queue(queue).agreements[0].measured
    assert verdict["value"] == pytest.approx(measured.value)
    assert verdict["values"] == ["accept", "reject", "unsure"]
    assert [one["name"] for one in verdict["reviewers"]] == [person.user.username for person in people]
    assert sum(map(sum, verdict["table"])) == 10
    assert verdict["compared"][0]["items"] == 10
    assert told["versions"] == {"0": 20}


def test_an_empty_queue_says_what_to_do() -> None:
    queue = make_queue(1)
    client = sign_in(make_member(queue.project, "curator"))
    assert "wants two reviews or more" in client.get(address("queue-agreement", queue)).content.decode()
    part = client.get(address("queue-agreement", queue), headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "Fewer than two items" in part


def test_names_and_labels_are_text_and_never_markup() -> None:
    queue = make_queue(3, name="<script>alert(1)</script>")
    people = [make_member(queue.project) for _ in range(2)]
    hostile = [{"value": f"<img src=x onerror=alert({n})>", "label": f"<svg onload=alert({n})>"} for n in range(3)]
    rubric = make_rubric(queue, "<b>&key", levels=hostile)
    for number, item in enumerate(queue.items.order_by("pk")):
        for person in people:
            scores = {"<b>&key": hostile[number]["value"]}
            give_review(item, person, scores=scores, rubric=rubric, comment="<script>x</script>")
    client = sign_in(make_member(queue.project, "curator"))
    name = "rubric.1.%3Cb%3E%26key"
    page = client.get(address("queue-agreement", queue) + f"?criterion={name}").content.decode()
    assert "&lt;svg onload" in page
    for tag in ("<svg onload", "<img src", "<script>alert", "<b>&key"):
        assert tag not in page
    link = re.search(r'href="([^"]+agreement/items/[^"]+)"', page)
    assert link
    assert client.get(unescape(link[1])).status_code == 200
