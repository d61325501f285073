from __future__ import annotations

import hashlib
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from curation.models import DatasetVersion, Project, Role
from curation.services.dataset_files import locate_file
from curation.services.datasets import create_dataset, create_version, freeze_version
from curation.services.exports import RangeNotSatisfiable, read_range
from tests.datasets.cast import make_pool
from tests.factories import make_member, make_project, owner_access
from tests.pairs.test_pair_api import call, post

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Any) -> None:
    settings.HOME = tmp_path


@pytest.fixture
def version() -> DatasetVersion:
    project = make_project()
    make_pool(project, tasks=6, status="accepted")
    access = owner_access(project)
    made = create_version(access, create_dataset(access, name='d"é\n../x'.replace("\n", " "), recipe={"kind": "sft"}))
    freeze_version(made.pk)
    return DatasetVersion.objects.select_related("dataset__project").get(pk=made.pk)


def address(project: Project, rest: str) -> str:
    return f"/api/v1/projects/{project.slug}/{rest}"


def read_file(client: Client, version: DatasetVersion, **headers: str) -> Any:
    where = address(version.dataset.project, f"versions/{version.pk}/train.jsonl")
    return client.get(where, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_a_dataset_is_made_previewed_frozen_and_read() -> None:
    project = make_project()
    make_pool(project, tasks=6, status="accepted")
    client = call(make_member(project, Role.CURATOR))
    recipe = {"kind": "sft", "held_out": 0}
    status, stats = post(client, address(project, "datasets/preview/"), recipe)
    assert (status, stats["train"]["rows"]) == (200, 6)  # type: ignore[index]  # JSON
    status, dataset = post(client, address(project, "datasets/"), {"name": "data", "recipe": recipe})
    assert (status, dataset["kind"]) == (201, "sft")
    status, made = post(client, address(project, f"datasets/{dataset['id']}/versions/"), {})
    assert (status, made["state"]) == (202, "queued")
    assert client.get(address(project, f"versions/{made['id']}/train.jsonl")).status_code == 409
    assert post(client, address(project, f"datasets/{dataset['id']}/versions/"), {})[0] == 409
    freeze_version(int(str(made["id"])))
    frozen = client.get(address(project, f"versions/{made['id']}/")).json()
    assert (frozen["state"], frozen["stats"]["train"]["rows"], len(frozen["content_hash"])) == ("done", 6, 64)
    assert [row["id"] for row in client.get(address(project, "datasets/")).json()["results"]] == [dataset["id"]]
    listed = client.get(address(project, f"datasets/{dataset['id']}/versions/")).json()
    assert [row["number"] for row in listed] == [1]


def test_what_a_recipe_leaves_out_and_teaches_is_told_and_its_fields_are_described() -> None:
    project = make_project()
    make_pool(project, tasks=3, status="accepted")
    refused = make_pool(project, tasks=2, status="rejected")
    client = call(make_member(project, Role.CURATOR))
    recipe = {"kind": "sft", "held_out": 0, "target": "uniform", "reach": ["quotas"]}
    status, preview = post(client, address(project, "datasets/preview/"), recipe)
    assert status == 200
    assert preview["left_out"] == [{"stage": "human", "reason": "review status: rejected", "rows": 2}]
    assert "No row has a known difficulty" in str(preview["problems"])
    why = {"stage": "human", "reason": "review status: rejected"}
    status, page = post(client, address(project, "datasets/preview/left-out/"), {"recipe": recipe} | why)
    assert (status, page) == (200, {"of": "trajectory", "ids": [row.pk for row in refused], "next": None})
    status, sample = post(client, address(project, "datasets/preview/actions/"), {"kind": "sft", "held_out": 0})
    assert (status, sample["rows"]) == (200, 3)
    schema = client.get(address(project, "datasets/preview/")).json()
    assert set(schema) == {"sft", "prompt-completion", "dpo", "kto", "reward"}
    assert "target" in schema["sft"]["properties"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "d"},
        {"name": "d", "recipe": []},
        {"name": "d", "recipe": {"kind": "x"}},
        {"name": "d", "recipe": {"kind": "sft", "seed": -1}},
        {"name": "d", "recipe": {"kind": "sft", "where": {"rule": "none"}}},
        {"name": "", "recipe": {"kind": "sft"}},
    ],
)
def test_a_recipe_that_does_not_hold_is_refused(body: dict[str, Any]) -> None:
    project = make_project()
    status, problem = post(call(make_member(project, Role.CURATOR)), address(project, "datasets/"), body)
    assert status == 400
    assert problem["errors"]


