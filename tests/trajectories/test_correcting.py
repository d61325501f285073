"""Corrections are revisions: nothing recorded is lost, and two people cannot overwrite one another."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse

from curation.models import PreferencePair, Revision, Trajectory
from curation.services.corrections import EditConflict, correct_trajectory, parse_edit, preview_edit
from curation.services.queues import create_queue, take_next
from tests.factories import make_member, make_project, make_trajectory, owner_access

pytestmark = pytest.mark.django_db


def test_a_correction_is_the_next_revision_and_leaves_the_first_as_it_was() -> None:
    project = make_project()
    trajectory = make_trajectory(project, "look", "take")
    before = Revision.objects.get(trajectory=trajectory).document
    edit = parse_edit({"kind": "edit", "step_id": 3, "message": "I look first."})
    revision = correct_trajectory(owner_access(project), trajectory, edit, base=0, reason="unclear")
    assert revision.number == 1
    assert revision.document["steps"][2]["message"][0]["text"] == "I look first."
    assert Revision.objects.get(trajectory=trajectory, number=0).document == before
    assert Trajectory.objects.get().head_number == 1


def test_an_edit_on_an_old_revision_is_refused_and_saves_nothing() -> None:
    project = make_project()
    trajectory = make_trajectory(project)
    edit = parse_edit({"kind": "truncate", "step_id": 3})
    correct_trajectory(owner_access(project), trajectory, edit, base=0, reason="")
    with pytest.raises(EditConflict, match="in the meantime"):
        correct_trajectory(owner_access(project), trajectory, edit, base=0, reason="")
    assert Revision.objects.count() == 2


def test_counts_follow_the_corrected_content() -> None:
    project = make_project()
    trajectory = make_trajectory(project, "look", "take", "drop")
    correct_trajectory(
        owner_access(project), trajectory, parse_edit({"kind": "truncate", "step_id": 3}), base=0, reason=""
    )
    trajectory.refresh_from_db()
    assert (trajectory.step_count, trajectory.tool_call_count) == (3, 1)


def test_a_corrected_failure_proposes_a_pair_over_its_original() -> None:
    project = make_project()
    trajectory = make_trajectory(project, "look", "drop", success=False)
    edit = parse_edit({"kind": "edit", "step_id": 4, "message": "I take it instead."})
    revision = correct_trajectory(owner_access(project), trajectory, edit, base=0, reason="")
    pair = PreferencePair.objects.get()
    assert (pair.chosen_id, pair.origin, pair.shared_steps) == (revision.pk, "correction", 3)


def test_the_database_refuses_to_change_a_revision() -> None:
    trajectory = make_trajectory(make_project())
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        Revision.objects.filter(trajectory=trajectory).update(document={})


def test_a_preview_changes_nothing() -> None:
    trajectory = make_trajectory(make_project())
    changes = preview_edit(trajectory, parse_edit({"kind": "delete", "step_id": 3}), base=0)
    assert [change.kind for change in changes.changes] == ["deleted"]
    assert Revision.objects.count() == 1


def test_the_form_leaves_alone_what_the_browser_only_reformats() -> None:
    project = make_project()
    trajectory = make_trajectory(project)
    client = Client()
    client.force_login(owner_access(project).user)
    address = reverse("curation:step-edit", args=[project.slug, trajectory.pk, 3])
    page = client.get(address).content.decode()
    assert "I will look." in page
    answer = client.post(address, {"base": 0, "operation": "edit", "message": "I will look.", "save": "1"})
    assert "Nothing was changed" in answer.content.decode()
    sent = {"base": 0, "operation": "edit", "message": "", "name-1": "act", "result-1": "You look.", "save": "1"}
    assert client.post(address, sent).status_code == 302
    step = Revision.objects.get(number=1).document["steps"][2]
    assert step["message"] == []
    assert step["tool_calls"][0]["arguments_raw"] == '{"action": "look"}'


def test_a_reviewer_corrects_only_what_they_hold() -> None:
    project = make_project()
    trajectory = make_trajectory(project)
    person = make_member(project)
    client = Client()
    client.force_login(person.user)
    address = reverse("curation:step-edit", args=[project.slug, trajectory.pk, 3])
    assert client.get(address).status_code == 403
    over_rest = f"/api/v1/projects/{project.slug}/trajectories/{trajectory.pk}/revisions/"
    edit = {"base": 0, "reason": "", "edit": {"kind": "truncate", "step_id": 3}}
    assert client.post(over_rest, edit, content_type="application/json").status_code == 403
    queue = create_queue(owner_access(project), name="Queue", trajectories=Trajectory.objects.all())
    reservation = take_next(person, queue)
    assert reservation is not None
    assert client.get(f"{address}?reservation={reservation.pk}").status_code == 200
    other = Client()
    other.force_login(make_member(project).user)
    assert other.get(f"{address}?reservation={reservation.pk}").status_code == 403
    assert client.post(over_rest, edit | {"reason": "x"}, content_type="application/json").status_code == 201
