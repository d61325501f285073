"""Undoing an import: all of it goes, or, where somebody built on it, nothing."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from curation.models import (
    AuditEntry,
    DifficultyFit,
    Import,
    JobState,
    PreferencePair,
    Remark,
    Review,
    Role,
    Task,
    Trajectory,
)
from curation.permissions import Access
from curation.services.corrections import correct_trajectory, parse_edit
from curation.services.decisions import decide_trajectory
from curation.services.import_undo import undo_import
from curation.services.imports import resume_import
from tests.factories import make_member, make_project, owner_access
from tests.imports.files import import_content, make_lines, queue_import


@pytest.fixture
def access() -> Access:
    return owner_access(make_project())


def review(trajectory: Trajectory, access: Access) -> None:
    Review.objects.create(
        trajectory=trajectory, revision=trajectory.revisions.get(number=0), reviewer=access.user, verdict="accept"
    )


@pytest.mark.django_db
def test_what_an_import_brought_goes_and_what_was_there_stays(access: Access) -> None:
    known, new = make_lines(10), make_lines(6, say="open", tasks=8)
    first = import_content(access, known)
    second = import_content(access, known + new)
    assert undo_import(access, second) == 6
    assert Trajectory.objects.count() == 10
    assert set(Trajectory.objects.values_list("origin", flat=True)) == {first.pk}
    assert Task.objects.count() == 5
    assert [task.attempts for task in Task.objects.all()] == [2] * 5
    assert DifficultyFit.objects.filter(project=access.project, state="queued").exists()
    second.refresh_from_db()
    assert second.undone_at
    assert AuditEntry.objects.filter(action="import.undo").exists()
    with pytest.raises(ValueError, match="undone already"):
        undo_import(access, second)
    again = import_content(access, new)
    assert again.imported == 6


@pytest.mark.django_db
def test_an_import_that_somebody_reviewed_or_corrected_stays_whole(access: Access) -> None:
    job = import_content(access, make_lines(4))
    one, other = Trajectory.objects.order_by("pk")[:2]
    review(one, access)
    edit = parse_edit({"kind": "edit", "step_id": 3, "message": "I look first."})
    correct_trajectory(access, other, edit, base=0, reason="why")
    with pytest.raises(ValueError, match=r"1 of its trajectories are reviewed, 1 of its trajectories are corrected"):
        undo_import(access, job)
    assert Trajectory.objects.count() == 4
    job.refresh_from_db()
    assert job.undone_at is None


@pytest.mark.django_db
def test_an_import_that_somebody_decided_or_discussed_stays_whole(access: Access) -> None:
    job = import_content(access, make_lines(2))
    one, other = Trajectory.objects.order_by("pk")
    decide_trajectory(access, one, verdict="accept")
    Remark.objects.create(trajectory=other, author=access.user, text="Look at this.")
    with pytest.raises(ValueError, match=r"1 of its trajectories are decided by a curator, 1 .* are discussed"):
        undo_import(access, job)
    assert Trajectory.objects.count() == 2


@pytest.mark.django_db
def test_a_running_import_is_stopped_before_it_is_undone(access: Access) -> None:
    job = queue_import(access, make_lines(1))
    with pytest.raises(ValueError, match="Stop the import"):
        undo_import(access, job)
    Import.objects.filter(pk=job.pk).update(state=JobState.STOPPED, undone_at="2026-01-01T00:00:00Z")
    job.refresh_from_db()
    with pytest.raises(ValueError, match="was undone"):
        resume_import(access, job)


@pytest.mark.django_db
def test_pairs_that_came_with_an_import_go_with_it(access: Access) -> None:
    line = b'{"prompt": "Open.", "chosen": "Yes.", "rejected": "No."}\n'
    job = import_content(access, line, format="preference")
    assert (job.pairs, PreferencePair.objects.count()) == (1, 1)
    undo_import(access, job)
    assert not PreferencePair.objects.exists()


@pytest.mark.django_db
def test_only_a_curator_of_the_project_undoes(client: Client, access: Access) -> None:
    job = import_content(access, make_lines(2))
    address = reverse("curation:import-undo", args=[access.project.slug, job.pk])
    client.force_login(make_member(access.project, Role.REVIEWER).user)
    assert client.post(address).status_code == 403
    client.force_login(owner_access(make_project()).user)
    assert client.post(address).status_code == 404
    client.force_login(access.user)
    assert "2 trajectories were removed" in client.post(address, follow=True).content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_review_that_begins_at_the_same_moment_is_never_lost_silently(access: Access) -> None:
    job = import_content(access, make_lines(3))
    trajectory = Trajectory.objects.first()
    assert trajectory is not None
    start = threading.Barrier(2)
    said: list[str] = []

    def write_review() -> None:
        start.wait()
        try:
            review(trajectory, access)
            said.append("reviewed")
        except Exception as error:
            said.append(type(error).__name__)
        finally:
            connection.close()

    thread = threading.Thread(target=write_review)
    thread.start()
    start.wait()
    try:
        undo_import(access, job)
        undone = True
    except ValueError:
        undone = False
    thread.join()
    kept = Review.objects.count()
    assert (undone, said, kept) in [
        (True, ["DoesNotExist"], 0),
        (True, ["IntegrityError"], 0),
        (False, ["reviewed"], 1),
    ]
