"""Importing over REST."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from rest_framework.test import APIClient

from curation.models import Import, JobState, Project, Role, Trajectory
from curation.permissions import Access
from curation.services.import_runs import run_import
from curation.services.tokens import create_token
from tests.factories import make_member, make_project, owner_access
from tests.formats.reading_aids import chat_record
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


def post_records(client: APIClient, project: Project, records: Any, *, key: str = "", **fields: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    body = {"records": records, **fields}
    return client.post(address(project, "records/"), body, format="json", headers=headers)


def test_records_are_taken_in_as_the_lines_of_a_file_are(access: Access) -> None:
    client = make_client(access)
    records = [chat_record("mail ann@example.org", reward=1), chat_record("b"), {"messages": 3}]
    response = post_records(client, access.project, records, key="batch-1", redact=["emails"])
    assert response.status_code == 202
    job = response.json()
    assert (job["format"], job["redact"], job["state"]) == ("chat", ["emails"], "queued")
    run_import(job["id"])
    job = client.get(address(access.project, f"{job['id']}/")).json()
    assert (job["imported"], job["rejected"], job["redactions"]) == (2, 1, {"emails": 1})
    again = post_records(client, access.project, records, key="batch-1", redact=["emails"])
    assert (again.status_code, again.json()["id"]) == (202, job["id"])
    assert post_records(client, access.project, records[:1], key="batch-1").status_code == 409
    assert Import.objects.count() == 1


def test_records_with_fields_of_their_own_come_with_a_mapping(access: Access) -> None:
    record = {"id": "t1", "turns": [{"speaker": "customer", "text": "Hi"}, {"speaker": "bot", "text": "Hello"}]}
    roles = {"customer": "user", "bot": "assistant"}
    mapping = {"messages": "turns", "role": "speaker", "content": "text", "task_id": "id", "roles": roles}
    client = make_client(access)
    job = post_records(client, access.project, [record], mapping=mapping).json()
    run_import(job["id"])
    assert Trajectory.objects.get().task.key == "t1"
    wrong = post_records(client, access.project, [record], mapping={"messages": "a["})
    assert wrong.status_code == 400
    assert "is no path" in str(wrong.json()["errors"])


@pytest.mark.parametrize("records", [[], "x", [1], [{}] * 10_001, None])
def test_what_is_no_batch_of_records_is_a_problem(access: Access, records: Any) -> None:
    assert post_records(make_client(access), access.project, records).status_code == 400
    assert not Import.objects.exists()


def test_rejected_records_are_listed_by_their_beginning_and_downloaded_whole(access: Access) -> None:
    long = {"messages": 3, "note": "x" * 9000}
    client = make_client(access)
    job = post_records(client, access.project, [chat_record("a"), long]).json()
    run_import(job["id"])
    (rejection,) = client.get(address(access.project, f"{job['id']}/rejections/")).json()["results"]
    assert (rejection["record_index"], len(rejection["beginning"])) == (1, 4000)
    body = b"".join(client.get(address(access.project, f"{job['id']}/rejected.jsonl")))
    assert json.loads(body) == long


def test_an_import_is_undone_until_something_is_built_on_it(access: Access) -> None:
    client = make_client(access)
    job = queue_import(access, make_lines(3))
    run_import(job.pk)
    undone = client.post(address(access.project, f"{job.pk}/undo/"))
    assert (undone.status_code, Trajectory.objects.count()) == (200, 0)
    assert undone.json()["undone_at"]
    assert client.post(address(access.project, f"{job.pk}/undo/")).status_code == 409
    assert make_client(access, Role.REVIEWER).post(address(access.project, f"{job.pk}/undo/")).status_code == 403


def test_trajectories_are_exported_over_rest_by_the_filters_of_the_list(access: Access) -> None:
    run_import(queue_import(access, make_lines(6)).pk)
    client = make_client(access)
    place = f"/api/v1/projects/{access.project.slug}/trajectories/export.jsonl"
    lines = b"".join(client.get(place, {"format": "openai", "outcome": "success"})).splitlines()
    assert len(lines) == 3
    assert {message["role"] for message in json.loads(lines[0])["messages"]} == {"system", "user", "assistant", "tool"}
    for query in ({"format": "pickle"}, {"outcome": "x"}, {"colour": "red"}):
        assert client.get(place, query).status_code == 400
    assert make_client(owner_access(make_project())).get(place).status_code == 404
