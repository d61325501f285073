from __future__ import annotations

import pytest
from django.utils import timezone

from curation.difficulty import pass_rate
from curation.models import Review, Revision, Task, Trajectory
from curation.services.decisions import decide_trajectory, withdraw_decision
from curation.services.difficulty import update_difficulty
from tests.factories import make_project, make_task, make_trajectory, make_user, owner_access

pytestmark = pytest.mark.django_db


def grade(trajectory: Trajectory, number: int, *, submitted: bool = True) -> None:
    Review.objects.create(
        trajectory=trajectory,
        revision=Revision.objects.get(trajectory=trajectory),
        reviewer=make_user(),
        verdict="accept",
        grade=number,
        submitted_at=timezone.now() if submitted else None,
    )


def test_attempts_and_successes_leave_out_crashes_and_unknown_outcomes() -> None:
    project = make_project()
    task = make_task(project)
    for success in (True, False, False, False, None):
        make_trajectory(project, task=task, success=success)
    crashed = make_trajectory(project, task=task, success=False)
    Trajectory.objects.filter(pk=crashed.pk).update(completion=Trajectory.Completion.CRASHED)
    update_difficulty(project, [task.pk])
    task.refresh_from_db()
    assert (task.attempts, task.successes, task.human_grade) == (4, 1, None)
    assert task.band == 4  # (1 + 1/2) / (4 + 1) = .30


def test_the_human_grade_is_the_median_of_submitted_grades_and_decides_the_band() -> None:
    project = make_project()
    task = make_task(project)
    one, other = make_trajectory(project, task=task), make_trajectory(project, task=task)
    grade(one, 5)
    grade(other, 4)
    grade(other, 1, submitted=False)
    update_difficulty(project, [task.pk])
    task.refresh_from_db()
    assert (task.human_grade, task.band) == (4.5, 5)


def test_a_task_without_attempts_or_grades_has_no_band() -> None:
    project = make_project()
    task = make_task(project, band=3)
    update_difficulty(project, [task.pk, task.pk])
    task.refresh_from_db()
    assert (task.attempts, task.band) == (0, None)


def test_tasks_of_another_project_are_left_alone() -> None:
    foreign = make_task(make_project(), band=2)
    update_difficulty(make_project(), [foreign.pk])
    assert Task.objects.get(pk=foreign.pk).band == 2


def test_a_thousand_tasks_take_as_many_statements_as_one(django_assert_max_num_queries: object) -> None:
    project = make_project()
    tasks = Task.objects.bulk_create(Task(project=project, key=str(n), fingerprint="f" * 64) for n in range(1000))
    with django_assert_max_num_queries(5):  # type: ignore[operator]  # a fixture of pytest-django
        update_difficulty(project, [task.pk for task in tasks])


def test_the_pass_rate_is_kept_with_its_interval() -> None:
    project = make_project()
    task = make_task(project)
    for success in (True, True, False):
        make_trajectory(project, task=task, success=success)
    update_difficulty(project, [task.pk])
    task.refresh_from_db()
    expected = pass_rate(2, 3)
    assert (task.pass_rate, task.pass_low, task.pass_high) == (expected.p, expected.low, expected.high)


def test_grades_two_apart_are_flagged_until_a_curator_decides() -> None:
    project = make_project()
    task = make_task(project)
    one, other = make_trajectory(project, task=task), make_trajectory(project, task=task)
    grade(one, 2)
    grade(other, 3)
    update_difficulty(project, [task.pk])
    task.refresh_from_db()
    assert (task.human_grade, task.grades_apart) == (2.5, False)
    grade(other, 4)
    update_difficulty(project, [task.pk])
    task.refresh_from_db()
    assert (task.human_grade, task.grades_apart) == (3, True)
    decision = decide_trajectory(owner_access(project), one, verdict="accept", grade=4)
    task.refresh_from_db()
    assert (task.human_grade, task.grades_apart) == (4, False)
    withdraw_decision(owner_access(project), decision)
    task.refresh_from_db()
    assert (task.human_grade, task.grades_apart) == (3, True)


def test_a_grade_two_bands_from_what_attempts_say_is_flagged() -> None:
    project = make_project()
    task = make_task(project)
    for _ in range(4):
        attempt = make_trajectory(project, task=task, success=False)  # .10: band 5
    grade(attempt, 4)
    update_difficulty(project, [task.pk])
    task.refresh_from_db()
    assert (task.band, task.bands_apart) == (4, False)
    Review.objects.update(grade=3)
    update_difficulty(project, [task.pk])
    task.refresh_from_db()
    assert (task.band, task.bands_apart) == (3, True)
