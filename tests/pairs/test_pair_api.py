from __future__ import annotations

import pytest
from django.test import Client

from curation.models import PreferencePair, Project, Role
from curation.permissions import Access
from curation.services.pair_proposals import run_search
from curation.services.tokens import create_token
from tests.factories import make_member, make_project
from tests.pairs.test_pair_pages import make_pairs

pytestmark = pytest.mark.django_db


def call(access: Access, *scopes: str) -> Client:
    _, secret = create_token(access, name="test", scopes=scopes or access.roles)
    return Client(headers={"Authorization": f"Bearer {secret}"})


def address(project: Project, rest: str = "") -> str:
    return f"/api/v1/projects/{project.slug}/pairs/{rest}"


def post(client: Client, where: str, body: object) -> tuple[int, dict[str, object]]:
    response = client.post(where, body, content_type="application/json")
    return response.status_code, response.json()


def test_a_pair_is_proposed_read_blind_and_judged() -> None:
    project = make_project()
    curator, reviewer = make_member(project, Role.CURATOR), make_member(project, Role.REVIEWER)
    make_pairs(project)
    PreferencePair.objects.all().delete()
    status, search = post(call(curator), address(project, "propose/"), {})
    assert (status, search["state"]) == (202, "queued")
    run_search(int(str(search["id"])))
    search = call(curator).get(address(project, f"searches/{search['id']}/")).json()
    assert (search["state"], search["progress"], search["proposed"], search["unusable"]) == ("done", 1, 1, {})
    client = call(reviewer)
    (row,) = client.get(address(project)).json()["results"]
    assert (row["status"], row["chosen"], row["rejected"]) == ("proposed", None, None)
    shown = client.get(address(project, "next/")).json()
    assert shown["id"] == row["id"]
    assert "outcome" not in str(shown)
    assert shown["left"]["messages"][:4] == shown["right"]["messages"][:4]
    won = "left" if "take" in str(shown["left"]["messages"]) else "right"
    body = {"answer": f"{won}-much-better", "left": shown["left"]["side"], "right": shown["right"]["side"]}
    status, judged = post(client, address(project, f"{row['id']}/judgement/"), body)
    assert (status, judged["status"], judged["strength"], judged["judgement_count"]) == (200, "confirmed", 3, 1)
    assert judged["chosen"] is not None
    assert client.get(address(project, "next/")).status_code == 204
    assert client.get(address(project, f"{row['id']}/")).json()["judgement"]["answer"] == f"{won}-much-better"


def test_a_foreign_pair_is_not_found_and_foreign_sides_are_refused() -> None:
    project = make_project()
    (foreign,) = make_pairs(make_project())
    (own,) = make_pairs(project)
    client = call(make_member(project))
    assert client.get(address(project, f"{foreign.pk}/")).status_code == 404
    body = {"answer": "tie", "left": foreign.chosen_id, "right": foreign.rejected_id}
    assert post(client, address(project, f"{foreign.pk}/judgement/"), body)[0] == 404
    status, problem = post(client, address(project, f"{own.pk}/judgement/"), body)
    assert status == 400
    assert "not the two sides" in str(problem)
    assert PreferencePair.objects.get(pk=own.pk).status == "proposed"


def test_scopes_are_checked() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    engineer = call(make_member(project, Role.ENGINEER))
    assert engineer.get(address(project)).status_code == 200
    assert engineer.get(address(project, f"{pair.pk}/")).status_code == 403
    assert post(engineer, address(project, "propose/"), {})[0] == 403
    both = make_member(project, Role.CURATOR, Role.REVIEWER)
    assert post(call(both, Role.REVIEWER), address(project, "propose/"), {})[0] == 403


def test_an_unknown_filter_is_refused() -> None:
    project = make_project()
    client = call(make_member(project))
    assert client.get(address(project, "?judgements__reviewer__password__startswith=a")).status_code == 400
    assert client.get(address(project, "?status=no")).status_code == 400
    assert client.get(address(project, "?after=W10")).status_code == 400
