"""The pages of imports: who may do what, and what hostile files cannot do to them."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from curation.models import Import, ImportRejection, JobState, Role, Trajectory
from curation.permissions import Access
from curation.services.import_runs import run_import
from tests.factories import make_member, make_project, owner_access
from tests.imports.files import import_content, make_lines, queue_import

pytestmark = pytest.mark.django_db

HOSTILE = '</script><script>alert(1)</script>" hx-get="/x" onerror="alert(1)'


@pytest.fixture
def access() -> Access:
    return owner_access(make_project())


def sign_in(client: Client, access: Access) -> Client:
    client.force_login(access.user)
    return client


def address(access: Access, name: str, *args: int) -> str:
    return reverse(f"curation:{name}", args=[access.project.slug, *args])


def upload(client: Client, access: Access, content: bytes, *, name: str = "attempts.jsonl", **fields: str) -> Any:
    """Send the file, and import it from its preview; the response of whichever refuses."""
    sent = client.post(address(access, "import-list"), {"file": SimpleUploadedFile(name, content)})
    if sent.status_code != 302:
        return sent
    options = {"format": "", "model": "", "source": "expert", "import": "1"} | fields
    return client.post(sent.headers["Location"], options)


def test_a_curator_uploads_a_file_and_a_worker_is_told(
    client: Client, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()
    access = make_member(project, Role.CURATOR)
    told: list[int] = []
    monkeypatch.setattr("curation.jobs.run_import.apply_async", lambda args, kwargs: told.extend(args))
    with django_capture_on_commit_callbacks(execute=True):
        response = upload(sign_in(client, access), access, make_lines(3), model="m-1")
    job = Import.objects.get()
    assert response.headers["Location"] == address(access, "import-detail", job.pk)
    assert told == [job.pk]
    run_import(job.pk)
    assert Trajectory.objects.filter(origin=job, source="expert", model="m-1").count() == 3


def test_a_reviewer_may_look_but_not_import_stop_or_continue(client: Client, access: Access) -> None:
    job = import_content(access, make_lines(2))
    reviewer = make_member(access.project, Role.REVIEWER)
    sign_in(client, reviewer)
    assert upload(client, reviewer, make_lines(1)).status_code == 403
    assert client.post(address(access, "import-stop", job.pk)).status_code == 403
    assert client.post(address(access, "import-resume", job.pk)).status_code == 403
    page = client.get(address(access, "import-list"))
    assert page.status_code == 200
    assert b'type="file"' not in page.content
    assert client.get(address(access, "import-detail", job.pk)).status_code == 200
    assert Import.objects.count() == 1


def test_nothing_of_another_project_can_be_reached(client: Client, access: Access) -> None:
    elsewhere = owner_access(make_project())
    foreign = import_content(elsewhere, make_lines(1))
    sign_in(client, access)
    assert client.get(address(elsewhere, "import-list")).status_code == 404
    assert client.get(address(elsewhere, "import-detail", foreign.pk)).status_code == 404
    assert client.get(address(access, "import-detail", foreign.pk)).status_code == 404
    assert client.post(address(access, "import-stop", foreign.pk)).status_code == 404
    assert client.post(address(access, "import-resume", foreign.pk)).status_code == 404


def test_a_refused_file_is_explained_beside_its_field(client: Client, access: Access) -> None:
    response = upload(sign_in(client, access), access, b'{"hello": 1}\n')
    assert response.status_code == 400
    assert "in no known format" in response.content.decode()
    assert not Import.objects.exists()


def test_hostile_names_reasons_and_records_are_shown_as_text(client: Client, access: Access) -> None:
    job = import_content(access, b'{"steps": "' + HOSTILE.replace('"', "'").encode() + b"\x00\n" + make_lines(1))
    assert job.rejected == 1
    Import.objects.filter(pk=job.pk).update(file_name=HOSTILE, error=HOSTILE, warnings=[{"text": HOSTILE, "count": 1}])
    ImportRejection.objects.update(reason=HOSTILE, raw=HOSTILE)
    sign_in(client, access)
    for page in (address(access, "import-list"), address(access, "import-detail", job.pk)):
        content = client.get(page).content.decode()
        assert "alert(1)" in content
        assert "<script>alert" not in content
        assert '" hx-get="/x"' not in content


def test_progress_is_polled_until_the_import_has_ended(client: Client, access: Access) -> None:
    job = queue_import(access, make_lines(3))
    sign_in(client, access)
    for page in (address(access, "import-list"), address(access, "import-detail", job.pk)):
        assert f'hx-get="{page}"' in client.get(page).content.decode()
        part = client.get(page, headers={"HX-Request": "true"}).content.decode()
        assert "every 1s" in part
        assert "<html" not in part
    run_import(job.pk)
    for page in (address(access, "import-list"), address(access, "import-detail", job.pk)):
        assert "every 1s" not in client.get(page, headers={"HX-Request": "true"}).content.decode()


def test_a_queued_import_is_stopped_at_once_and_continued(client: Client, access: Access) -> None:
    job = queue_import(access, make_lines(3))
    sign_in(client, access)
    client.post(address(access, "import-stop", job.pk))
    job.refresh_from_db()
    assert job.state == JobState.STOPPED
    client.post(address(access, "import-resume", job.pk))
    job.refresh_from_db()
    assert job.state == JobState.QUEUED


def test_rejections_are_paged_and_a_damaged_cursor_is_explained(client: Client, access: Access) -> None:
    job = import_content(access, make_lines(1) + b"{torn\n" * 60)
    sign_in(client, access)
    page = address(access, "import-detail", job.pk)
    first = client.get(page)
    assert len(first.context["page"].rows) == 50
    second = client.get(page, {"after": first.context["page"].next})
    assert [row.record_index for row in second.context["page"].rows] == list(range(51, 61))
    assert client.get(page, {"after": "nonsense"}).status_code == 302
    assert client.get(address(access, "import-list"), {"after": "nonsense"}).status_code == 302


def test_pages_cost_the_same_queries_however_much_there_is_to_show(
    client: Client, access: Access, django_assert_max_num_queries: Any
) -> None:
    jobs = [import_content(access, b"{torn\n" * 10 + make_lines(5, say=f"try {number}")) for number in range(8)]
    sign_in(client, access)
    with django_assert_max_num_queries(8):
        client.get(address(access, "import-list"))
    with django_assert_max_num_queries(8):
        client.get(address(access, "import-detail", jobs[0].pk))


def test_the_report_leads_to_what_was_imported(client: Client, access: Access) -> None:
    import_content(access, make_lines(2))
    job = import_content(access, make_lines(3, say="take"))
    sign_in(client, access)
    link = f"{address(access, 'trajectory-list')}?origin={job.pk}"
    assert f'href="{link}"' in client.get(address(access, "import-detail", job.pk)).content.decode()
    page = client.get(link)
    assert {row.origin_id for row in page.context["page"].rows} == {job.pk}
