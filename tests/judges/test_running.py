"""A judge put to many trajectories by a worker: each content is asked about once, and no answer is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from curation.judging import write_request
from curation.models import JobState, Judge, JudgeRun, Opinion, Queue, Revision, Trajectory
from curation.permissions import Access
from curation.services import judge_runs
from curation.services.jobs import beat_job, sweep_jobs
from curation.services.judge_asking import bound_tokens
from curation.services.judges import create_judge, make_question, resume_judge_run, stop_judge_run
from curation.services.queues import create_queue
from tests.factories import make_document, make_project, make_trajectory, owner_access
from tests.judges.cast import CRITERIA, make_draft, make_judge, put, say, start, work
from tests.judges.endpoint import KEY, Answer, FakeEndpoint, completion, opinion
from tests.workers import kill_worker_after

pytestmark = pytest.mark.django_db


@pytest.fixture
def access() -> Access:
    return owner_access(make_project())


def make_many(access: Access, number: int) -> list[Trajectory]:
    """Trajectories that differ in what the agent did."""
    return [make_trajectory(access.project, f"act-{place}") for place in range(number)]


def correct(trajectory: Trajectory, *actions: str) -> Revision:
    """A newer revision, as a correction writes one."""
    number = trajectory.head_number + 1
    revision = Revision.objects.create(trajectory=trajectory, number=number, document=make_document(*actions))
    Trajectory.objects.filter(pk=trajectory.pk).update(head_number=number)
    trajectory.refresh_from_db()
    return revision


def test_a_run_keeps_an_opinion_on_the_newest_revision_of_each(access: Access, endpoint: FakeEndpoint) -> None:
    first, second = make_many(access, 2)
    corrected = correct(second, "look-again")
    judge = make_judge(access, endpoint, criteria=CRITERIA, key=KEY, price_in=2, price_out=10)
    endpoint.answer_with(Answer(body=opinion("reject", 0.2, scores={"care": 2})))
    run = put(access, judge)
    assert (run.state, run.progress, run.asked, run.cached, run.failed) == ("done", 2, 2, 0, 0)
    assert (run.prompt_tokens, run.answer_tokens, round(run.cost, 6)) == (200, 20, 0.0006)
    said = Opinion.objects.get(trajectory=second)
    assert (said.revision_id, said.value, said.score, said.scores) == (corrected.pk, "reject", 0.2, {"care": 2})
    assert (said.prompt_tokens, said.run_id) == (100, run.pk)
    assert any("look-again" in asked for asked in endpoint.asked_about)
    assert first.opinions.get().reason == "It does what was asked."


def test_only_what_fits_and_was_there_at_the_start_is_judged(access: Access, endpoint: FakeEndpoint) -> None:
    wanted = make_trajectory(access.project, "a", success=True)
    make_trajectory(access.project, "b", success=False)
    run = start(access, make_judge(access, endpoint), {"outcome": "success"})
    make_trajectory(access.project, "c", success=True)
    work(run)
    assert list(Opinion.objects.values_list("trajectory", flat=True)) == [wanted.pk]
    assert (run.progress, run.progress_total) == (1, 1)


def test_the_same_content_is_asked_about_once_over_trajectories_and_runs(
    access: Access, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge_runs, "BATCH", 4)
    for _ in range(10):
        make_trajectory(access.project, "same", task=access.project.tasks.first())
    judge = make_judge(access, endpoint, concurrency=3)
    run = put(access, judge)
    assert (run.asked, run.cached, run.progress, len(endpoint.requests)) == (1, 9, 10, 1)
    assert Opinion.objects.count() == 10
    assert run.prompt_tokens == 100 == sum(Opinion.objects.values_list("prompt_tokens", flat=True))
    make_trajectory(access.project, "same", task=access.project.tasks.first())
    again = put(access, judge)
    assert (again.asked, again.cached, again.progress, again.prompt_tokens) == (0, 11, 11, 0)
    assert len(endpoint.requests) == 1
    other = put(access, make_judge(access, endpoint, name="Other", instructions="Reject all."))
    assert (other.asked, other.cached) == (1, 10)


def test_several_are_asked_at_once_and_never_more_than_the_judge_says(access: Access, endpoint: FakeEndpoint) -> None:
    make_many(access, 9)
    endpoint.answer_with(Answer(body=opinion(), seconds=0.1))
    put(access, make_judge(access, endpoint, concurrency=3))
    assert endpoint.most_at_once == 3


def test_a_judge_of_steps_keeps_a_label_for_each(access: Access, endpoint: FakeEndpoint) -> None:
    trajectory = make_trajectory(access.project, "look", "take")
    labels = [
        {"step": 3, "label": "correct", "reason": "Looks first.", "failure_mode": None},
        {"step": 4, "label": "wrong", "reason": "Took nothing.", "failure_mode": "wrong-arguments"},
    ]
    endpoint.answer_with(Answer(body=opinion("reject", 0.1, steps=labels)))
    put(access, make_judge(access, endpoint, unit="step"))
    assert trajectory.opinions.get().steps == [
        {"step": 3, "label": "correct", "reason": "Looks first."},
        {"step": 4, "label": "wrong", "reason": "Took nothing.", "failure_mode": "wrong-arguments"},
    ]


def test_an_answer_that_cannot_be_used_is_asked_for_once_more_with_what_was_wrong(
    access: Access, endpoint: FakeEndpoint
) -> None:
    make_many(access, 1)
    endpoint.answer_with(Answer(body=completion("I accept.")), Answer(body=opinion()))
    run = put(access, make_judge(access, endpoint))
    assert (run.asked, run.failed, run.prompt_tokens) == (1, 0, 200)
    assistant, user = endpoint.requests[1]["messages"][2:]
    assert assistant == {"role": "assistant", "content": "I accept."}
    assert "there is no JSON object in the answer" in user["content"]


def test_what_fails_twice_is_counted_with_its_reason_and_not_asked_again_by_the_run(
    access: Access, endpoint: FakeEndpoint
) -> None:
    bad, _ = make_many(access, 2)
    endpoint.script = lambda number, body: Answer(
        body=opinion("perhaps") if "act-0" in body["messages"][1]["content"] else opinion()
    )
    judge = make_judge(access, endpoint)
    run = put(access, judge)
    assert (run.state, run.asked, run.failed, run.progress, run.prompt_tokens) == ("done", 2, 1, 2, 300)
    failure = run.failures.get()
    assert (failure.trajectory_id, "verdict: Input should be" in failure.reason) == (bad.pk, True)
    endpoint.answer_with(Answer(body=opinion()))
    again = put(access, judge)
    assert (again.asked, again.cached, again.failed) == (1, 1, 0)


def test_a_run_ends_at_once_where_the_key_is_wrong_and_goes_on_when_it_is_right(
    access: Access, endpoint: FakeEndpoint
) -> None:
    make_many(access, 5)
    endpoint.answer_with(Answer(401, {"error": {"message": f"Wrong key {KEY}"}}))
    run = put(access, make_judge(access, endpoint, key=KEY, concurrency=1))
    assert (run.state, run.error, run.failed) == ("failed", "The endpoint answered 401: Wrong key (the key)", 0)
    assert len(endpoint.requests) == 1
    endpoint.answer_with(Answer(body=opinion()))
    resume_judge_run(access, run)
    work(run)
    assert (run.state, run.progress, run.error) == ("done", 5, "")


def test_a_run_ends_where_one_question_after_the_other_fails(
    access: Access, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge_runs, "MOST_FAILED_IN_A_ROW", 3)
    make_many(access, 10)
    endpoint.answer_with(Answer(body=completion("No.")))
    run = put(access, make_judge(access, endpoint, concurrency=1))
    assert (run.state, run.failed) == ("failed", 3)
    assert "The last 3 questions had no answer that could be used" in run.error


def test_a_stop_asks_nothing_more_and_keeps_what_was_asked(access: Access, endpoint: FakeEndpoint) -> None:
    make_many(access, 12)
    run = start(access, make_judge(access, endpoint, concurrency=2))

    def script(number: int, body: dict[str, Any]) -> Answer:
        return Answer(body=opinion(), seconds=1.3 if number > 1 else 0)

    endpoint.script = script
    _stop_once(access, run, lambda: len(endpoint.requests) >= 3)
    assert run.state == JobState.STOPPED
    assert len(endpoint.requests) == run.asked == Opinion.objects.count() < 12
    endpoint.answer_with(Answer(body=opinion()))
    resume_judge_run(access, run)
    work(run)
    assert (run.state, run.asked, run.progress, run.cached) == ("done", 12, 12, 0)
    assert len(set(endpoint.asked_about)) == len(endpoint.requests) == 12


def _stop_once(access: Access, run: JudgeRun, reached: Callable[[], bool]) -> None:
    """Work on the run, and stop it as a page would once it has got so far."""

    def watch(job: JudgeRun, **fields: Any) -> None:
        if reached():
            stop_judge_run(access, run)
        beat_job(job, **fields)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge_runs, "beat_job", watch)
        work(run)


def test_a_run_stops_before_it_has_cost_more_than_it_may(access: Access, endpoint: FakeEndpoint) -> None:
    make_many(access, 30)
    judge = make_judge(access, endpoint, concurrency=4, price_in=1000, price_out=1000)
    endpoint.answer_with(Answer(body=opinion()))
    document = make_document("act-00", instruction="Do the thing.")
    most_of_one = judge.price_tokens(*bound_tokens(write_request(make_question(judge), document)))
    run = put(access, judge, most_cost=most_of_one + 1)
    assert run.state == JobState.STOPPED
    assert 8 <= run.asked <= 11  # each costs 0.11, and the next one has to be paid whatever it costs
    assert run.cost <= most_of_one + 1
    assert "Raise the limit to continue" in run.advice
    resume_judge_run(access, run, most_cost=1000)
    work(run)
    assert (run.state, run.progress, run.most_cost) == ("done", 30, 1000)
    assert len(endpoint.requests) == 30


def test_a_limit_holds_although_every_question_costs_the_most_it_can(access: Access, endpoint: FakeEndpoint) -> None:
    make_many(access, 10)
    sent: list[int] = []

    def script(number: int, body: dict[str, Any]) -> Answer:
        sent.append(sum(len(message["content"].encode()) for message in body["messages"]))
        return Answer(body=completion("No answer.", tokens=(sent[-1], body["max_tokens"])))

    endpoint.script = script
    judge = make_judge(access, endpoint, concurrency=4, price_in=1000, price_out=1000)
    run = put(access, judge, most_cost=50)
    assert run.asked >= 1
    assert run.cost <= 50


PROGRAM = """
import os, sys
import django
django.setup()
from django.conf import settings
settings.JUDGE_HOSTS = ["127.0.0.1"]
from curation.filters import choose_trajectories
from curation.services import judge_runs
keep = judge_runs._Running._keep
def watch(self, waiting, asked):
    keep(self, waiting, asked)
    if self.job.asked == 3:
        print("three", flush=True)
