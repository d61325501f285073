"""What a new installation begins with."""

from __future__ import annotations

import stat
import time
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from curation.models import Dataset, DifficultyFit, Judgement, PreferencePair, Project, Review, Task, Trajectory, User
from curation.services.accounts import first_password_file
from tests.factories import make_project, make_task
from training.recording import DemoPart, ExpertPolicy, record_demo, record_plan
from training.services.demo import SCRIPT

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Settings) -> Path:
    settings.HOME = tmp_path
    return tmp_path


def bootstrap() -> str:
    output = StringIO()
    call_command("bootstrap", stdout=output)
    return output.getvalue()


def test_a_new_installation_has_an_account_and_a_demo_with_every_page_filled(client: Client) -> None:
    begun = time.process_time()
    output = bootstrap()
    assert time.process_time() - begun < 10
    password = first_password_file().read_text().strip()
    assert len(password) >= 20
    assert password in output
    assert stat.S_IMODE(first_password_file().stat().st_mode) == 0o600
    sent = client.post(reverse("curation:login"), {"username": "admin", "password": password})
    assert sent.status_code == 302

    project = Project.objects.get()
    attempts = Trajectory.objects.filter(project=project)
    assert attempts.count() == 284
    assert set(attempts.values_list("source", flat=True)) == {"expert", "self-exploration"}
    assert attempts.filter(source="expert", model="expert bot").count() == 66
    assert set(Task.objects.values_list("band", flat=True)) == {1, 2, 3, 4, 5}
    assert 30 <= project.queues.get(name="Start here").items.count() <= 50
    assert not project.queues.get(name="Start here").items.exclude(trajectory__status="unreviewed").exists()
    assert attempts.filter(status="accepted").count() >= 80
    assert attempts.filter(status="rejected").count() >= 10
    assert PreferencePair.objects.filter(status="confirmed").count() >= 20
    assert PreferencePair.objects.filter(status="proposed").exists()
    for dataset in Dataset.objects.filter(project=project):
        version = dataset.versions.get()
        assert version.state == "done"
        assert set(version.rows.values_list("split", flat=True)) == {"train", "eval"}
    assert sorted(Dataset.objects.values_list("kind", flat=True)) == ["dpo", "sft"]


def test_the_demo_invents_no_human_judgement() -> None:
    bootstrap()
    script = User.objects.get(username=SCRIPT)
    assert not script.has_usable_password()
    assert set(Review.objects.values_list("reviewer", flat=True)) == {script.pk}
    assert not Review.objects.exclude(comment__startswith="Decided by a script").exists()
    assert set(Judgement.objects.values_list("reviewer", flat=True)) == {script.pk}
    assert not Judgement.objects.exclude(reason__startswith="Decided by a script").exists()


def test_a_second_start_changes_nothing() -> None:
    bootstrap()
    password = first_password_file().read_text()
    assert bootstrap() == ""
    assert first_password_file().read_text() == password
    assert Trajectory.objects.count() == 284


def test_an_installation_with_people_and_projects_is_left_alone() -> None:
    make_project()
    assert bootstrap() == ""
    assert not first_password_file().exists()
    assert not User.objects.filter(username="admin").exists()


def test_an_account_that_was_cut_off_is_made_with_the_password_that_was_kept() -> None:
    make_project()
    User.objects.all().delete()
    first_password_file().parent.mkdir()
    first_password_file().write_text("kept from the first try\n")
    bootstrap()
    assert User.objects.get(username="admin").check_password("kept from the first try")


def test_recording_again_gives_the_same_file(tmp_path: Path) -> None:
    plan = (DemoPart("GoToObj", range(100, 102), (ExpertPolicy(),)),)
    first, second = tmp_path / "first.gz", tmp_path / "second.gz"
    assert record_demo(first, plan=plan) == record_demo(second, plan=plan) == 2
    assert first.read_bytes() == second.read_bytes()
    assert [document.outcome.success for document in record_plan(plan)] == [True, True]


def test_pass_rates_that_an_older_version_did_not_keep_are_computed_after_the_next_start() -> None:
    make_project()
    old = make_project()
    make_task(old)
    Task.objects.update(attempts=3, successes=2, band=3)
    bootstrap()
    assert [fit.project for fit in DifficultyFit.objects.all()] == [old]
