"""Files on their way in: pieces that survive a reload, a preview before anything is stored, folders and drops."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from celery import current_app
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from curation.models import Import, Role, SavedMapping, Trajectory, Upload
from curation.permissions import Access
from curation.services import uploads
from curation.services.import_runs import run_import
from curation.services.uploads import WrongOffset, begin_upload, clear_uploads, locate_upload, receive_piece
from tests.factories import make_member, make_project, owner_access
from tests.formats.reading_aids import as_lines, chat_record, make_zip
from tests.imports.files import make_lines
from training.jobs import sweep_jobs

pytestmark = pytest.mark.django_db

ODD = as_lines({"id": "t1", "turns": [{"speaker": "customer", "text": "Hi"}, {"speaker": "bot", "text": "Hello"}]})


@pytest.fixture
def access() -> Access:
    return owner_access(make_project())


@pytest.fixture
def signed_in(client: Client, access: Access) -> Client:
    client.force_login(access.user)
    return client


def address(access: Access, name: str, *args: int) -> str:
    return reverse(f"curation:{name}", args=[access.project.slug, *args])


def begin(client: Client, access: Access, content: bytes, key: str = "k", name: str = "a.jsonl") -> Any:
    data = {"name": name, "size": len(content), "key": key}
    return client.post(address(access, "upload-create"), data).json()


def send(client: Client, state: Any, content: bytes, offset: int, end: int) -> Any:
    return client.put(
        state["pieces"], content[offset:end], content_type="application/octet-stream", HTTP_UPLOAD_OFFSET=str(offset)
    )


def upload_whole(client: Client, access: Access, content: bytes) -> Upload:
    state = begin(client, access, content)
    assert send(client, state, content, 0, len(content)).json()["complete"] is True
    return Upload.objects.get(pk=state["id"])


def test_a_file_arrives_in_pieces_and_is_imported_whole(signed_in: Client, access: Access) -> None:
    content = make_lines(40)
    state = begin(signed_in, access, content)
    assert send(signed_in, state, content, 0, 100).json()["received"] == 100
    again = begin(signed_in, access, content)
    assert (again["id"], again["received"]) == (state["id"], 100)
    last = send(signed_in, again, content, 100, len(content)).json()
    assert last["complete"] is True
    assert Import.objects.count() == 0
    imported = signed_in.post(last["next"], {"source": "expert", "import": "1"})
    job = Import.objects.get()
    assert imported.headers["Location"] == address(access, "import-detail", job.pk)
    run_import(job.pk)
    assert Trajectory.objects.filter(origin=job, source="expert").count() == 40
    assert not Upload.objects.exists()


def test_a_piece_that_does_not_go_on_where_the_last_ended_is_told_where_to(signed_in: Client, access: Access) -> None:
    content = make_lines(3)
    state = begin(signed_in, access, content)
    send(signed_in, state, content, 0, 50)
    for offset in (0, 60):
        response = send(signed_in, state, content, offset, offset + 5)
        assert (response.status_code, response.json()["received"]) == (409, 50)
    assert signed_in.get(state["pieces"]).json()["received"] == 50


def test_two_senders_of_one_piece_do_not_count_it_twice(access: Access) -> None:
    upload = begin_upload(access, file_name="a", file_size=10, file_key="k")
    stale = Upload.objects.get(pk=upload.pk)
    receive_piece(upload, offset=0, piece=b"12345")
    with pytest.raises(WrongOffset):
        receive_piece(stale, offset=0, piece=b"12345")
    assert Upload.objects.get().received == 5


@pytest.mark.parametrize(
    ("offset", "piece", "reason"), [(0, b"x" * 11, "more bytes than"), (0, b"x" * 17_000_000, "most")]
)
def test_more_than_was_announced_is_refused(access: Access, offset: int, piece: bytes, reason: str) -> None:
    upload = begin_upload(access, file_name="a", file_size=10, file_key="k")
    with pytest.raises(ValueError, match=reason):
        receive_piece(upload, offset=offset, piece=piece)


@pytest.mark.parametrize("size", ["", "-1", "0", "99999999999", "x"])
def test_a_size_that_no_import_takes_is_refused_at_once(signed_in: Client, access: Access, size: str) -> None:
    response = signed_in.post(address(access, "upload-create"), {"name": "a", "size": size, "key": "k"})
    assert response.status_code == 400
    assert response.json()["error"]
    assert not Upload.objects.exists()


def test_nobody_else_sees_an_upload_and_only_curators_make_them(client: Client, access: Access) -> None:
    upload = begin_upload(access, file_name="a", file_size=10, file_key="k")
    colleague = make_member(access.project, Role.CURATOR)
    client.force_login(colleague.user)
    for name in ("upload-preview", "upload-piece"):
        assert client.get(address(access, name, upload.pk)).status_code == 404
    assert client.post(address(access, "upload-drop", upload.pk)).status_code == 404
    reviewer = make_member(access.project, Role.REVIEWER)
    client.force_login(reviewer.user)
    assert client.post(address(access, "upload-create"), {"name": "a", "size": 3}).status_code == 403
    assert client.get(address(access, "upload-preview", upload.pk)).status_code == 403
    assert Upload.objects.count() == 1


def test_a_preview_shows_what_would_become_of_it_and_stores_nothing(signed_in: Client, access: Access) -> None:
    content = as_lines(chat_record("say </script> jane@x.org", reward=1), chat_record("b"), {"messages": 3})
    upload = upload_whole(signed_in, access, content)
    page = signed_in.get(address(access, "upload-preview", upload.pk)).content.decode()
    assert "OpenAI chat messages" in page
    assert "it has no list of `messages`" in page
    assert "say &lt;/script&gt; jane@x.org" in page
    redacted = signed_in.post(address(access, "upload-preview", upload.pk), {"source": "human", "redact": ["emails"]})
    assert "say &lt;/script&gt; [email 1]" in redacted.content.decode()
    assert not Trajectory.objects.exists()
    assert not Import.objects.exists()


def test_an_upload_imported_in_another_tab_is_said_to_be_gone(signed_in: Client, access: Access) -> None:
    upload = upload_whole(signed_in, access, make_lines(2))
    place = address(access, "upload-preview", upload.pk)
    for _ in range(2):
        answer = signed_in.post(place, {"source": "human", "import": "1"}, follow=True)
    assert "was imported or dropped in the meantime" in answer.content.decode()
    assert Import.objects.count() == 1
    assert signed_in.get(place).status_code == 404


def test_a_preview_of_an_archive_looks_into_each_of_its_files(signed_in: Client, access: Access) -> None:
    files = {
        "runs/chat.jsonl": as_lines(*[chat_record(f"chat {number}") for number in range(40)]),
        "runs/own.jsonl": make_lines(40),
        "schema.json": b'{"$schema": 1}',
    }
    upload = upload_whole(signed_in, access, make_zip(files))
    page = signed_in.get(address(access, "upload-preview", upload.pk)).content.decode()
    for format in ("Whetstone documents", "OpenAI chat messages"):
        assert f">{format}</span>" in page
    for shown in ("runs/chat.jsonl", "runs/own.jsonl", "chat 0", "Records looked at</span><b>20<"):
        assert shown in page
    assert "it is in no known format: JSON lines, the first object with `$schema`" in page
    assert "Looked for" not in page


def test_what_was_chosen_to_be_taken_out_is_never_stored(signed_in: Client, access: Access) -> None:
    upload = upload_whole(signed_in, access, as_lines(chat_record("mail jane@x.org from /home/jane")))
    signed_in.post(
        address(access, "upload-preview", upload.pk),
        {"source": "human", "redact": ["emails", "user_names"], "import": "1"},
    )
    job = Import.objects.get()
    run_import(job.pk)
    job.refresh_from_db()
    assert job.redactions == {"emails": 1, "user_names": 1}
    stored = json.dumps(Trajectory.objects.get().revisions.get().document)
    assert "jane" not in stored
    assert "jane" not in Trajectory.objects.get().task.instruction


def test_a_mapping_is_suggested_imported_and_saved(signed_in: Client, access: Access) -> None:
    upload = upload_whole(signed_in, access, ODD)
    place = address(access, "upload-preview", upload.pk)
    unknown = signed_in.get(place).content.decode()
    assert "is in no known format" in unknown
    by_hand = signed_in.post(place, {"source": "human", "format": "mapping"}).content.decode()
    assert 'value="turns"' in by_hand
    fields = {"messages": "turns", "role": "speaker", "content": "text", "task_id": "id", "save_as": "Calls"}
    wrong = signed_in.post(place, {"source": "human", "format": "mapping", **fields, "messages": "a[", "import": "1"})
    assert wrong.status_code == 400
    assert "is no path" in wrong.content.decode()
    signed_in.post(place, {"source": "human", "format": "mapping", **fields, "import": "1"})
    run_import(Import.objects.get().pk)
    assert Trajectory.objects.get().task.key == "t1"
    saved = SavedMapping.objects.get(project=access.project)
    assert (saved.name, saved.mapping["messages"]) == ("Calls", "turns")
    second = upload_whole(signed_in, access, ODD.replace(b"Hello", b"Hullo"))
    again = {"source": "human", "format": "mapping", "messages": "", "saved": saved.pk, "import": "1"}
    assert signed_in.post(address(access, "upload-preview", second.pk), again).status_code == 302
    run_import(Import.objects.latest("pk").pk)
    assert Trajectory.objects.count() == 2


def test_a_saved_mapping_of_another_project_cannot_be_used(signed_in: Client, access: Access) -> None:
    foreign = SavedMapping.objects.create(project=make_project(), name="x", mapping={"messages": "turns"})
    upload = upload_whole(signed_in, access, ODD)
    values = {"source": "human", "format": "mapping", "messages": "", "saved": foreign.pk, "import": "1"}
    assert signed_in.post(address(access, "upload-preview", upload.pk), values).status_code == 400
    assert not Import.objects.exists()


def test_an_upload_is_dropped_by_its_owner_and_by_time(signed_in: Client, access: Access) -> None:
    upload = upload_whole(signed_in, access, make_lines(1))
    path = locate_upload(upload)
    assert path.exists()
    signed_in.post(address(access, "upload-drop", upload.pk))
    assert not path.exists()
    old = begin_upload(access, file_name="a", file_size=10, file_key="k")
    Upload.objects.update(changed_at="2020-01-01T00:00:00Z")
    assert clear_uploads() == 1
    assert not locate_upload(old).exists()


def test_the_sweep_fetches_on_what_a_killed_worker_left_and_drops_what_is_forgotten(access: Access) -> None:
    sent: list[tuple[str, list[int]]] = []
    left = uploads.take_url(access, "https://example.org/a.jsonl")
    working = uploads.take_url(access, "https://example.org/b.jsonl")
    failed = uploads.take_url(access, "https://example.org/c.jsonl")
    forgotten = begin_upload(access, file_name="a", file_size=10, file_key="k")
    Upload.objects.exclude(pk=working.pk).update(changed_at=timezone.now() - timedelta(minutes=3))
    Upload.objects.filter(pk=failed.pk).update(error="There is no such host.")
    Upload.objects.filter(pk=forgotten.pk).update(changed_at=timezone.now() - timedelta(days=8))
    with patch.object(current_app, "send_task", lambda name, arguments: sent.append((name, arguments))):
        sweep_jobs()
    assert sent == [("curation.jobs.fetch_upload", [left.pk])]
    assert set(Upload.objects.values_list("pk", flat=True)) == {left.pk, working.pk, failed.pk}


def test_what_is_gone_from_the_disk_is_said_to_be_gone(signed_in: Client, access: Access) -> None:
    upload = upload_whole(signed_in, access, make_lines(1))
    locate_upload(upload).unlink()
    page = signed_in.get(address(access, "upload-preview", upload.pk), follow=True).content.decode()
    assert "upload it again" in page


def test_an_allowed_folder_is_imported_in_place(
    signed_in: Client, access: Access, settings: Any, tmp_path: Path
) -> None:
    inside = tmp_path / "runs"
    inside.mkdir()
    (inside / "a.jsonl").write_bytes(make_lines(3))
    (inside / "b.jsonl").write_bytes(make_lines(2, say="open"))
    refused = signed_in.post(address(access, "import-list"), {"folder": str(inside)})
    assert refused.status_code == 400
    settings.IMPORT_FOLDERS = [str(tmp_path)]
    for outside in ("/etc", str(tmp_path / ".." / ".."), str(tmp_path / "none")):
        assert signed_in.post(address(access, "import-list"), {"folder": outside}).status_code == 400
    sent = signed_in.post(address(access, "import-list"), {"folder": str(inside)})
    signed_in.post(sent.headers["Location"], {"source": "human", "import": "1"})
    job = Import.objects.get()
    run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.imported, job.format) == ("done", 5, "archive")
    (inside / "c.jsonl").write_bytes(make_lines(1, say="new"))
    members = {document["source"]["member"] for document in _documents(job)}
    assert members == {"a.jsonl", "b.jsonl"}


def test_a_folder_that_is_no_longer_allowed_is_not_read(access: Access, settings: Any, tmp_path: Path) -> None:
    settings.IMPORT_FOLDERS = [str(tmp_path)]
    upload = uploads.take_folder(access, str(tmp_path))
    settings.IMPORT_FOLDERS = []
    with pytest.raises(ValueError, match="no folder that imports are allowed from"), uploads.open_upload(upload):
        pass


def _documents(job: Import) -> list[dict[str, Any]]:
    return [trajectory.revisions.get().document for trajectory in job.trajectories.all()]


def test_one_source_is_chosen_not_two_and_not_none(signed_in: Client, access: Access) -> None:
    place = address(access, "import-list")
    assert signed_in.post(place, {}).status_code == 400
    file = io.BytesIO(make_lines(1))
    file.name = "a.jsonl"
    assert signed_in.post(place, {"file": file, "url": "https://example.org/a"}).status_code == 400
    assert not Upload.objects.exists()
