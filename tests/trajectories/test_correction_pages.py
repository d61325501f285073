"""The form of a correction and its endpoints: nothing typed is lost, and nothing odd that is sent breaks them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from curation.models import Project, Reservation, Revision, Trajectory
from curation.services.corrections import correct_trajectory, parse_edit
from curation.services.queues import create_queue, take_next
from tests.factories import make_member, make_project, make_trajectory, owner_access

pytestmark = pytest.mark.django_db


def desk() -> tuple[Project, Trajectory, Client]:
    project = make_project()
    client = Client()
    client.force_login(owner_access(project).user)
    return project, make_trajectory(project, "look", "take"), client


def form_of(trajectory: Trajectory, step_id: int = 3) -> str:
    return reverse("curation:step-edit", args=[trajectory.project.slug, trajectory.pk, step_id])


def check_of(trajectory: Trajectory) -> str:
    return reverse("curation:step-check", args=[trajectory.project.slug, trajectory.pk]) + "?call=1"


def over_rest(trajectory: Trajectory, name: str = "revisions") -> str:
    return f"/api/v1/projects/{trajectory.project.slug}/trajectories/{trajectory.pk}/{name}/"


def text(answer: Any) -> str:
    assert isinstance(answer, HttpResponse)
    return answer.content.decode()


def test_the_form_inserts_with_a_source_and_before_the_first_step() -> None:
    _, trajectory, client = desk()
    sent = {"operation": "insert", "source": "environment", "place": "before", "message-new": "It rains.", "save": "1"}
    assert client.post(form_of(trajectory, 1), sent)["Location"].endswith("#step-1")
    step = Revision.objects.get(number=1).document["steps"][0]
    assert (step["source"], step["actor"], step["role_raw"]) == ("user", "environment", "environment")
    sent = {"operation": "insert", "message-new": "I wait.", "reasoning-new": "It rains.", "save": "1"}
    assert client.post(form_of(trajectory, 4), sent)["Location"].endswith("#step-5")
    assert Revision.objects.get(number=2).document["steps"][4]["reasoning_content"] == "It rains."


def test_the_form_splits_and_prefills_both_halves() -> None:
    _, trajectory, client = desk()
    page = text(client.get(f"{form_of(trajectory)}?operation=split"))
    assert "None: all go to the second" in page
    sent = {"operation": "split", "first-message": "I will", "second-message": "look.", "calls-in-first": "1"}
    assert page.count("I will look.") == 2
    assert text(client.post(form_of(trajectory), sent)).count(">split</span>") == 2
    client.post(form_of(trajectory), sent | {"save": "1"})
    steps = Revision.objects.get(number=1).document["steps"]
    assert [len(step.get("tool_calls") or []) for step in steps[2:]] == [1, 0, 1]
    wrong = text(client.post(form_of(trajectory), sent | {"calls-in-first": "nine"}))
    assert "split.calls_in_first" in wrong
    assert "look." in wrong


def test_ends_of_lines_that_a_browser_rewrites_are_no_edit_and_stay_as_recorded() -> None:
    project, trajectory, client = desk()
    words = {"kind": "edit", "step_id": 3, "message": "50%\r100%\r\ndone\r\n"}
    correct_trajectory(owner_access(project), trajectory, parse_edit(words), base=0, reason="")
    typed = {"operation": "edit", "message": "50%\r\n100%\r\ndone\r\n", "save": "1"}
    assert "Nothing was changed" in text(client.post(form_of(trajectory), typed | {"base": "1"}))


def test_a_conflict_says_who_and_what_and_keeps_what_was_typed() -> None:
    project, trajectory, client = desk()
    other = make_member(project, "curator")
    theirs = {"kind": "edit", "step_id": 3, "observations": [{"result": 0, "text": "Their words."}]}
    correct_trajectory(other, trajectory, parse_edit(theirs), base=0, reason="It was wrong")
    typed = {"base": "0", "operation": "edit", "message": "My words.", "result-1": "You look.", "reason": "Mine"}
    page = text(client.post(form_of(trajectory), typed | {"save": "1"}))
    for part in (other.user.username, "made revision 1", "It was wrong", "<ins>Their words</ins>", "My words."):
        assert part in page
    assert Revision.objects.count() == 2
    merged = text(client.post(form_of(trajectory), typed | {"rebase": "1"}))
    assert 'name="base" value="1"' in merged
    assert "My words." in merged
    assert "Their words." in merged
    assert "You look." not in merged
    assert 'value="Mine"' in merged
    assert Revision.objects.count() == 2


def test_a_step_that_they_left_out_keeps_the_text_and_offers_no_place() -> None:
    project, trajectory, client = desk()
    correct_trajectory(
        owner_access(project), trajectory, parse_edit({"kind": "delete", "step_id": 3}), base=0, reason=""
    )
    page = text(client.post(form_of(trajectory), {"base": "0", "message": "My words.", "rebase": "1"}))
    assert "They left out this step" in page
    assert "My words." in page
    assert "Make mine on theirs" not in page


def test_fields_that_their_step_no_longer_has_are_shown_to_be_copied() -> None:
    project, trajectory, client = desk()
    theirs = [{"kind": "delete", "step_id": 3}, {"kind": "insert", "after_step_id": 2, "message": "I will look."}]
    for number, edit in enumerate(theirs):
        correct_trajectory(owner_access(project), trajectory, parse_edit(edit), base=number, reason="")
    sent = {"base": "0", "arguments-1": '{"action": "jump"}', "rebase": "1"}
    page = text(client.post(form_of(trajectory), sent))
    assert "Arguments 1" in page
    assert "has no place in revision 2" in page
    assert "jump" in page


def test_a_body_nested_without_end_is_refused() -> None:
    _, trajectory, client = desk()
    body = '{"edit": ' + "[" * 10_000 + "]" * 10_000 + "}"
    assert client.post(over_rest(trajectory), body, content_type="application/json").status_code == 400


def test_the_check_and_the_preview_say_what_does_not_fit_and_it_can_be_saved() -> None:
    _, trajectory, client = desk()
    sent = {"base": "0", "name-1": "act", "arguments-1": '{"action": 3}'}
    assert "arguments.action: 3 is not of type" in text(client.post(check_of(trajectory), sent))
    assert "Fits the schema" in text(client.post(check_of(trajectory), sent | {"arguments-1": '{"action": "x"}'}))
    assert "it does not fit what the trajectory says" in text(client.post(form_of(trajectory), sent))
    assert client.post(form_of(trajectory), sent | {"save": "1"}).status_code == 302
    answer = client.post(
        over_rest(trajectory, "check-call"),
        {"function_name": "atc", "arguments_raw": "{}"},
        content_type="application/json",
    )
    assert answer.json()["problems"] == ["There is no tool atc in this trajectory. Did they mean act?"]


def test_all_endpoints_ask_for_the_same_right() -> None:
    project, trajectory, _ = desk()
    person, client = make_member(project), Client()
    client.force_login(person.user)
    call = {"function_name": "act", "arguments_raw": "{}"}
    assert client.post(check_of(trajectory), {"name-1": "act"}).status_code == 403
    assert client.post(form_of(trajectory), {"message": "My words."}).status_code == 403
    assert client.post(over_rest(trajectory, "check-call"), call, content_type="application/json").status_code == 403
    assert "My words." in text(client.post(form_of(trajectory), {"message": "My words.", "save": "1"}))
    assert Revision.objects.count() == 1
    queue = create_queue(owner_access(project), name="Queue", trajectories=Trajectory.objects.all())
    held = take_next(person, queue)
    assert held is not None
    before = Reservation.objects.get(pk=held.pk).expires_at
    assert client.post(check_of(trajectory), {"name-1": "act", "reservation": held.pk}).status_code == 200
    assert Reservation.objects.get(pk=held.pk).expires_at > before
    stranger = Client()
    stranger.force_login(make_project().memberships.get().user)
    assert stranger.post(check_of(trajectory)).status_code == 404
    assert stranger.get(form_of(trajectory)).status_code == 404


@pytest.mark.parametrize("step_id", [0, 99, 2**31, 10**30])
def test_steps_that_do_not_exist_are_not_found(step_id: int) -> None:
    _, trajectory, client = desk()
    assert client.get(form_of(trajectory, step_id)).status_code == 404
    assert client.post(form_of(trajectory, step_id), {"message": "x", "save": "1"}).status_code == 404


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        ({"message": "x" * 5_000_000}, "5,000,000 characters are more than a correction may type"),
        ({"arguments-1": '{"a": ' + "[" * 10_000 + "]" * 10_000 + "}"}, "nested more than 100 levels deep"),
        ({"arguments-1": '{"a": "\\ud800\\u0000"}'}, "What would change"),
        ({"message": "a\x00b", "reason": "\x00"}, "What would change"),
        ({"operation": "drop table"}, "Input tag"),
        ({"operation": "insert", "source": "root", "message-new": "x"}, "insert.source"),
        ({"operation": "insert", "arguments-new": '{"a": 1}', "message-new": "x"}, "name the tool"),
        ({"operation": "insert", "message-new": " "}, "neither a text nor a tool call"),
        ({"operation": "split", "calls-in-first": "-1"}, "split.calls_in_first"),
        ({"base": "99999999999999999999", "message": "x"}, "What would change"),
        ({"base": "-1", "message": "x"}, "What would change"),
    ],
)
def test_odd_input_is_answered_and_changes_nothing(sent: dict[str, str], complaint: str) -> None:
    _, trajectory, client = desk()
    answer = client.post(form_of(trajectory), sent)
    assert answer.status_code == 200
    assert complaint in text(answer)
    assert Revision.objects.count() == 1


def test_a_base_that_never_was_is_not_found() -> None:
    _, trajectory, client = desk()
    assert client.get(f"{form_of(trajectory)}?base=7").status_code == 404


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"edit": {"kind": "split", "step_id": 3, "first": {"message": "a"}, "second": {"message": "b"}}}, 201),
        ({"edit": {"kind": "delete", "step_id": -3}}, 400),
        ({"edit": {"kind": "delete", "step_id": 10**40}}, 400),
        ({"edit": {"kind": "\ud800\x00", "step_id": 3}}, 400),
        ({"edit": {"kind": "edit", "step_id": 3, "message": "a\x00\ud800"}}, 201),
        ({"edit": {"kind": "edit", "step_id": 3, "tool_calls": [{"tool_call_id": "a\ud800b"}]}}, 400),
        ({"edit": {"kind": "edit", "step_id": 3, "message": "x" * 5_000_000}}, 400),
        ({"edit": {"kind": "edit", "step_id": 3, "observations": [{"result": 10**30, "text": ""}]}}, 400),
        ({"edit": {"kind": "delete", "step_id": 3}, "base": 10**30}, 400),
        ({"edit": {"kind": "delete", "step_id": 3}, "base": 2**31 - 1}, 409),
        ({"edit": {"kind": "delete", "step_id": 3}, "reason": "a\x00"}, 400),
        ({"edit": []}, 400),
    ],
)
def test_rest_takes_every_edit_and_refuses_what_is_odd(fields: dict[str, Any], status: int) -> None:
    _, trajectory, client = desk()
    answer = client.post(
        over_rest(trajectory), json.dumps({"base": 0, "reason": "why"} | fields), content_type="application/json"
    )
    assert answer.status_code == status, answer.content[:300]
    assert Revision.objects.count() == 1 + (status == 201)


def test_rest_describes_every_kind_of_edit() -> None:
    _, _, client = desk()
    schema = text(client.get(reverse("api-schema"), {"format": "json"}))
    for kind in ("edit", "insert", "delete", "truncate", "split"):
        assert kind in schema
    assert "calls_in_first" in schema
