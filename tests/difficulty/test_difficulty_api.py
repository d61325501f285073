from __future__ import annotations

import json
from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from curation.models import Project, Role, Trajectory
from curation.services.tokens import create_token
from tests.difficulty.cast import add_attempts, add_tasks
from tests.factories import make_member, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    project = make_project()
    (easy,) = add_tasks(project, 1, band=1, pass_rate=0.95, attempts=9)
    (hard,) = add_tasks(project, 1, band=5, pass_rate=0.05, attempts=9)
    add_attempts(hard, 2, agent_character_count=40)
    won = add_attempts(easy, 2, won=2, agent_character_count=40)
    Trajectory.objects.filter(pk=won[0].pk).update(status="accepted")
    return project


def call(project: Project, *roles: str) -> APIClient:
    access = make_member(project, *(roles or (Role.CURATOR,)))
    _, secret = create_token(access, name="test", scopes=list(access.roles))
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def address(project: Project, name: str, **query: Any) -> str:
    return reverse(f"api-{name}", args=[project.slug], query=query)


def test_the_report_comes_over_rest_in_the_unit_that_is_asked_for(project: Project) -> None:
    answer = call(project, Role.REVIEWER).get(address(project, "difficulty", unit="attempts")).json()
    assert (answer["unit"], answer["tasks"], answer["target"]) == ("attempts", 2, {"kind": "pool", "shares": {}})
    assert (answer["pool"]["1"], answer["pool"]["5"], answer["pool"]["unknown"]) == (2, 2, 0)
    assert [stage["stage"] for stage in answer["waterfall"]] == ["collected", "success", "reviewed", "accepted"]
    (accepted,) = answer["selections"]
    assert (accepted["bias"], accepted["flagged"], accepted["hard_covered"]) == (0.5, [5], 0)
    assert accepted["retention"] == {"1": 2.0, "2": None, "3": None, "4": None, "5": 0.0}
    assert call(project).get(address(project, "difficulty", unit="miles")).status_code == 400


def test_the_target_is_read_and_set_over_rest(project: Project) -> None:
    curator, place = call(project), address(project, "difficulty-target")
    wanted = {"kind": "manual", "shares": {"1": 0.25, "5": 0.75}}
    assert curator.put(place, wanted, format="json").json() == wanted
    assert curator.get(place).json() == wanted
    wrong = curator.put(place, {"kind": "manual", "shares": {"1": 0.25}}, format="json")
    assert wrong.status_code == 400
    assert "have to add up to 1" in json.dumps(wrong.json())
    assert curator.get(place).json() == wanted
    assert call(project, Role.REVIEWER).put(place, wanted, format="json").status_code == 403


def test_tasks_are_filtered_paged_and_exported_over_rest(project: Project) -> None:
    curator = call(project)
    (task,) = curator.get(address(project, "task-list", band="5")).json()["results"]
    assert (task["band"], task["pass_rate"], task["human_grade"]) == (5, 0.05, None)
    assert curator.get(address(project, "task-list", color="red")).status_code == 400
    assert curator.get(address(project, "task-list", band="9")).status_code == 400
    assert curator.get(address(project, "task-list", order="luck")).status_code == 400
    assert curator.get(address(project, "task-list", after="?")).status_code == 400
    export = curator.get(address(project, "task-export", has="no-accepted"))
    assert [json.loads(line)["band"] for line in b"".join(export).splitlines()] == [5]


def test_another_projects_difficulty_is_not_found(project: Project) -> None:
    stranger = call(make_project())
    for name in ("difficulty", "difficulty-target", "task-list", "task-export"):
        assert stranger.get(address(project, name)).status_code == 404
