"""What changed between versions, removing them, and freezing again what failed."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.urls import reverse

from curation.models import DatasetVersion, Project, Revision, Role, Task, Trajectory
from curation.selectors.version_comparison import DIFFERENCES, compare_versions, list_differences
from curation.services.dataset_files import find_rows, locate_file
from curation.services.datasets import (
    VersionInUse,
    create_version,
    freeze_version,
    list_uses,
    remove_version,
    retry_version,
)
from curation.services.jobs import claim_job, request_stop
from tests.at_once import at_once
from tests.datasets.cast import freeze, make_pool, make_task_with_text
from tests.factories import make_document, make_member, make_project, make_trajectory, owner_access
from tests.pairs.cast import sign_in
from tests.pairs.test_pair_api import call, post
from tests.training.cast import SHORT
from training.models import Run
from training.services.runs import launch_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Any) -> None:
    settings.HOME = tmp_path
    settings.RUNS_ROOT = tmp_path / "runs"


@pytest.fixture
def project() -> Project:
    project = make_project()
    for number in range(6):
        task = make_task_with_text(project, f"number {number}", band=1 + number % 5)
        make_trajectory(project, "look", f"take {number}", task=task, status="accepted")
    return project


def correct(trajectory: Trajectory) -> None:
    Revision.objects.create(trajectory=trajectory, number=1, document=make_document("put", key=trajectory.task.key))
    Trajectory.objects.filter(pk=trajectory.pk).update(head_number=1)


def start_run(version: DatasetVersion, name: str = "first run") -> Run:
    access = owner_access(version.dataset.project)
    return launch_run(access, name=name, method="sft", version=version, base=None, recipe=SHORT)


def test_added_removed_and_changed_rows_are_told_apart_with_the_rows_behind_them(project: Project) -> None:
    older = freeze(project, held_out=0)
    gone, corrected, *_ = project.trajectories.order_by("pk")
    Trajectory.objects.filter(pk=gone.pk).update(status="rejected")
    correct(corrected)
    (new,) = make_pool(project, tasks=1, status="accepted")
    newer = freeze(project)
    comparison = compare_versions(newer, older)
    assert (comparison.older, comparison.newer) == (older, newer)
    assert comparison.counts == {"added": 1, "removed": 1, "changed": 1, "moved": 0}
    assert comparison.same == 4
    behind = {
        kind: [row.revision.trajectory for row in list_differences(older, newer, kind) if row.revision]
        for kind in DIFFERENCES
    }
    assert behind == {"added": [new], "removed": [gone], "changed": [corrected], "moved": []}
    assert comparison.recipe == []


def test_rows_that_went_to_the_other_side_are_told(project: Project) -> None:
    older = freeze(project, held_out=0)
    project.datasets.update(recipe=older.recipe | {"held_out": 0.5})
    newer = freeze(project)
    held_out = newer.rows.filter(split="eval").count()
    comparison = compare_versions(older, newer)
    assert held_out
    assert comparison.counts == {"added": 0, "removed": 0, "changed": 0, "moved": held_out}
    assert [(change.field, change.before, change.after) for change in comparison.recipe] == [("held_out", "0.0", "0.5")]


def test_bands_are_compared_in_rows_and_weighted_tokens(project: Project) -> None:
    older = freeze(project, held_out=0)
    Task.objects.filter(band=5).update(band=None)
    newer = freeze(project)
    bands = {line.band: line for line in compare_versions(older, newer).bands}
    assert (bands[5].rows_before, bands[5].rows_after) == (1, 0)
    assert (bands[None].rows_before, bands[None].rows_after) == (0, 1)
    assert bands[5].tokens_before == bands[None].tokens_after > 0
    assert compare_versions(older, newer).counts["changed"] == 0, "a difficulty is no content"


def test_a_comparison_is_a_page_and_an_answer_with_lists_behind_each_count(project: Project) -> None:
    older = freeze(project, held_out=0)
    make_pool(project, tasks=3, status="accepted")
    newer = freeze(project)
    place = reverse("curation:version-compare", args=[project.slug, newer.pk])
    client = sign_in(make_member(project))
    page = client.get(place, {"with": str(older.pk), "kind": "added"})
    assert page.status_code == 200
    assert len(page.context["page"].rows) == 3
    assert client.get(place, {"with": str(older.pk), "kind": "x"}).status_code == 200
    assert client.get(place, {"with": "x"}).status_code == client.get(place).status_code == 404
    api = call(make_member(project))
    rest = f"/api/v1/projects/{project.slug}/versions/{older.pk}/compare/{newer.pk}/"
    assert api.get(rest).json()["counts"] == {"added": 3, "removed": 0, "changed": 0, "moved": 0}
    assert len(api.get(f"{rest}added/").json()["results"]) == 3
    assert api.get(f"{rest}new/").status_code == 404


def test_versions_of_two_datasets_or_unfinished_ones_are_not_compared(project: Project) -> None:
    one, other = freeze(project, "one"), freeze(project, "other", seed=3)
    waiting = create_version(owner_access(project), one.dataset)
    api = call(make_member(project))
    root = f"/api/v1/projects/{project.slug}/versions/{one.pk}/compare"
    assert api.get(f"{root}/{other.pk}/").status_code == 404
    assert api.get(f"{root}/{waiting.pk}/").status_code == 409
    page = sign_in(make_member(project)).get(
        reverse("curation:version-compare", args=[project.slug, one.pk]), {"with": waiting.pk}
    )
    assert page.status_code == 302


def test_a_version_in_use_by_a_run_is_not_removed_and_it_is_said_which_run(project: Project) -> None:
    version = freeze(project)
    start_run(version)
    assert list_uses(version) == ["run first run"]
    access = owner_access(project)
    with pytest.raises(VersionInUse, match="in use by run first run"):
        remove_version(access, version)
    assert locate_file(version.train_sha256).exists()
    status, problem = (
        0,
        call(make_member(project, Role.CURATOR)).delete(f"/api/v1/projects/{project.slug}/versions/{version.pk}/"),
    )
    status = problem.status_code
    assert (status, "first run" in problem.json()["detail"]) == (409, True)
    client = sign_in(make_member(project, Role.CURATOR))
    told = client.post(reverse("curation:version-remove", args=[project.slug, version.pk]), follow=True)
    assert "in use by run first run" in told.content.decode()
    assert "Remove this version" not in told.content.decode()


def test_a_version_that_nothing_uses_goes_with_its_files_and_all_that_was_made_of_them(project: Project) -> None:
    version = freeze(project, held_out=0.4)
    made = find_rows(version.train_sha256, "parquet").path
    api = call(make_member(project, Role.CURATOR))
    assert api.delete(f"/api/v1/projects/{project.slug}/versions/{version.pk}/").status_code == 204
    assert not DatasetVersion.objects.exists()
    for path in (locate_file(version.train_sha256), locate_file(version.eval_sha256), made.parent):
        assert not path.exists()


def test_files_that_another_version_has_too_stay(project: Project) -> None:
    one, other = freeze(project), freeze(project)
    assert one.train_sha256 == other.train_sha256
    remove_version(owner_access(project), one)
    assert locate_file(other.train_sha256).exists()
    remove_version(owner_access(project), other)
    assert not locate_file(other.train_sha256).exists()


def test_only_a_curator_removes_or_retries_and_not_while_it_is_frozen(project: Project) -> None:
    version = freeze(project)
    for change in (remove_version, retry_version):
        with pytest.raises(PermissionDenied):
            change(make_member(project, Role.ENGINEER), version)
    waiting = create_version(owner_access(project), version.dataset)
    with pytest.raises(VersionInUse, match="being frozen"):
        remove_version(owner_access(project), waiting)


@pytest.mark.django_db(transaction=True)
def test_a_run_and_a_removal_at_the_same_moment_never_both_happen(project: Project) -> None:
    access = owner_access(project)
    for number in range(4):
        version = freeze(project, f"data {number}", seed=number, held_out=0)

        def launch(version: DatasetVersion = version, number: int = number) -> Any:
            try:
                return start_run(version, f"run {number}")
            except Exception as error:  # it depends on how far it had come when the version went
                return ValueError(str(error))

        outcomes = at_once(partial(remove_version, access, version), launch)
        run = Run.objects.filter(name=f"run {number}").first()
        kept = DatasetVersion.objects.filter(pk=version.pk).exists()
        assert kept == (run is not None), outcomes
        used = DatasetVersion.objects.filter(train_sha256=version.train_sha256).exists()
        assert locate_file(version.train_sha256).exists() == used


def test_a_freeze_that_failed_is_frozen_again_once_there_is_something_to_take() -> None:
    project = make_project()
    make_pool(project, tasks=2)
    version = freeze(project, held_out=0)
    assert version.state == "failed"
    Trajectory.objects.update(status="accepted")
    status, answer = post(
        call(make_member(project, Role.CURATOR)), f"/api/v1/projects/{project.slug}/versions/{version.pk}/retry/", {}
    )
    assert (status, answer["state"]) == (202, "queued")
    freeze_version(version.pk)
    version.refresh_from_db()
    assert (version.state, version.rows.count(), version.error) == ("done", 2, "")
    with pytest.raises(ValueError, match="neither failed nor was stopped"):
        retry_version(owner_access(project), version)


def test_a_stopped_freeze_leaves_nothing_and_can_be_frozen_again(project: Project) -> None:
    access = owner_access(project)
    version = create_version(access, freeze(project).dataset)
    claim_job(DatasetVersion, version.pk)
    request_stop(version)
    DatasetVersion.objects.filter(pk=version.pk).update(state="queued")
    freeze_version(version.pk)
    version.refresh_from_db()
    assert (version.state, version.rows.count(), version.left_out_rows.count()) == ("stopped", 0, 0)
    retry_version(access, version)
    freeze_version(version.pk)
    version.refresh_from_db()
    assert version.state == "done"


def test_no_version_is_retried_beside_one_that_is_being_frozen() -> None:
    project = make_project()
    make_pool(project, tasks=1)
    failed = freeze(project)
    create_version(owner_access(project), failed.dataset)
    with pytest.raises(ValueError, match="being frozen already"):
        retry_version(owner_access(project), failed)


def test_a_disk_that_refuses_fails_the_freeze_with_words(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("curation.services.dataset_drafts.keep_file", refuse)
    version = freeze(project)
    assert (version.state, version.rows.count()) == ("failed", 0)
    assert "No space left on device" in version.error
    assert "disk" in version.advice
