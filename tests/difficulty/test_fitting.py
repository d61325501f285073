from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from curation.models import DifficultyFit, JobState, Project, Task, Trajectory
from curation.services import difficulty, difficulty_fits
from curation.services.difficulty import update_difficulty
from curation.services.difficulty_fits import queue_fit, run_fit
from curation.services.jobs import claim_job, sweep_jobs
from tests.at_once import at_once
from tests.difficulty.cast import add_attempts, add_grade, add_tasks
from tests.factories import make_project
from training.jobs import SWEPT

pytestmark = pytest.mark.django_db


def fit(project: Project) -> DifficultyFit:
    job = queue_fit(project)
    run_fit(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == (JobState.DONE, "")
    return job


def add_three_policies(project: Project) -> list[Task]:
    """Easy tasks that the weak one tried, hard ones that the strong one tried, and the fair one at both."""
    tasks = add_tasks(project, 20)
    for place, task in enumerate(tasks):
        easy = place < 10
        add_attempts(task, 4, won=2, model="weak" if easy else "strong")
        add_attempts(task, 4, won=3 if easy else 1, model="fair")
    return tasks


def test_up_to_two_policies_a_pass_rate_is_the_plain_one() -> None:
    project = make_project()
    (task,) = add_tasks(project, 1)
    add_attempts(task, 3, won=1, model="one")
    add_attempts(task, 1, won=1, model="other")
    job = fit(project)
    task.refresh_from_db()
    assert (task.attempts, task.successes, task.pass_rate, task.logit, task.band) == (4, 2, 0.5, None, 3)
    assert task.pass_low is not None
    assert task.pass_high is not None
    assert 0.2 < task.pass_low < 0.5 < task.pass_high < 0.8
    assert [(policy["name"], policy["attempts"], policy["ability"]) for policy in job.policies] == [
        ("one", 3, None),
        ("other", 1, None),
    ]


def test_from_three_policies_on_a_strong_ones_success_says_less() -> None:
    project = make_project()
    tasks = add_three_policies(project)
    job = fit(project)
    easy, hard = Task.objects.get(pk=tasks[0].pk), Task.objects.get(pk=tasks[-1].pk)
    assert (easy.attempts, easy.successes, hard.attempts, hard.successes) == (8, 5, 8, 3)
    assert easy.pass_rate is not None
    assert hard.pass_rate is not None
    assert easy.pass_rate > 5.5 / 9 + 0.05
    assert hard.pass_rate < 3.5 / 9 - 0.05
    assert easy.logit is not None
    assert hard.logit is not None
    assert easy.logit < 0 < hard.logit
    abilities = {policy["name"]: policy["ability"] for policy in job.policies}
    assert abilities["weak"] < abilities["fair"] < abilities["strong"]
    assert sum(abilities.values()) == pytest.approx(0, abs=0.01)
    assert job.changed == 20


def test_attempts_without_a_model_are_together_one_policy() -> None:
    project = make_project()
    (task,) = add_tasks(project, 1)
    for model in ("", "", "named"):
        add_attempts(task, 2, won=1, model=model)
    assert [(policy["name"], policy["attempts"]) for policy in fit(project).policies] == [("", 4), ("named", 2)]


@pytest.mark.parametrize("source", ["expert", "human", "instruction"])
def test_demonstrations_are_no_attempts_of_a_policy(source: str) -> None:
    project = make_project()
    (task,) = add_tasks(project, 1)
    add_attempts(task, 9, won=9, model="expert", source=source)
    add_attempts(task, 1, model="agent")
    assert [policy["name"] for policy in fit(project).policies] == ["agent"]
    task.refresh_from_db()
    assert (task.attempts, task.successes) == (1, 0)


def test_a_second_fit_changes_nothing_and_writes_nothing() -> None:
    project = make_project()
    add_three_policies(project)
    assert fit(project).changed == 20
    assert fit(project).changed == 0


def test_the_plain_rate_comes_back_where_the_third_policy_is_gone() -> None:
    project = make_project()
    tasks = add_three_policies(project)
    fit(project)
    Trajectory.objects.filter(project=project, model="strong").delete()
    fit(project)
    rows = Task.objects.filter(pk__in=[task.pk for task in tasks])
    assert set(rows.values_list("logit", flat=True)) == {None}
    assert Task.objects.get(pk=tasks[-1].pk).pass_rate == 1.5 / 5


def test_a_task_that_lost_its_attempts_is_unknown_again() -> None:
    project = make_project()
    tasks = add_three_policies(project)
    fit(project)
    Trajectory.objects.filter(task=tasks[0]).delete()
    update_difficulty(project, [tasks[0].pk])
    tasks[0].refresh_from_db()
    assert (tasks[0].attempts, tasks[0].pass_rate, tasks[0].logit, tasks[0].band) == (0, None, None, None)


def test_a_grade_leaves_the_models_pass_rate_to_the_job_and_counts_at_once() -> None:
    project = make_project()
    tasks = add_three_policies(project)
    fit(project)
    fitted = Task.objects.get(pk=tasks[0].pk)
    add_grade(Trajectory.objects.filter(task=fitted)[0], 5)
    add_attempts(fitted, 1, won=1, model="fair")
    update_difficulty(project, [fitted.pk])
    graded = Task.objects.get(pk=fitted.pk)
    assert (graded.pass_rate, graded.logit) == (fitted.pass_rate, fitted.logit)
    assert (graded.attempts, graded.human_grade, graded.band, graded.bands_apart) == (9, 5, 5, True)
    fit(project)
    assert Task.objects.get(pk=fitted.pk).pass_rate != fitted.pass_rate


def test_a_project_without_attempts_is_fitted_without_complaint() -> None:
    project = make_project()
    add_tasks(project, 2)
    assert (fit(project).changed, fit(project).policies) == (0, [])


def test_at_most_one_fit_waits_and_another_may_wait_while_one_runs() -> None:
    project = make_project()
    first = queue_fit(project)
    assert queue_fit(project) == first
    assert claim_job(DifficultyFit, first.pk) is not None
    second = queue_fit(project)
    assert second != first
    assert queue_fit(make_project()) not in (first, second)


def test_a_fit_that_is_asked_to_stop_stops() -> None:
    project = make_project()
    add_three_policies(project)
    job = queue_fit(project)
    DifficultyFit.objects.filter(pk=job.pk).update(stop_requested=True)
    run_fit(job.pk)
    job.refresh_from_db()
    assert job.state == JobState.STOPPED


def test_a_fit_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project()
    add_three_policies(project)

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("no curvature")

    monkeypatch.setattr(difficulty_fits, "fit_rasch", fail)
    job = queue_fit(project)
    run_fit(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == (JobState.FAILED, "ZeroDivisionError: no curvature")


def test_fits_are_swept_with_all_jobs() -> None:
    assert (DifficultyFit, "curation.jobs.fit_difficulty") in SWEPT
    assert sweep_jobs(DifficultyFit) == []


def test_a_batch_takes_a_handful_of_statements(django_assert_max_num_queries: Any) -> None:
    project = make_project()
    add_three_policies(project)
    job = queue_fit(project)
    with django_assert_max_num_queries(25):
        run_fit(job.pk)


@pytest.mark.django_db(transaction=True)
def test_imports_that_end_at_the_same_moment_leave_one_fit_waiting() -> None:
    project = make_project()
    queued = at_once(*[lambda: queue_fit(project).pk] * 6)
    assert len(set(queued)) == 1
    assert DifficultyFit.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_fit_sees_what_was_written_by_whoever_found_it_waiting() -> None:
    """A worker takes the waiting fit up just as somebody who relies on it has not committed yet."""
    project = make_project()
    (task,) = add_tasks(project, 1)
    job = queue_fit(project)

    def work() -> None:
        run_fit(job.pk)
        connection.close()

    worker = threading.Thread(target=work)
    with transaction.atomic():
        add_attempts(task, 3, won=3, model="late")
        assert queue_fit(project) == job
        worker.start()
        worker.join(0.5)
        assert worker.is_alive()  # it waits for the end of this transaction
    worker.join(30)
    task.refresh_from_db()
    assert (task.attempts, task.successes) == (3, 3)


@pytest.mark.django_db(transaction=True)
def test_a_grade_that_arrives_while_a_fit_writes_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fit has computed what to write; then somebody grades; then the fit locks the task and writes."""
    project = make_project()
    tasks = add_three_policies(project)
    lock_and_write = difficulty.lock_and_write
    graded = threading.Event()

    def grade() -> None:
        add_grade(Trajectory.objects.filter(task=tasks[0])[0], 1)
        update_difficulty(project, [tasks[0].pk])
        connection.close()

    def write_late(*args: Any) -> int:
        if not graded.is_set():
            graded.set()
            reviewer = threading.Thread(target=grade)
            reviewer.start()
            reviewer.join(30)
        return lock_and_write(*args)

    monkeypatch.setattr(difficulty, "lock_and_write", write_late)
    fit(project)
    task = Task.objects.get(pk=tasks[0].pk)
    assert (task.human_grade, task.band) == (1, 1)
    assert task.logit is not None
