"""Importing over REST."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from rest_framework.test import APIClient

from curation.models import Import, JobState, Project, Role
from curation.permissions import Access
from curation.services.import_runs import run_import
from curation.services.tokens import create_token
from tests.factories import make_member, make_project, owner_access
from tests.imports.files import make_lines, queue_import

pytestmark = pytest.mark.django_db


@pytest.fixture
def access() -> Access:
    return owner_access(make_project())


def make_client(access: Access, *scopes: str) -> APIClient:
    _, secret = create_token(access, name="test", scopes=scopes or access.roles)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def address(project: Project, rest: str = "") -> str:
    return f"/api/v1/projects/{project.slug}/imports/{rest}"


def post(client: APIClient, project: Project, content: bytes, *, key: str = "", **fields: str) -> Any:
    file = BytesIO(content)
    file.name = "attempts.jsonl"
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(address(project), {"file": file, **fields}, format="multipart", headers=headers)


def test_a_file_is_taken_in_read_and_reported(access: Access) -> None:
    client = make_client(access)
    response = post(client, access.project, make_lines(3) + b"{torn\n", source="expert", model="m-1")
    assert response.status_code == 202
    job = response.json()
    assert (job["state"], job["format"], job["source"], job["model"]) == ("queued", "whetstone", "expert", "m-1")
    run_import(job["id"])
    job = client.get(address(access.project, f"{job['id']}/")).json()
    assert (job["state"], job["imported"], job["unchanged"], job["rejected"]) == ("done", 3, 0, 1)
    rejections = client.get(address(access.project, f"{job['id']}/rejections/")).json()
    assert [row["record_index"] for row in rejections["results"]] == [3]
    assert rejections["next"] is None
    assert [row["id"] for row in client.get(address(access.project)).json()["results"]] == [job["id"]]


def test_the_same_idempotency_key_gives_the_same_import(access: Access) -> None:
    client, content = make_client(access), make_lines(2)
    first = post(client, access.project, content, key="abc")
    second = post(client, access.project, content, key="abc")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    assert post(client, access.project, make_lines(3), key="abc").status_code == 409
    assert Import.objects.count() == 1
    elsewhere = owner_access(make_project())
    assert post(make_client(elsewhere), elsewhere.project, content, key="abc").status_code == 202


def test_a_file_in_no_known_format_is_a_problem_that_says_what_was_looked_for(access: Access) -> None:
    response = post(make_client(access), access.project, b'{"hello": 1}\n')
    assert response.status_code == 400
    assert "Looked for" in str(response.json()["errors"]["file"])
    assert post(make_client(access), access.project, make_lines(1), format="nonsense").status_code == 400
    assert make_client(access).post(address(access.project), {}, format="multipart").status_code == 400


def test_a_token_needs_the_scope_and_the_project(access: Access) -> None:
    assert post(make_client(access, Role.REVIEWER), access.project, make_lines(1)).status_code == 403
    reviewer = make_member(access.project, Role.REVIEWER)
    assert post(make_client(reviewer), access.project, make_lines(1)).status_code == 403
    elsewhere = owner_access(make_project())
    assert post(make_client(elsewhere), access.project, make_lines(1)).status_code == 404
    job = queue_import(elsewhere, make_lines(1))
    client = make_client(access)
    for rest in ("", "rejections/"):
        assert client.get(address(access.project, f"{job.pk}/{rest}")).status_code == 404
    for rest in ("stop/", "resume/"):
        assert client.post(address(access.project, f"{job.pk}/{rest}")).status_code == 404
    assert APIClient().get(address(access.project)).status_code == 401


def test_stopping_and_going_on(access: Access) -> None:
    client = make_client(access)
    job = queue_import(access, make_lines(1))
    assert client.post(address(access.project, f"{job.pk}/stop/")).json()["state"] == JobState.STOPPED
    assert client.post(address(access.project, f"{job.pk}/stop/")).status_code == 409
    assert client.post(address(access.project, f"{job.pk}/resume/")).json()["state"] == JobState.QUEUED
    assert client.post(address(access.project, f"{job.pk}/resume/")).status_code == 409


def test_a_damaged_cursor_is_a_problem(access: Access) -> None:
    client = make_client(access)
    job = queue_import(access, make_lines(1))
    assert client.get(address(access.project), {"after": "nonsense"}).status_code == 400
    assert client.get(address(access.project, f"{job.pk}/rejections/"), {"after": "x"}).status_code == 400