def test_any_scope_reads_and_only_curators_write(version: DatasetVersion) -> None:
    project = version.dataset.project
    for role in (Role.REVIEWER, Role.ENGINEER):
        client = call(make_member(project, role))
        assert read_file(client, version).status_code == 200
        previews = ("datasets/preview/", "datasets/preview/left-out/", "datasets/preview/actions/")
        for rest in ("datasets/", *previews, f"datasets/{version.dataset_id}/versions/"):
            assert post(client, address(project, rest), {})[0] == 403
    assert read_file(Client(), version).status_code == 401


def test_nothing_of_another_project_is_found(version: DatasetVersion) -> None:
    project = make_project()
    client = call(make_member(project, Role.CURATOR))
    for rest in (
        f"datasets/{version.dataset_id}/",
        f"datasets/{version.dataset_id}/versions/",
        f"versions/{version.pk}/",
        f"versions/{version.pk}/train.jsonl",
    ):
        assert client.get(address(project, rest)).status_code == 404
    assert post(client, address(project, f"datasets/{version.dataset_id}/versions/"), {})[0] == 404
    assert read_file(client, version).status_code == 404


def test_the_file_is_served_whole_with_its_hash_as_entity_tag(version: DatasetVersion) -> None:
    response = read_file(call(make_member(version.dataset.project)), version, accept="application/x-ndjson")
    body = b"".join(response.streaming_content)
    assert hashlib.sha256(body).hexdigest() == version.train_sha256
    assert response["ETag"] == f'"{version.train_sha256}"'
    assert response["Content-Length"] == str(len(body))
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"] == 'attachment; filename="de-x-v1-train.jsonl"'
    assert response["Content-Type"] == "application/jsonl"


def test_a_session_downloads_too(version: DatasetVersion) -> None:
    client = Client()
    client.force_login(make_member(version.dataset.project).user)
    assert read_file(client, version).status_code == 200


def test_a_download_is_resumed_where_it_broke_off(version: DatasetVersion) -> None:
    client = call(make_member(version.dataset.project))
    whole = b"".join(read_file(client, version).streaming_content)
    rest = read_file(client, version, range="bytes=100-", if_range=f'"{version.train_sha256}"')
    assert rest.status_code == 206
    assert whole[:100] + b"".join(rest.streaming_content) == whole
    assert rest["Content-Range"] == f"bytes 100-{len(whole) - 1}/{len(whole)}"
    changed = read_file(client, version, range="bytes=100-", if_range='"another"')
    assert (changed.status_code, b"".join(changed.streaming_content)) == (200, whole)
    behind = read_file(client, version, range=f"bytes={len(whole)}-")
    assert (behind.status_code, behind["Content-Range"]) == (416, f"bytes */{len(whole)}")


def test_what_the_caller_has_already_is_not_sent_again(version: DatasetVersion) -> None:
    client = call(make_member(version.dataset.project))
    assert read_file(client, version, if_none_match=f'"x", W/"{version.train_sha256}"').status_code == 304
    assert read_file(client, version, if_none_match='"x"').status_code == 200


def test_only_the_two_sides_exist(version: DatasetVersion) -> None:
    client, project = call(make_member(version.dataset.project)), version.dataset.project
    assert client.get(address(project, f"versions/{version.pk}/test.jsonl")).status_code == 404
    assert client.get(address(project, f"versions/{version.pk}/..%2Ftrain.jsonl")).status_code == 404


def test_a_file_that_is_gone_is_said_to_be_gone(version: DatasetVersion) -> None:
    locate_file(version.train_sha256).unlink()
    assert read_file(call(make_member(version.dataset.project)), version).status_code == 404


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-", (2, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=4-99", (4, 10)),
        ("", None),
        ("bytes=-", None),
        ("bytes=5-4", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
    ],
)
def test_ranges_are_read_as_the_standard_has_them(header: str, part: tuple[int, int] | None) -> None:
    assert read_range(header, 10) == part


