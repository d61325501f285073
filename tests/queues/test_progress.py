"""Progress of a queue: counts, times, when it may be done, CSV and REST, and what reviewers may see of it."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta

import pytest
from django.utils import timezone

from curation.forecast import forecast_end
from curation.models import Queue, Task
from curation.selectors.answers import write_csv
from curation.selectors.progress import measure_progress
from curation.services.gold import mark_gold
from curation.services.queues import skip_item, take_next
from tests.factories import make_member, owner_access
from tests.queues.cast import (
    address,
    give_judgement,
    give_review,
    make_pair_queue,
    make_queue,
    make_rubric,
    sign_in,
)

TODAY = date(2026, 3, 20)


def days_back(*numbers: tuple[int, int]) -> list[tuple[date, int]]:
    return [(TODAY - timedelta(days=back), answers) for back, answers in numbers]


@pytest.mark.parametrize(
    ("left", "days", "per_hour", "words", "basis"),
    [
        (0, [], None, "Done", "Nothing is left"),
        (50, [], None, "No estimate yet", "there are 0"),
        (50, days_back((1, 9)), 30, "No estimate yet", "there are 9"),
        (90, days_back((0, 30)), 30, "About 3 hours of work", "whole day of work"),
        (90, days_back((0, 30)), None, "No estimate yet", "whole day of work"),
        (
            100,
            days_back((0, 99), (1, 20), (2, 20)),
            None,
            "Around 25 March 2026",
            "last 2 days with work gave 20 a day",
        ),
        # work on one day in three goes on like that: 5 days of work are 15 days
        (100, days_back((3, 20), (6, 20)), 40, "Around 4 April 2026", "about 2.5 hours of work at 40 an hour"),
        (100, days_back((20, 25)), None, "4 more days of work", "Nobody answered since 28 February"),
        (10**9, days_back((1, 10)), None, "More than ten years", "gave 10 a day"),
    ],
)
def test_when_it_may_be_done(
    left: int, days: list[tuple[date, int]], per_hour: float | None, words: str, basis: str
) -> None:
    told = forecast_end(left, days, today=TODAY, per_hour=per_hour)
    assert told.words.startswith(words)
    assert basis in told.basis


@pytest.mark.django_db
def test_items_are_open_held_done_or_skipped_and_times_leave_out_what_is_unknown() -> None:
    queue = make_queue(6, wanted=2)
    first, second, third = (make_member(queue.project) for _ in range(3))
    items = list(queue.items.order_by("pk"))
    for item, seconds in zip(items[:4], (10, 20, 30, 0), strict=True):
        give_review(item, first, seconds=seconds, days_ago=1)
    give_review(items[0], second, seconds=600)
    held = take_next(third, queue)
    assert held is not None
    skip_item(held, reason="Not mine.")
    assert take_next(third, queue) is not None
    progress = measure_progress(queue, with_gold=False)
    total = progress.total
    assert (total.items, total.wanted, total.given, total.left) == (6, 12, 5, 7)
    assert (total.open, total.held, total.done, total.skipped) == (4, 1, 1, 1)
    assert sum(band.items for band in progress.bands) == 6
    ours, theirs = progress.work.reviewers
    assert (ours.answers, ours.seconds, ours.timed, ours.median, ours.p90) == (4, 60, 3, 20.0, 28.0)
    assert ours.per_hour == pytest.approx(180)
    assert (theirs.today, ours.today, progress.work.total.days) == (1, 0, 2)
    assert sum(work.answers for work in progress.work.bands.values()) == 5
    assert progress.work.days[1].answers == 4


@pytest.mark.django_db
def test_what_reviewers_see_moves_with_every_answer_and_curators_see_the_items_alone() -> None:
    queue = make_queue(4, wanted=1)
    gold = queue.items.earliest("pk")
    mark_gold(owner_access(queue.project), queue, gold.get_trajectory(), verdict="accept")
    people = [make_member(queue.project) for _ in range(2)]
    give_review(queue.items.latest("pk"), people[0])
    give_review(gold, people[0])
    before = measure_progress(queue, with_gold=True).total
    give_review(gold, people[1])
    after = measure_progress(queue, with_gold=True).total
    assert after.given == before.given + 1
    assert (after.wanted, after.given, after.left) == (5, 3, 2)
    alone = measure_progress(queue, with_gold=False).total
    assert (alone.items, alone.wanted, alone.given, alone.left) == (3, 3, 1, 2)


@pytest.mark.django_db
def test_the_page_is_for_every_member_and_states_for_curators() -> None:
    queue = make_queue(2)
    person = make_member(queue.project)
    give_review(queue.items.earliest("pk"), person, seconds=75)
    page = sign_in(person).get(address("queue-progress", queue)).content.decode()
    assert "1 min 15 s" in page
    assert "No estimate yet" in page
    assert "Skipped by somebody" not in page
    page = sign_in(make_member(queue.project, "curator")).get(address("queue-progress", queue)).content.decode()
    assert "Skipped by somebody" in page
    told = sign_in(person).get(address("api-queue-progress", queue, rest=True)).json()
    assert (told["given"], told["wanted"], told["left"]) == (1, 4, 3)
    assert "open" not in told["bands"][0]
    assert told["reviewers"][0]["median"] == 75.0
    stranger = sign_in(make_member(make_queue(1).project))
    for name in ("queue-progress", "queue-progress-export", "queue-reviews-export"):
        assert stranger.get(address(name, queue)).status_code == 404


@pytest.mark.django_db
def test_an_empty_queue_and_a_pairwise_one_have_a_page() -> None:
    empty = make_queue(1)
    empty.items.all().delete()
    client = sign_in(make_member(empty.project, "curator"))
    assert "nothing in this queue yet" in client.get(address("queue-progress", empty)).content.decode()
    pairs = make_pair_queue(2)
    person = make_member(pairs.project, "curator", "reviewer")
    give_judgement(pairs.items.earliest("pk"), person, "tie", seconds=30)
    for name in ("queue-progress", "queue-detail"):
        assert sign_in(person).get(address(name, pairs)).status_code == 200
    assert measure_progress(pairs, with_gold=False).work.total.median == 30.0
    told = sign_in(person).get(address("api-queue-reviews", pairs, rest=True)).json()
    assert told["judgements"][0]["answer"] == "tie"


def read_csv(queue: Queue, name: str, client: object) -> list[list[str]]:
    answer = client.get(address(name, queue))  # type: ignore[attr-defined]  # a test client
    assert answer["Content-Type"].startswith("text/csv")
    assert "attachment" in answer["Content-Disposition"]
    return list(csv.reader(io.StringIO(b"".join(answer).decode())))


@pytest.mark.django_db
def test_reviews_as_csv_have_a_column_for_each_criterion_and_no_formula() -> None:
    queue = make_queue(2)
    rubric = make_rubric(queue, "care", "=order")
    person = make_member(queue.project)
    item = queue.items.earliest("pk")
    comment = '=HYPERLINK("http://evil")'
    give_review(item, person, "reject", 4, scores={"care": 2}, rubric=rubric, comment=comment, first_error=3)
    Task.objects.filter(trajectories=item.trajectory).update(key="@task")
    head, row = read_csv(queue, "queue-reviews-export", sign_in(make_member(queue.project, "curator")))
    told = dict(zip(head, row, strict=True))
    assert told["comment"] == f"'{comment}"
    assert told["task"] == "'@task"
    assert (told["criterion care"], told["criterion =order"]) == ("2", "")
    assert (told["verdict"], told["grade"], told["first_error"], told["gold"]) == ("reject", "4", "3", "0")


def test_cells_that_a_spreadsheet_would_run_get_an_apostrophe() -> None:
    cells = ["=1", "+1", "-1", "@a", "\ta", "\ra", "a=1", "", -1, None]
    (line,) = write_csv([cells])
    assert next(csv.reader(io.StringIO(line, newline=""))) == [
        "'=1", "'+1", "'-1", "'@a", "'\ta", "'\ra", "a=1", "", "-1", ""
    ]  # fmt: skip


@pytest.mark.django_db
def test_progress_as_csv_by_reviewer_and_band() -> None:
    queue = make_queue(2)
    person = make_member(queue.project)
    Task.objects.update(band=2)
    give_review(queue.items.earliest("pk"), person, seconds=60)
    rows = read_csv(queue, "queue-progress-export", sign_in(person))
    assert rows[0][:3] == ["reviewer", "band", "answers"]
    assert [row[:3] for row in rows[1:]] == [
        [person.user.username, "2", "1"],
        [person.user.username, "", "1"],
        ["", "2", "1"],
        ["", "", "1"],
    ]


@pytest.mark.django_db
def test_of_a_blind_queue_reviewers_see_the_answers_to_what_they_answered() -> None:
    queue = make_queue(2, blind=True)
    mine, other = (make_member(queue.project) for _ in range(2))
    first, second = queue.items.order_by("pk")
    give_review(first, mine)
    give_review(first, other, comment="seen")
    give_review(second, other, comment="secret")
    place = address("api-queue-reviews", queue, rest=True)
    told = sign_in(mine).get(place).json()["results"]
    assert {row["comment"] for row in told} == {"", "seen"}
    assert len(sign_in(make_member(queue.project, "curator")).get(place).json()["results"]) == 3
    assert sign_in(make_member(queue.project)).get(place).json()["results"] == []
    Queue.objects.filter(pk=queue.pk).update(blind=False)
    assert len(sign_in(make_member(queue.project)).get(place).json()["results"]) == 3


@pytest.mark.django_db
def test_pages_of_answers_go_on_by_key() -> None:
    queue = make_queue(103, wanted=1)
    person = make_member(queue.project)
    for item in queue.items.all():
        give_review(item, person)
    client = sign_in(person)
    place = address("api-queue-reviews", queue, rest=True)
    first = client.get(place).json()
    rest = client.get(f"{place}?after={first['next']}").json()
    assert (len(first["results"]), len(rest["results"]), rest["next"]) == (100, 3, None)
    assert not {row["id"] for row in first["results"]} & {row["id"] for row in rest["results"]}
    assert client.get(f"{place}?after=x").status_code == 400


@pytest.mark.django_db
def test_a_queue_of_today_says_the_hours_that_are_left() -> None:
    queue = make_queue(20, wanted=1)
    person = make_member(queue.project)
    for item in queue.items.order_by("pk")[:10]:
        give_review(item, person, seconds=360)
    told = measure_progress(queue, with_gold=False).forecast
    assert told.words == "About 1 hour of work at 10 an hour"
    assert timezone.now().date() == measure_progress(queue, with_gold=False).work.days[0].day
