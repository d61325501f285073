"""Links to one file that end."""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core import signing
from django.test import Client
from django.urls import reverse

from curation.models import AuditEntry, DatasetVersion, Project, Role
from curation.services.dataset_files import locate_file
from curation.services.datasets import create_version, remove_version
from tests.datasets.cast import freeze, make_pool
from tests.factories import make_member, make_project, owner_access
from tests.pairs.cast import sign_in
from tests.pairs.test_pair_api import call, post

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Any) -> None:
    settings.HOME = tmp_path


@pytest.fixture
def version() -> DatasetVersion:
    project = make_project()
    make_pool(project, tasks=4, status="accepted")
    return freeze(project, held_out=0)


def make_link(version: DatasetVersion, file: str = "train.jsonl", hours: int = 1) -> str:
    project = version.dataset.project
    where = f"/api/v1/projects/{project.slug}/versions/{version.pk}/links/"
    status, made = post(call(make_member(project)), where, {"file": file, "hours": hours})
    assert status == 201, made
    return urlsplit(str(made["url"])).path


def test_a_link_gives_its_file_to_whoever_has_it(version: DatasetVersion) -> None:
    answer = Client().get(make_link(version))
    assert answer.status_code == 200
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]  # it streams
    assert content == locate_file(version.train_sha256).read_bytes()
    part = Client().get(make_link(version), headers={"Range": "bytes=5-9"})
    assert (part.status_code, b"".join(part.streaming_content)) == (206, content[5:10])  # type: ignore[attr-defined]


def test_a_link_gives_no_other_file(version: DatasetVersion) -> None:
    link = make_link(version)
    for other in ("eval.jsonl", "train.parquet", "all.jsonl.tar", "README.md", "train.jsonl.gz"):
        assert Client().get(link.replace("train.jsonl", other)).status_code == 404


def test_a_link_ends(version: DatasetVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    link = make_link(version, hours=2)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * 3600 - 5)
    assert Client().get(link).status_code == 200
    monkeypatch.setattr(time, "time", lambda: now + 2 * 3600 + 5)
    answer = Client().get(link)
    assert answer.status_code == 410
    assert "has ended" in answer.json()["detail"]


def test_a_link_that_was_changed_or_signed_for_something_else_is_none(version: DatasetVersion) -> None:
    link = make_link(version)
    token = link.split("/")[-2]
    damaged = link.replace(token, token[:-3] + "AAA")
    forged = signing.dumps({"v": version.pk, "f": "train.jsonl", "e": 9e9, "u": "x"}, salt="another")
    for address in (damaged, link.replace(token, forged), link.replace(token, "x")):
        assert Client().get(address).status_code == 404


def test_making_a_link_and_using_it_are_recorded_but_its_later_parts_are_not(version: DatasetVersion) -> None:
    link = make_link(version)
    for part in (None, "bytes=0-3", "bytes=4-7", "bytes=-3"):
        Client().get(link, headers={"Range": part} if part else {})
    made = AuditEntry.objects.get(action="version.link")
    assert (made.details["file"], made.target) == ("train.jsonl", "data v1")
    uses = AuditEntry.objects.filter(action="version.link-use")
    assert uses.count() == 2
    assert uses[0].actor_name == f"a link made by {made.actor_name}"
    assert uses[0].address == "127.0.0.1"


def test_a_link_is_made_by_members_for_files_there_are_and_times_that_are_allowed(version: DatasetVersion) -> None:
    project = version.dataset.project
    where = f"/api/v1/projects/{project.slug}/versions/{version.pk}/links/"
    client = call(make_member(project, Role.REVIEWER))
    for body in (
        {},
        {"file": "../secret", "hours": 1},
        {"file": "train.jsonl", "hours": 0},
        {"file": "train.jsonl", "hours": 24 * 30 + 1},
        {"file": "train.jsonl", "hours": "x"},
    ):
        assert post(client, where, body)[0] == 400
    stranger = call(make_member(make_project()))
    assert post(stranger, where, {"file": "train.jsonl", "hours": 1})[0] == 404
    waiting = create_version(owner_access(project), version.dataset)
    unfinished = where.replace(f"/{version.pk}/", f"/{waiting.pk}/")
    assert post(client, unfinished, {"file": "train.jsonl", "hours": 1})[0] == 409
    assert not AuditEntry.objects.filter(action="version.link").exists()


def test_a_link_to_a_removed_version_leads_nowhere(version: DatasetVersion) -> None:
    link = make_link(version)
    remove_version(owner_access(version.dataset.project), version)
    assert Client().get(link).status_code == 404


def test_a_link_is_made_on_the_page_and_shown_once(version: DatasetVersion) -> None:
    project: Project = version.dataset.project
    client = sign_in(make_member(project))
    place = reverse("curation:version-link", args=[project.slug, version.pk])
    page = client.post(place, {"file": "train.jsonl.gz", "hours": "24"})
    found = re.search(r"http://testserver(/api/v1/links/[^<\s]+)", page.content.decode())
    assert found
    assert Client().get(found[1]).status_code == 200
    for wrong in ({"file": "train.jsonl.gz"}, {"file": "x", "hours": "1"}, {"file": "train.jsonl", "hours": "9999"}):
        assert client.post(place, wrong).status_code == 302
    assert client.get(place).status_code == 405