@given(header=st.from_regex(r"bytes=[0-9]{0,3}-[0-9]{0,3}", fullmatch=True), size=st.integers(0, 500))
def test_a_range_is_never_outside_the_file(header: str, size: int) -> None:
    try:
        part = read_range(header, size)
    except RangeNotSatisfiable:
        return
    assert part is None or 0 <= part[0] < part[1] <= size


def test_the_command_writes_a_side_to_a_new_file(version: DatasetVersion, tmp_path: Path) -> None:
    out, told = tmp_path / "rows.jsonl", StringIO()
    arguments = [version.dataset.project.slug, version.dataset.name, str(out)]
    call_command("export_dataset", *arguments, "--version=1", "--split=train", "--json", stdout=told)
    assert out.read_bytes() == locate_file(version.train_sha256).read_bytes()
    assert json.loads(told.getvalue())["sha256"] == version.train_sha256
    with pytest.raises(CommandError, match="exists"):
        call_command("export_dataset", *arguments)
    with pytest.raises(CommandError, match="no version 7"):
        call_command("export_dataset", *arguments, "--version=7")


@pytest.mark.parametrize(
    ("options", "file"),
    [
        (["--split=all", "--format=parquet"], "all.parquet.tar"),
        (["--split=eval", "--format=jsonl.zst"], "eval.jsonl.zst"),
        (["--split=card"], "README.md"),
    ],
)
def test_the_command_writes_what_rest_sends(
    version: DatasetVersion, tmp_path: Path, options: list[str], file: str
) -> None:
    out, told = tmp_path / "out", StringIO()
    arguments = [version.dataset.project.slug, version.dataset.name, str(out), *options]
    call_command("export_dataset", *arguments, "--json", stdout=told)
    sent = call(make_member(version.dataset.project)).get(
        address(version.dataset.project, f"versions/{version.pk}/{file}")
    )
    assert out.read_bytes() == b"".join(sent.streaming_content)  # type: ignore[attr-defined]  # it streams
    assert json.loads(told.getvalue())["sha256"] == sent["ETag"].strip('"')


def test_the_files_of_a_version_are_listed_and_each_address_works(version: DatasetVersion) -> None:
    client = call(make_member(version.dataset.project))
    listed = client.get(address(version.dataset.project, f"versions/{version.pk}/files/")).json()
    assert len(listed) == 14
    for file in listed:
        answer = client.get(file["url"])
        assert answer.status_code == 200, file
        assert answer["Content-Length"] == str(len(b"".join(answer.streaming_content)))  # type: ignore[attr-defined]


def test_an_archive_is_resumed_where_it_broke_off(version: DatasetVersion) -> None:
    client, place = call(make_member(version.dataset.project)), f"versions/{version.pk}/all.jsonl.tar"
    whole = client.get(address(version.dataset.project, place))
    content = b"".join(whole.streaming_content)  # type: ignore[attr-defined]  # it streams
    rest = client.get(
        address(version.dataset.project, place), headers={"Range": "bytes=700-", "If-Range": whole["ETag"]}
    )
    assert (rest.status_code, content[:700] + b"".join(rest.streaming_content)) == (206, content)  # type: ignore[attr-defined]


def test_rows_and_what_was_left_out_are_read_page_by_page(version: DatasetVersion) -> None:
    client, project = call(make_member(version.dataset.project)), version.dataset.project
    rows = client.get(address(project, f"versions/{version.pk}/rows/")).json()["results"]
    assert [row["position"] for row in rows] == list(range(len(rows)))
    lines = locate_file(version.train_sha256).read_bytes().splitlines(keepends=True)
    one = client.get(address(project, f"versions/{version.pk}/rows/train/1/"))
    assert one.content == lines[1]
    for wrong in ("rows/train/999/", "rows/test/0/"):
        assert client.get(address(project, f"versions/{version.pk}/{wrong}")).status_code == 404
    assert client.get(address(project, f"versions/{version.pk}/rows/"), {"split": "x"}).status_code == 400
    assert client.get(address(project, f"versions/{version.pk}/left-out/")).json() == {"results": [], "next": None}
    detail = client.get(address(project, f"versions/{version.pk}/")).json()
    assert detail["statistics"]["preview"]["train"]["rows"] == len(rows)
    assert detail["software"].startswith("Whetstone")