judge_runs._Running._keep = watch
judge_runs.run_judge(int(sys.argv[1]), choose_trajectories)
"""


@pytest.mark.django_db(transaction=True)
def test_a_run_whose_worker_is_killed_goes_on_and_asks_nothing_again_that_was_answered(endpoint: FakeEndpoint) -> None:
    access = owner_access(make_project())
    make_many(access, 8)
    gate = threading.Event()

    def script(number: int, body: dict[str, Any]) -> Answer:
        if number >= 3:
            gate.wait(30)
        return Answer(body=opinion())

    endpoint.script = script
    run = start(access, make_judge(access, endpoint, concurrency=1))
    kill_worker_after(b"three\n", PROGRAM, str(run.pk))
    gate.set()
    answered = set(Opinion.objects.values_list("trajectory", flat=True))
    run.refresh_from_db()
    assert (run.state, run.asked, run.progress, len(answered)) == ("running", 3, 3, 3)
    JudgeRun.objects.filter(pk=run.pk).update(heartbeat_at="2026-01-01T00:00:00Z")
    assert sweep_jobs(JudgeRun) == [run.pk]
    before = len(endpoint.requests)
    work(run)
    assert (run.state, run.asked, run.progress, run.cached, run.prompt_tokens) == ("done", 8, 8, 0, 800)
    assert len(endpoint.requests) - before == 5


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_lost_its_run_writes_nothing_more(endpoint: FakeEndpoint) -> None:
    access = owner_access(make_project())
    make_many(access, 3)
    run = start(access, make_judge(access, endpoint, concurrency=1))

    def script(number: int, body: dict[str, Any]) -> Answer:
        if number == 1:
            JudgeRun.objects.filter(pk=run.pk).update(claim="00000000-0000-0000-0000-000000000000")
            connection.close()
        return Answer(body=opinion())

    endpoint.script = script
    work(run)
    assert (run.state, run.asked, Opinion.objects.count()) == ("running", 1, 1)


def test_what_is_removed_while_it_is_asked_about_is_passed_over(access: Access, endpoint: FakeEndpoint) -> None:
    first, second = make_many(access, 2)
    judge = make_judge(access, endpoint, concurrency=1)
    run = start(access, judge)
    keep = judge_runs._Running._keep

    def remove(self: Any, waiting: Any, asked: Any) -> None:
        Trajectory.objects.filter(pk=first.pk).delete()
        keep(self, waiting, asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge_runs._Running, "_keep", remove)
        work(run)
    assert run.state == JobState.DONE
    assert list(Opinion.objects.values_list("trajectory", flat=True)) == [second.pk]


def test_a_queue_by_uncertainty_goes_by_the_newest_opinion_and_else_by_the_score(
    access: Access, endpoint: FakeEndpoint
) -> None:
    rewards = [0.95, 0.6, None, None]
    sure, near, unsure, unknown = make_many(access, 4)
    for trajectory, reward in zip((sure, near, unsure, unknown), rewards, strict=True):
        Trajectory.objects.filter(pk=trajectory.pk).update(reward=reward)
    judge, second = make_judge(access, endpoint), make_judge(access, endpoint, name="Second")
    say(judge, sure, score=0.5)
    say(second, sure, score=1.0)
    say(judge, unsure, score=0.45)
    everything = Trajectory.objects.filter(project=access.project)
    queue = create_queue(access, name="Q", trajectories=everything, order=Queue.Order.UNCERTAINTY)
    assert rank_order(queue) == [unsure.pk, near.pk, sure.pk, unknown.pk]
    correct(unsure, "another")
    late = create_queue(access, name="Late", trajectories=everything, order=Queue.Order.UNCERTAINTY)
    assert rank_order(late) == [near.pk, sure.pk, unsure.pk, unknown.pk]


def rank_order(queue: Queue) -> list[int | None]:
    return list(queue.items.order_by("rank", "pk").values_list("trajectory", flat=True))


def test_a_run_puts_open_items_of_queues_by_uncertainty_in_order(access: Access, endpoint: FakeEndpoint) -> None:
    first, second, third = make_many(access, 3)
    everything = Trajectory.objects.filter(project=access.project)
    by_doubt = create_queue(access, name="Q", trajectories=everything, order=Queue.Order.UNCERTAINTY)
    oldest = create_queue(access, name="O", trajectories=everything, order=Queue.Order.OLDEST)
    scores = {"act-0": 0.9, "act-1": 0.55, "act-2": 0.2}

    def script(number: int, body: dict[str, Any]) -> Answer:
        said = body["messages"][1]["content"]
        return Answer(body=opinion(score=next(score for action, score in scores.items() if action in said)))

    endpoint.script = script
    put(access, make_judge(access, endpoint))
    assert rank_order(by_doubt) == [second.pk, third.pk, first.pk]
    assert rank_order(oldest) == [first.pk, second.pk, third.pk]


def test_one_run_of_a_judge_at_a_time(access: Access, endpoint: FakeEndpoint) -> None:
    make_many(access, 1)
    judge = make_judge(access, endpoint)
    first = start(access, judge, idempotency_key="k")
    assert start(access, judge, idempotency_key="k") == first
    with pytest.raises(ValueError, match=f"Run {first.pk} of this judge is at work"):
        start(access, judge)
    start(access, create_judge(access, make_draft(endpoint, name="Other")))
    assert Judge.objects.count() == 2


def test_a_run_of_nothing_is_refused(access: Access, endpoint: FakeEndpoint) -> None:
    with pytest.raises(ValueError, match="nothing to judge"):
        start(access, make_judge(access, endpoint))
