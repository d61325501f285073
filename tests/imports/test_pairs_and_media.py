"""Records that are preferences become pairs; images become blobs that only their project can see."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse

from curation.models import Blob, JobState, PreferencePair, Task, Trajectory
from curation.permissions import Access
from curation.services.blobs import locate_blob
from tests.factories import make_project, owner_access
from tests.formats.reading_aids import as_lines
from tests.imports.files import import_content

pytestmark = pytest.mark.django_db

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
PAIR = {"prompt": "Open.", "chosen": "Yes.", "rejected": "No."}


@pytest.fixture
def access() -> Access:
    return owner_access(make_project())


def with_image(media_type: str, data: bytes) -> bytes:
    url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    return as_lines({"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "A dot."}]})


def test_a_preference_becomes_a_confirmed_pair_of_two_attempts_at_one_task(access: Access) -> None:
    job = import_content(access, as_lines(PAIR, PAIR | {"rejected": "Never."}, PAIR))
    assert (job.state, job.imported, job.unchanged, job.pairs) == (JobState.DONE, 3, 3, 2)
    assert Task.objects.count() == 1
    for pair in PreferencePair.objects.all():
        assert (pair.origin, pair.status, pair.shared_steps) == ("imported", "confirmed", 1)
        assert pair.chosen.document["steps"][1]["message"][0]["text"] == "Yes."
    again = import_content(access, as_lines(PAIR))
    assert (again.imported, again.unchanged, PreferencePair.objects.count()) == (0, 2, 2)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (PAIR | {"rejected": "Yes."}, "its two sides are the same"),
        (PAIR | {"chosen": [{"role": "user", "content": "x"}]}, "no assistant turn"),
        (PAIR | {"rejected": 3}, "`rejected` is neither a text nor a list of messages"),
    ],
)
def test_sides_that_make_no_pair_are_rejected_with_the_reason(
    access: Access, record: dict[str, object], reason: str
) -> None:
    job = import_content(access, as_lines(record), format="preference")
    assert (job.rejected, Trajectory.objects.count()) == (1, 0)
    assert reason in job.rejections.get().reason


def test_real_preference_files_import_as_pairs(access: Access, shared_data: Path) -> None:
    job = import_content(access, (shared_data / "llama-factory" / "dpo_en_demo.json").read_bytes())
    assert (job.rejected, job.pairs) == (0, 294)  # five of the 299 records stand in the file twice
    small = import_content(access, (shared_data / "llama-factory" / "v1_dpo_demo.jsonl").read_bytes())
    assert (small.rejected, small.pairs) == (0, 10)


def test_an_image_is_stored_once_under_its_hash_and_shown(client: Client, access: Access) -> None:
    import_content(access, with_image("image/png", PNG) + with_image("image/png", PNG).replace(b"A dot", b"Dots"))
    blob = Blob.objects.get()
    assert (blob.sha256, blob.media_type, blob.size) == (hashlib.sha256(PNG).hexdigest(), "image/png", len(PNG))
    trajectory = Trajectory.objects.first()
    assert trajectory is not None
    source = trajectory.revisions.get().document["steps"][0]["message"][1]["source"]
    assert source == {"media_type": "image/png", "blob": blob.sha256}
    client.force_login(access.user)
    place = reverse("curation:blob-detail", args=[access.project.slug, blob.sha256])
    assert (
        f'src="{place}"'
        in client.get(reverse("curation:trajectory-detail", args=[access.project.slug, trajectory.pk])).content.decode()
    )
    response = client.get(place)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/png")
    assert b"".join(response.streaming_content) == PNG  # type: ignore[attr-defined]  # a FileResponse
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("media_type", ["image/svg+xml", "text/html", "application/pdf", "image/png;x=<script>"])
def test_what_could_run_in_a_browser_is_only_a_download(client: Client, access: Access, media_type: str) -> None:
    import_content(access, with_image(media_type, b"<svg onload=alert(1)>"))
    client.force_login(access.user)
    for blob in Blob.objects.all():
        response = client.get(reverse("curation:blob-detail", args=[access.project.slug, blob.sha256]))
        assert response.headers["Content-Type"] in ("application/octet-stream", "image/png")
        assert "sandbox" in response.headers["Content-Security-Policy"]
        if media_type == "image/svg+xml":
            assert response.headers["Content-Disposition"].startswith("attachment")


def test_a_blob_of_another_project_is_not_found(client: Client, access: Access) -> None:
    import_content(access, with_image("image/png", PNG))
    elsewhere = owner_access(make_project())
    client.force_login(elsewhere.user)
    sha256 = Blob.objects.get().sha256
    assert client.get(reverse("curation:blob-detail", args=[elsewhere.project.slug, sha256])).status_code == 404
    assert client.get(reverse("curation:blob-detail", args=[access.project.slug, sha256])).status_code == 404


def test_what_a_killed_worker_left_half_written_is_written_again(access: Access) -> None:
    sha256 = hashlib.sha256(PNG).hexdigest()
    path = Path(default_storage.path(locate_blob(sha256)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PNG[:5])
    import_content(access, with_image("image/png", PNG))
    assert path.read_bytes() == PNG


def test_rejected_records_download_as_they_stood_in_the_file(client: Client, access: Access) -> None:
    long = json.dumps({"messages": 3, "note": "x" * 3000})
    job = import_content(access, f'{long}\n{{"messages": [], "n": 2}}\n'.encode(), format="chat")
    client.force_login(access.user)
    response = client.get(reverse("curation:import-rejected", args=[access.project.slug, job.pk]))
    body = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]  # it streams
    assert [json.loads(line) for line in body.splitlines()] == [json.loads(long), {"messages": [], "n": 2}]
    assert response.headers["Content-Disposition"].startswith("attachment")
