from __future__ import annotations

import csv
import json
from io import StringIO
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from curation.models import Project, Role, Task, Trajectory
from curation.permissions import Access
from curation.selectors.tasks import count_attempts, list_tasks
from curation.services.queues import create_queue
from curation.task_filters import TaskFilter
from tests.difficulty.cast import add_attempts, add_tasks
from tests.factories import make_member, make_project, make_trajectory, owner_access
from tests.queues.cast import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def client(project: Project) -> Client:
    return sign_in(owner_access(project))


def address(project: Project, name: str = "task-list", **query: Any) -> str:
    return reverse(f"curation:{name}", args=[project.slug], query=query)


def find(project: Project, **conditions: str) -> set[str]:
    chosen = TaskFilter(conditions, queryset=list_tasks(owner_access(project)))
    assert chosen.is_valid(), chosen.errors
    return set(chosen.qs.values_list("key", flat=True))


def fill(project: Project) -> None:
    Task.objects.bulk_create(
        Task(project=project, fingerprint="f" * 64, **fields)
        for fields in (
            {"key": "graded", "band": 5, "human_grade": 5, "pass_rate": 0.9, "attempts": 9, "bands_apart": True},
            {"key": "tried", "band": 5, "pass_rate": 0.1, "attempts": 9},
            {"key": "unknown"},
            {"key": "argued", "band": 3, "human_grade": 3, "grades_apart": True},
        )
    )


def test_tasks_are_found_by_band_basis_and_disagreement(project: Project) -> None:
    fill(project)
    assert find(project, band="5") == {"graded", "tried"}
    assert find(project, band="unknown") == {"unknown"}
    assert find(project, basis="graded") == {"graded", "argued"}
    assert find(project, basis="attempts") == {"tried"}
    assert find(project, basis="unknown") == {"unknown"}
    assert find(project, bands_apart="yes") == {"graded"}
    assert find(project, grades_apart="yes", key="ARG") == {"argued"}
    assert find(project, bands_apart="no", band="5") == {"tried"}


def test_tasks_are_found_by_what_their_attempts_reached(project: Project) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "won": {"success": True},
        "reviewed": {"success": True, "status": "rejected"},
        "rescued": {"success": False, "status": "accepted"},
        "lost": {"success": False, "status": "rejected"},
    }
    for key, fields in kinds.items():
        (task,) = add_tasks(project, 1)
        Task.objects.filter(pk=task.pk).update(key=key)
        (attempt,) = add_attempts(task, 1)
        Trajectory.objects.filter(pk=attempt.pk).update(**fields)
    assert find(project, has="success") == {"won", "reviewed"}
    assert find(project, has="reviewed") == {"reviewed", "rescued"}
    assert find(project, has="accepted") == {"rescued"}
    assert find(project, has="no-accepted") == {"won", "reviewed", "lost"}


def test_the_list_shows_each_tasks_pass_rate_and_counts_and_leads_to_its_attempts(
    project: Project, client: Client
) -> None:
    (task,) = add_tasks(project, 1, pass_rate=0.25, pass_low=0.05, pass_high=0.45, attempts=3, human_grade=2.5, band=3)
    attempts = add_attempts(task, 4)
    Trajectory.objects.filter(pk=attempts[0].pk).update(status="accepted")
    page = client.get(address(project)).content.decode()
    assert ".25" in page
    assert ".05 to .45" in page
    assert f"{reverse('curation:trajectory-list', args=[project.slug])}?task_id={task.pk}" in page
    assert count_attempts([task]) == {task.pk: {"collected": 4, "accepted": 1, "frozen": 0}}


def test_the_attempts_of_a_task_are_its_own_and_not_those_of_a_key_that_begins_alike(
    project: Project, client: Client
) -> None:
    one, other = add_tasks(project, 2)
    Task.objects.filter(pk=other.pk).update(key=one.key + "0")
    (mine,), (foreign,) = add_attempts(one, 1), add_attempts(other, 1)
    page = client.get(reverse("curation:trajectory-list", args=[project.slug], query={"task_id": one.pk}))
    assert [row.pk for row in page.context["page"].rows] == [mine.pk]
    assert foreign.pk != mine.pk


@pytest.mark.parametrize("order", ["id", "ease", "-ease", "key"])
def test_every_task_is_on_one_page_of_each_order(project: Project, client: Client, order: str) -> None:
    for number, task in enumerate(add_tasks(project, 120)):
        Task.objects.filter(pk=task.pk).update(pass_rate=None if number % 3 else number / 200)
    seen, place = [], address(project, order=order)
    while place:
        page = client.get(place).context["page"]
        seen += [task.pk for task in page.rows]
        place = address(project, order=order, after=page.next) if page.next else ""
    assert len(seen) == len(set(seen)) == 120


def test_a_page_of_fifty_tasks_takes_as_many_statements_as_one_of_one(
    project: Project, client: Client, django_assert_max_num_queries: Any
) -> None:
    for task in add_tasks(project, 60):
        add_attempts(task, 2)
    with django_assert_max_num_queries(15):
        client.get(address(project))


def test_an_unknown_filter_or_damaged_address_shows_everything_and_says_so(project: Project, client: Client) -> None:
    fill(project)
    for query, words in (({"band": "9"}, "That filter does not exist"), ({"after": "?"}, "damaged")):
        answer = client.get(address(project, **query))
        assert words in answer.content.decode()
        assert len(answer.context["page"].rows) == 4


def test_keys_are_taken_away_as_csv_and_as_json_lines(project: Project, client: Client) -> None:
    fill(project)
    Task.objects.filter(key="tried").update(key="=tried()")
    answer = client.get(address(project, "task-list-export", band="5"))
    rows = list(csv.DictReader(StringIO(b"".join(answer).decode())))
    assert [(row["key"], row["band"], row["attempts"]) for row in rows] == [
        ("graded", "5", "9"),
        ("'=tried()", "5", "9"),
    ]
    answer = client.get(address(project, "task-list-export", band="5", format="jsonl"))
    lines = [json.loads(line) for line in b"".join(answer).splitlines()]
    assert [line["key"] for line in lines] == ["graded", "=tried()"]
    assert client.get(address(project, "task-list-export", format="xml")).status_code == 400
    assert client.get(address(project, "task-list-export", band="9")).status_code == 400


def test_whoever_may_still_review_an_attempt_blind_does_not_see_its_task(project: Project) -> None:
    waiting, other = add_tasks(project, 2, pass_rate=0.75, attempts=1)
    make_trajectory(project, task=waiting)
    reviewer = make_member(project)
    create_queue(owner_access(project), name="Blind", trajectories=Trajectory.objects.all(), blind=True)

    def keys(access: Access) -> set[str]:
        return set(list_tasks(access).values_list("key", flat=True))

    assert keys(reviewer) == {other.key}
    assert keys(make_member(project, Role.CURATOR)) == {waiting.key, other.key}
    assert waiting.key not in sign_in(reviewer).get(address(project)).content.decode()


def test_tasks_of_another_project_are_not_found(project: Project, client: Client) -> None:
    foreign = make_project()
    fill(foreign)
    assert client.get(address(foreign)).status_code == 404
    assert not list_tasks(owner_access(project)).exists()
