"""Launching over pages and REST: who may, what is refused, and that twice is once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from curation.models import AuditEntry, JobState, Project, Role
from curation.permissions import Access
from tests.factories import make_member, make_project, owner_access
from tests.training.cast import SHORT, make_checkpoint, make_run, make_version
from training.models import Run
from training.recipes import PRESETS
from training.services.checkpoints import locate_model, register_checkpoint
from training.services.evaluations import evaluate_checkpoints
from training.services.runs import launch_run
from webapp.paths import BASE_DIR

pytestmark = pytest.mark.django_db


def sign_in(access: Access) -> Client:
    client = Client()
    client.force_login(access.user)
    return client


def call_api(access: Access) -> APIClient:
    client = APIClient()
    client.force_login(access.user)
    return client


def api(project: Project, path: str) -> str:
    return f"/api/v1/projects/{project.slug}/{path}"


def refuse(access: Access, words: str, **changes: Any) -> None:
    asked = {"name": "a", "method": "sft", "base": None, "recipe": SHORT} | changes
    with pytest.raises(ValueError, match=words):
        launch_run(access, **asked)
    assert not Run.objects.exists()


def test_a_launch_that_cannot_work_is_refused_with_the_reason() -> None:
    project = make_project()
    access = owner_access(project)
    version = make_version(project)
    refuse(access, "has no rows to train on", version=make_version(project, train=0))
    refuse(access, "is not frozen yet", version=make_version(project, state=JobState.RUNNING))
    refuse(access, "holds rows for SFT, not for DPO", version=version, method="dpo")
    refuse(access, "Export other kinds", version=make_version(project, "kto"), method="kto")
    refuse(access, "not one of this project", version=make_version(make_project()))
    refuse(access, "learning_rate: ", version=version, recipe={"learning_rate": -1})
    refuse(access, "shell: ", version=version, recipe={"shell": "rm -rf /"})
    refuse(access, "1 to 100 characters", version=version, name=" ")
    refuse(access, "on one line", version=version, name="a\nb")
    refuse(access, "only from below", version=version, base=make_checkpoint(project, path="/etc"))


def test_only_what_the_engine_can_read_is_offered_to_train_and_to_measure_on() -> None:
    project = make_project()
    access = owner_access(project)
    sft, kto = make_version(project), make_version(project, "kto")
    client = sign_in(access)
    launch = reverse("training:run-create", args=[project.slug])
    assert list(client.get(launch).context["versions"]) == [sft]
    assert client.get(launch, {"version": kto.pk}).status_code == 404
    assert list(client.get(reverse("training:compare", args=[project.slug])).context["all_versions"]) == [sft]
    with pytest.raises(ValueError, match="to be exported"):
        evaluate_checkpoints(access, [], kto)
    page = client.get(reverse("curation:version-detail", args=[project.slug, kto.pk]))
    assert b"Train on it" not in page.content


def test_one_key_is_one_run_and_another_launch_with_it_is_refused() -> None:
    project = make_project()
    client = call_api(owner_access(project))
    body = {"version": make_version(project).pk, "preset": "quick-look", "recipe": {"max_steps": 2}}
    first = client.post(api(project, "runs/"), body, headers={"Idempotency-Key": "k1"})
    again = client.post(api(project, "runs/"), body, headers={"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert (first.json()["name"], first.json()["recipe"]["max_steps"]) == ("sft-1", 2)
    other = client.post(api(project, "runs/"), body | {"recipe": {"seed": 7}}, headers={"Idempotency-Key": "k1"})
    assert other.status_code == 409
    assert Run.objects.count() == 1
    assert AuditEntry.objects.filter(action="run.launch").count() == 1


def test_a_form_that_is_sent_twice_launches_once() -> None:
    project = make_project()
    client = sign_in(owner_access(project))
    version = make_version(project)
    page = client.get(reverse("training:run-create", args=[project.slug]))
    form = page.context["form"]
    values = {"version": version.pk, "base": "", "preset": "quick-look", "name": form.initial["name"]}
    values |= {"key": form.initial["key"], "max_steps": "3", "adapter": "lora"}
    answers = [client.post(reverse("training:run-create", args=[project.slug]), values) for _ in range(2)]
    run = Run.objects.get()
    detail = reverse("training:run-detail", args=[project.slug, run.pk])
    assert [answer["Location"] for answer in answers] == [detail] * 2
    preset = PRESETS[0].sft.model_dump()
    assert run.recipe == preset | {"max_steps": 3, "adapter": "lora"}


def test_a_mistyped_form_comes_back_with_what_was_typed() -> None:
    project = make_project()
    client = sign_in(owner_access(project))
    values = {"version": make_version(project).pk, "preset": "quick-look", "name": "mine", "key": "k"}
    page = client.post(reverse("training:run-create", args=[project.slug]), values | {"learning_rate": "fast"})
    assert page.status_code == 200
    assert "Enter a number" in page.content.decode()
    assert 'value="mine"' in page.content.decode()
    assert not Run.objects.exists()


def test_ids_of_another_project_are_not_found_in_any_field() -> None:
    project, other = make_project(), make_project()
    access = owner_access(project)
    client, rest = sign_in(access), call_api(access)
    mine, theirs = make_version(project), make_version(other)
    foreign = make_checkpoint(other)
    run = make_run(other)
    create = reverse("training:run-create", args=[project.slug])
    form = {"preset": "quick-look", "name": "a", "key": "k"}
    assert client.post(create, form | {"version": theirs.pk}).status_code == 404
    assert client.post(create, form | {"version": mine.pk, "base": foreign.pk}).status_code == 404
    assert client.get(create, {"clone": run.pk}).status_code == 404
    for name in ("run-detail", "run-progress", "run-curves", "run-log"):
        assert client.get(reverse(f"training:{name}", args=[project.slug, run.pk])).status_code == 404
    for name in ("run-stop", "run-resume", "evaluation-stop"):
        assert client.post(reverse(f"training:{name}", args=[project.slug, run.pk])).status_code == 404
    compare = reverse("training:compare", args=[project.slug])
    assert client.get(compare, {"checkpoint": foreign.pk}).status_code == 404
    assert client.get(compare, {"version": theirs.pk}).status_code == 404
    evaluate = reverse("training:evaluation-create", args=[project.slug])
    assert client.post(evaluate, {"checkpoint": foreign.pk, "version": mine.pk}).status_code == 404
    assert rest.post(api(project, "runs/"), {"version": theirs.pk}).status_code == 404
    assert rest.post(api(project, "runs/"), {"version": mine.pk, "base": foreign.pk}).status_code == 404
    assert rest.get(api(project, f"runs/{run.pk}/")).status_code == 404
    assert rest.get(api(project, f"runs/{run.pk}/log/")).status_code == 404
    assert rest.post(api(project, f"runs/{run.pk}/stop/")).status_code == 404
    body = {"checkpoints": [foreign.pk], "version": mine.pk}
    assert rest.post(api(project, "evaluations/"), body).status_code == 404
    ours = make_checkpoint(project)
    assert rest.get(api(project, f"compare/?checkpoint={ours.pk}&checkpoint={foreign.pk}")).status_code == 404
    assert Run.objects.filter(project=project).count() == 0


def test_a_reviewer_sees_runs_but_cannot_launch_stop_or_evaluate() -> None:
    project = make_project()
    run = make_run(project)
    reviewer = make_member(project, Role.REVIEWER)
    client, rest = sign_in(reviewer), call_api(reviewer)
    assert client.get(reverse("training:run-list", args=[project.slug])).status_code == 200
    assert client.get(reverse("training:run-detail", args=[project.slug, run.pk])).status_code == 200
    assert client.get(reverse("training:run-create", args=[project.slug])).status_code == 403
    assert client.post(reverse("training:run-create", args=[project.slug]), {}).status_code == 403
    for name in ("run-stop", "run-resume"):
        assert client.post(reverse(f"training:{name}", args=[project.slug, run.pk])).status_code == 403
    assert client.post(reverse("training:evaluation-create", args=[project.slug])).status_code == 403
    assert client.post(reverse("training:checkpoint-create", args=[project.slug])).status_code == 403
    assert rest.get(api(project, "runs/")).status_code == 200
    assert rest.post(api(project, "runs/"), {"version": run.dataset_version_id}).status_code == 403
    assert rest.post(api(project, f"runs/{run.pk}/stop/")).status_code == 403
    assert rest.post(api(project, "evaluations/"), {"checkpoints": [1], "version": 1}).status_code == 403
    assert Run.objects.get().state == JobState.QUEUED


def test_a_queued_run_stops_at_once_and_a_second_click_on_resume_changes_nothing() -> None:
    project = make_project()
    rest = call_api(owner_access(project))
    run = make_run(project)
    assert rest.post(api(project, f"runs/{run.pk}/stop/")).json()["state"] == "stopped"
    assert rest.post(api(project, f"runs/{run.pk}/stop/")).status_code == 409
    assert rest.post(api(project, f"runs/{run.pk}/resume/")).json()["state"] == "queued"
    assert rest.post(api(project, f"runs/{run.pk}/resume/")).status_code == 409


def test_models_are_taken_only_from_below_the_model_roots(tmp_path: Path, settings: Any) -> None:
    roots, outside = tmp_path / "models", tmp_path / "elsewhere"
    settings.MODEL_ROOTS = [roots]
    for folder in (roots / "good", outside):
        folder.mkdir(parents=True)
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            (folder / name).write_text("{}")
    (roots / "link").symlink_to(outside)
    (roots / "pickled").mkdir()
    (roots / "pickled" / "config.json").write_text("{}")
    (roots / "pickled" / "pytorch_model.bin").write_text("")
    access = owner_access(make_project())
    for path in (str(outside), "../elsewhere", str(roots / "link"), str(roots), "/", "good\0"):
        with pytest.raises(ValueError, match=r"only from below|Name the directory"):
            register_checkpoint(access, name="bad", path=path)
    with pytest.raises(ValueError, match="no safetensors"):
        register_checkpoint(access, name="bad", path="pickled")
    good = register_checkpoint(access, name="good", path="good")
    assert locate_model(good).path == str(roots / "good")
    with pytest.raises(ValueError, match="already"):
        register_checkpoint(access, name="good", path="good")
    (roots / "good").rename(roots / "moved")
    (roots / "good").symlink_to(outside)  # what was checked once is checked again when it is used
    with pytest.raises(ValueError, match="only from below"):
        locate_model(good)


def test_the_list_of_runs_costs_the_same_for_many(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    project = make_project()
    version = make_version(project)
    access = owner_access(project)
    for number in range(12):
        launch_run(access, name=f"r{number}", method="sft", version=version, base=None, recipe=SHORT)
    client = sign_in(access)
    with django_assert_max_num_queries(8):
        page = client.get(reverse("training:run-list", args=[project.slug]))
    assert page.content.decode().count("queued") >= 12


def test_the_web_process_never_imports_torch() -> None:
    code = (
        "import sys, django; django.setup()\n"
        "import webapp.wsgi, webapp.urls, webapp.celery, training.jobs\n"
        "heavy = {'torch', 'transformers', 'trl', 'peft', 'datasets', 'tokenizers'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], cwd=BASE_DIR, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
