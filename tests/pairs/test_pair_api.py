from __future__ import annotations

import pytest
from django.test import Client

from curation.models import Judgement, PreferencePair, Project, Reservation, Role
from curation.permissions import Access
from curation.services.pair_proposals import run_search
from curation.services.tokens import create_token
from tests.factories import make_member, make_project, owner_access
from tests.pairs.cast import make_pairs, make_queue, take

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


def test_a_search_over_rest_runs_once_at_a_time_and_stops() -> None:
    project = make_project()
    client = call(make_member(project, Role.CURATOR))
    assert post(client, address(project, "propose/"), {"origins": ["imported"]})[0] == 400
    assert post(client, address(project, "propose/"), {"origins": []})[0] == 400
    assert post(client, address(project, "propose/"), {"origins": ["models"], "between": ["a"]})[0] == 400
    status, search = post(client, address(project, "propose/"), {"origins": ["reward", "step"], "most_per_task": 9})
    assert (status, search["origins"], search["most_per_task"]) == (202, ["step", "reward"], 9)
    assert post(client, address(project, "propose/"), {})[0] == 409
    where = address(project, f"searches/{search['id']}/")
    assert call(owner_access(make_project())).get(where).status_code == 404
    assert post(client, f"{where}stop/", {})[1]["state"] == "stopped"
    assert post(client, f"{where}stop/", {})[0] == 409
    assert client.get(where).json()["state"] == "stopped"


def test_a_pair_is_decided_over_rest_by_one_curator() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    body = {"answer": "tie", "left": pair.chosen_id, "right": pair.rejected_id}
    curator = call(make_member(project, Role.CURATOR))
    where = address(project, f"{pair.pk}/decision/")
    assert post(call(make_member(project)), where, body)[0] == 403
    assert post(curator, where, body)[1]["status"] == "tie"
    assert post(call(make_member(project, Role.CURATOR)), where, body)[0] == 409
    (given,) = curator.get(address(project, f"{pair.pk}/judgements/")).json()["results"]
    assert (given["decides"], given["preferred"]) == (True, None)


def test_a_judgement_is_taken_back_over_rest() -> None:
    project = make_project()
    pairs = make_pairs(project, 2)
    client = call(make_member(project))
    for pair in pairs:
        body = {"answer": "tie", "left": pair.chosen_id, "right": pair.rejected_id, "seconds": 5}
        assert post(client, address(project, f"{pair.pk}/judgement/"), body)[1]["status"] == "tie"
    assert post(client, address(project, "undo/"), {}) == (200, {"pair": pairs[1].pk, "reservation": None})
    assert client.delete(address(project, f"{pairs[0].pk}/judgement/")).status_code == 200
    assert client.delete(address(project, f"{pairs[0].pk}/judgement/")).status_code == 409
    assert post(client, address(project, "undo/"), {})[0] == 409
    assert set(PreferencePair.objects.values_list("status", flat=True)) == {"proposed"}


def test_a_pair_of_a_queue_is_judged_over_rest_once_and_taken_back() -> None:
    project = make_project()
    make_pairs(project)
    access = make_member(project)
    client, queue = call(access), make_queue(project)
    held = post(client, f"/api/v1/projects/{project.slug}/queues/{queue.pk}/next/", {})[1]
    where = f"/api/v1/projects/{project.slug}/reservations/{held['id']}/judgement/"
    pair = PreferencePair.objects.get(pk=str(held["pair"]))
    body = {"answer": "left-better", "left": pair.chosen_id, "right": pair.rejected_id}
    assert post(call(make_member(project)), where, body)[0] == 404
    assert post(client, where, body | {"left": 1})[0] == 400
    assert [post(client, where, body)[1]["judgement_count"] for _ in range(2)] == [1, 1]
    status, back = post(client, address(project, "undo/"), {"queue": queue.pk})
    assert (status, back) == (200, {"pair": pair.pk, "reservation": held["id"]})
    Reservation.objects.update(state="released")
    take(make_member(project), queue)
    assert post(client, where, body)[0] == 409
    assert Judgement.objects.count() == 0
