"""Discussions and mentions over REST: the same rules as on the pages."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from curation.models import Mention, Project, Remark, Role, Trajectory
from curation.permissions import Access
from curation.services.queues import create_queue, take_next
from curation.services.remarks import add_remark
from curation.services.reviews import Answer, submit_review
from curation.services.tokens import create_token
from tests.factories import make_member, make_project, make_trajectory, owner_access

pytestmark = pytest.mark.django_db


def call(access: Access) -> Client:
    _, secret = create_token(access, name="test", scopes=access.roles)
    return Client(headers={"Authorization": f"Bearer {secret}"})


def address(project: Project, rest: str) -> str:
    return f"/api/v1/projects/{project.slug}/{rest}"


def post(client: Client, where: str, body: object) -> tuple[int, Any]:
    answer = client.post(where, body, content_type="application/json")
    return answer.status_code, answer.json()


@pytest.mark.parametrize("role", Role.values)
def test_every_role_reads_and_writes(role: str) -> None:
    project = make_project()
    trajectory = make_trajectory(project)
    access = make_member(project, role)
    where = address(project, f"trajectories/{trajectory.pk}/remarks/")
    client = call(access)
    status, added = post(client, where, {"text": "Seen."})
    assert (status, added["author"], added["trajectory"]) == (201, access.user.username, trajectory.pk)
    assert post(client, where, {"text": "Seen."})[1]["id"] == added["id"]
    assert client.get(where).json() == {"results": [added], "next": None}
    assert client.delete(address(project, f"remarks/{added['id']}/")).status_code == 204
    assert client.delete(address(project, f"remarks/{added['id']}/")).status_code == 404
    assert client.get(where).json()["results"] == []


def test_what_does_not_fit_is_refused_in_words_and_what_cannot_be_stored_replaced() -> None:
    project = make_project()
    trajectory = make_trajectory(project)
    where = address(project, f"trajectories/{trajectory.pk}/remarks/")
    client = call(make_member(project))
    for body in ({}, {"text": ""}, {"text": "  "}, {"text": "x" * 5001}, {"text": ["a"]}, {"text": None}):
        status, problem = post(client, where, body)
        assert status == 400
        assert problem["errors"]["text"]
    assert not Remark.objects.exists()
    raw = b'{"text": "a\\u0000b\\ud800c"}'
    answer = client.post(where, raw, content_type="application/json")
    assert (answer.status_code, answer.json()["text"]) == (201, "a\ufffdb\ufffdc")
    assert client.get(where, {"after": "nonsense"}).status_code == 400


def test_pages_of_a_long_discussion_show_every_remark_once() -> None:
    project = make_project()
    trajectory = make_trajectory(project)
    Remark.objects.bulk_create(Remark(trajectory=trajectory, text=str(n)) for n in range(130))
    where = address(project, f"trajectories/{trajectory.pk}/remarks/")
    client = call(make_member(project))
    first = client.get(where).json()
    second = client.get(where, {"after": first["next"]}).json()
    assert [row["text"] for row in first["results"] + second["results"]] == [str(n) for n in range(130)]
    assert (second["next"], first["results"][0]["author"]) == (None, None)


def test_a_discussion_and_what_mentions_say_are_hidden_until_the_blind_review_is_given() -> None:
    project = make_project()
    trajectory = make_trajectory(project)
    curator, reviewer = make_member(project, Role.CURATOR), make_member(project)
    own = add_remark(reviewer, trajectory, "From before.")
    add_remark(curator, trajectory, f"It cheats, @{reviewer.user.username}.")
    everything = Trajectory.objects.filter(project=project)
    queue = create_queue(owner_access(project), name="Blind", trajectories=everything, blind=True)
    where, mentions = address(project, f"trajectories/{trajectory.pk}/remarks/"), address(project, "mentions/")
    client = call(reviewer)
    refused = client.get(where)
    assert refused.status_code == 403
    assert "blind queue" in refused.json()["detail"]
    assert post(client, where, {"text": "Hm."})[0] == 403
    assert client.delete(address(project, f"remarks/{own.pk}/")).status_code == 403
    (row,) = client.get(mentions).json()["results"]
    assert (row["hidden"], row["text"], row["by"]) == (True, "", curator.user.username)
    assert len(call(curator).get(where).json()["results"]) == 2
    held = take_next(reviewer, queue)
    assert held is not None
    submit_review(reviewer, held, Answer(verdict="reject"))
    assert len(client.get(where).json()["results"]) == 2
    (row,) = client.get(mentions).json()["results"]
    assert (row["hidden"], row["text"]) == (False, f"It cheats, @{reviewer.user.username}.")


def test_mentions_are_listed_and_marked_as_seen() -> None:
    project = make_project()
    trajectory = make_trajectory(project)
    writer, reader = make_member(project), make_member(project)
    remark = add_remark(writer, trajectory, f"@{reader.user.username}")
    client = call(reader)
    (row,) = client.get(address(project, "mentions/")).json()["results"]
    assert (row["remark"], row["review"], row["trajectory"], row["seen_at"]) == (remark.pk, None, trajectory.pk, None)
    seen = address(project, "mentions/seen/")
    assert post(client, seen, {"mentions": [row["id"]]}) == (200, {"marked": 1})
    assert post(client, seen, {"mentions": [row["id"], row["id"]]}) == (200, {"marked": 0})
    assert client.get(address(project, "mentions/")).json()["results"][0]["seen_at"]
    for odd in ([], ["x"], [2**63], "x", None):
        assert post(client, seen, {"mentions": odd})[0] == 400
    assert post(call(writer), seen, {"mentions": [row["id"]]})[0] == 404


def test_ids_of_other_projects_are_not_found() -> None:
    theirs = make_trajectory(make_project())
    them = owner_access(theirs.project)
    person = make_member(theirs.project)
    remark = add_remark(them, theirs, f"Secret, @{person.user.username}.")
    mine = make_project()
    client = call(owner_access(mine))
    assert client.get(address(mine, f"trajectories/{theirs.pk}/remarks/")).status_code == 404
    assert post(client, address(mine, f"trajectories/{theirs.pk}/remarks/"), {"text": "x"})[0] == 404
    assert client.delete(address(mine, f"remarks/{remark.pk}/")).status_code == 404
    assert post(client, address(mine, "mentions/seen/"), {"mentions": [Mention.objects.get().pk]})[0] == 404
    assert Remark.objects.get() == remark


def test_the_schema_describes_discussions_and_mentions() -> None:
    client = Client()
    client.force_login(owner_access(make_project()).user)
    schema = client.get(reverse("api-schema"), headers={"accept": "application/json"}).json()
    paths = schema["paths"]
    stem = "/api/v1/projects/{project}/"
    assert set(paths[f"{stem}trajectories/{{id}}/remarks/"]) == {"get", "post"}
    assert set(paths[f"{stem}remarks/{{id}}/"]) == {"delete"}
    assert set(paths[f"{stem}mentions/"]) == {"get"}
    assert set(paths[f"{stem}mentions/seen/"]) == {"post"}
