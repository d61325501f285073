"""The key of a judge: where it may go, and that it shows nowhere."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
from django.core import serializers
from django.test import Client
from django.urls import reverse

from curation.models import AuditEntry, Judge
from curation.permissions import Access
from curation.services.judge_keys import BadKey, find_key
from curation.services.judges import archive_judge
from tests.factories import make_project, make_trajectory, owner_access
from tests.judges.cast import make_draft, make_judge, put, start, work
from tests.judges.endpoint import KEY, Answer, FakeEndpoint, completion
from webapp.paths import home

pytestmark = pytest.mark.django_db
VARIABLE = "WHETSTONE_JUDGE_KEY_TEST"


@pytest.fixture
def access() -> Access:
    return owner_access(make_project())


def test_a_key_that_is_typed_in_is_stored_sealed_and_sent(access: Access, endpoint: FakeEndpoint) -> None:
    judge = make_judge(access, endpoint, key=KEY)
    assert KEY.encode() not in bytes(judge.sealed_key or b"")
    make_trajectory(access.project)
    put(access, Judge.objects.get())
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_what_the_keys_are_sealed_with_is_a_secret_of_the_installation() -> None:
    path = home() / "secrets" / "sealing_key"
    assert path.stat().st_mode & 0o077 == 0
    assert path.read_text() != (home() / "secrets" / "secret_key").read_text()


def test_a_stored_key_is_not_sent_to_another_address_even_if_the_row_is_changed(
    access: Access, endpoint: FakeEndpoint
) -> None:
    judge = make_judge(access, key=KEY)
    Judge.objects.update(base_url=endpoint.base_url)
    judge.refresh_from_db()
    with pytest.raises(BadKey, match="given for another address"):
        find_key(judge)
    make_trajectory(access.project)
    run = put(access, judge)
    assert (run.state, endpoint.requests) == ("failed", [])


def test_a_key_that_was_sealed_elsewhere_is_no_key(access: Access, settings: Any) -> None:
    judge = make_judge(access, key=KEY)
    settings.SEALING_KEY = "another"
    with pytest.raises(BadKey, match="sealed by another installation"):
        find_key(judge)


def test_a_key_of_the_server_goes_to_hosts_alone_that_the_settings_name(
    access: Access, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    judge = make_judge(access, endpoint, key_variable=VARIABLE)
    assert find_key(judge) == KEY
    with pytest.raises(ValueError, match="go to hosts alone that its setting WHETSTONE_JUDGE_HOSTS names"):
        make_judge(access, name="Theirs", base_url="https://theirs.example/v1", key_variable=VARIABLE)
    settings.JUDGE_HOSTS = ["elsewhere.example"]
    with pytest.raises(BadKey, match="WHETSTONE_JUDGE_HOSTS"):
        find_key(judge)


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "DATABASE_URL", "OPENAI_API_KEY", "WHETSTONE_JUDGE_KEY_", "WHETSTONE_JUDGE_KEY_a", "PATH"]
)
def test_no_other_variable_is_read(access: Access, endpoint: FakeEndpoint, name: str) -> None:
    with pytest.raises(ValueError, match="Only variables named WHETSTONE_JUDGE_KEY_"):
        make_judge(access, endpoint, key_variable=name)
    judge = make_judge(access, endpoint)
    Judge.objects.update(key_variable=name)
    judge.refresh_from_db()
    with pytest.raises(BadKey):
        find_key(judge)


def test_a_variable_that_is_not_set_ends_the_run_with_its_name(access: Access, endpoint: FakeEndpoint) -> None:
    make_trajectory(access.project)
    run = put(access, make_judge(access, endpoint, key_variable=VARIABLE))
    assert (run.state, run.error) == ("failed", f"The server has no environment variable {VARIABLE}.")


@pytest.mark.parametrize("key", ["with a space", "line\r\nX-Header: 1", "ü", "x" * 501])
def test_what_cannot_stand_in_a_header_is_no_key(access: Access, endpoint: FakeEndpoint, key: str) -> None:
    with pytest.raises(ValueError, match="A key has 1 to 500 characters") as caught:
        make_judge(access, endpoint, key=key)
    assert key not in str(caught.value)


def test_a_judge_that_is_put_away_keeps_no_key_and_judges_no_more(access: Access, endpoint: FakeEndpoint) -> None:
    judge = make_judge(access, endpoint, key=KEY)
    make_trajectory(access.project)
    run = start(access, judge)
    with pytest.raises(ValueError, match="Stop the run"):
        archive_judge(access, judge)
    work(run)
    archive_judge(access, judge)
    judge.refresh_from_db()
    assert (judge.sealed_key, judge.archived_at is not None, judge.opinions.count()) == (None, True, 1)
    with pytest.raises(ValueError, match="was put away"):
        start(access, judge)


def test_a_judge_is_never_edited(access: Access) -> None:
    client = Client()
    client.force_login(access.user)
    judge = make_judge(access, key=KEY)
    address = reverse("api-judge-detail", args=[access.project.slug, judge.pk])
    for method in (client.put, client.patch):
        answer = method(address, {"base_url": "https://theirs.example/v1"}, content_type="application/json")
        assert answer.status_code == 405


def read_everything(access: Access, client: Client) -> str:
    """All that the product shows or keeps of judges, as text."""
    judge, run = Judge.objects.get(), Judge.objects.get().runs.get()
    trajectory = access.project.trajectories.earliest("pk")
    slug = access.project.slug
    pages = [
        reverse("curation:judge-list", args=[slug]),
        reverse("curation:judge-create", args=[slug]),
        reverse("curation:judge-detail", args=[slug, judge.pk]),
        reverse("curation:judge-agreement", args=[slug, judge.pk]),
        reverse("curation:judge-run-create", args=[slug, judge.pk]),
        reverse("curation:judge-run-detail", args=[slug, run.pk]),
        reverse("curation:judge-run-detail", args=[slug, run.pk]) + "?failures=1",
        reverse("curation:trajectory-detail", args=[slug, trajectory.pk]),
        reverse("curation:project-settings", args=[slug]),
        reverse("api-judge-list", args=[slug]),
        reverse("api-judge-detail", args=[slug, judge.pk]),
        reverse("api-judge-run-detail", args=[slug, run.pk]),
        reverse("api-judge-run-opinions", args=[slug, run.pk]),
        reverse("api-judge-run-failures", args=[slug, run.pk]),
        reverse("api-opinion-list", args=[slug, trajectory.pk]),
    ]
    texts = []
    for page in pages:
        answer = client.get(page)
        assert answer.status_code == 200, page
        texts.append(answer.content.decode())
    kept = [
        *AuditEntry.objects.all(),
        *Judge.objects.all(),
        *judge.runs.all(),
        *run.failures.all(),
        *run.opinions.all(),
    ]
    return "\n".join([*texts, serializers.serialize("json", kept)])


def test_the_key_is_in_no_page_log_audit_entry_or_error(
    access: Access, endpoint: FakeEndpoint, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    client = Client(raise_request_exception=False)
    client.force_login(access.user)
    for action in ("a", "b", "c"):
        make_trajectory(access.project, action)
    slug = access.project.slug
    form = {
        "name": "J", "base_url": endpoint.base_url, "model": "m", "key": KEY, "unit": "trajectory",
        "instructions": "i", "concurrency": 1, "price_in": 0, "price_out": 0,
        "trajectory": access.project.trajectories.earliest("pk").pk,
    }  # fmt: skip
    # The endpoint repeats the key wherever it can: in what it says, why it fails, and in refusing.
    says = f'{{"reason": "Bearer {KEY}", "verdict": "accept", "score": 1}}'
    echo = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
    answers = [
        Answer(401, echo), Answer(body=completion(says)), Answer(body=completion("", refusal=f"No {KEY}")),
        Answer(body=completion(f"{KEY}")), Answer(body=completion(f"{KEY} again")), Answer(401, echo),
    ]  # fmt: skip
    endpoint.answer_with(*answers)
    texts = [
        client.post(reverse("curation:judge-try-draft", args=[slug]), form).content.decode(),
        client.post(reverse("curation:judge-create", args=[slug]), {**form, "concurrency": 0}).content.decode(),
        client.post(reverse("curation:judge-create", args=[slug]), form).content.decode(),
    ]
    texts.append(client.post(reverse("curation:judge-create", args=[slug]), form).content.decode())
    assert "There is a judge named" in texts[-1]
    judge = Judge.objects.get()
    run = put(access, judge)
    assert (run.failed, run.opinions.get().reason) == (2, "Bearer (the key)")
    tried = client.post(
        reverse("api-judge-try", args=[slug, judge.pk]),
        {"trajectory": form["trajectory"]},
        content_type="application/json",
    )
    assert "(the key)" in tried.json()["problem"]
    texts += [tried.content.decode(), read_everything(access, client), caplog.text, written.getvalue()]
    for text in texts:
        assert KEY not in text


def test_a_key_over_rest_is_taken_and_never_given(access: Access, endpoint: FakeEndpoint) -> None:
    client = Client()
    client.force_login(access.user)
    address = reverse("api-judge-list", args=[access.project.slug])
    order = {"name": "J", "base_url": endpoint.base_url, "model": "m", "instructions": "i", "key": KEY}
    made = client.post(address, order, content_type="application/json")
    assert made.status_code == 201
    assert (made.json()["has_key"], "key" in made.json()) == (True, False)
    assert find_key(Judge.objects.get()) == KEY
    refused = client.post(address, order, content_type="application/json")
    assert (refused.status_code, KEY in refused.content.decode()) == (400, False)


def test_a_draft_does_not_show_its_key(endpoint: FakeEndpoint) -> None:
    assert KEY not in repr(make_draft(endpoint, key=KEY))
