"""The commands that import a file and make a token."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from curation.models import ApiToken, Revision, Role, Trajectory
from curation.permissions import Access
from curation.services.tokens import find_token
from tests.factories import make_member, make_project, owner_access
from tests.imports.files import make_lines

pytestmark = pytest.mark.django_db


@pytest.fixture
def access() -> Access:
    return owner_access(make_project())


def run(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def test_a_real_file_is_imported_in_the_foreground(access: Access, shared_data: Path) -> None:
    path = str(shared_data / "tau-bench" / "gpt-4o-airline.json")
    report = json.loads(run("import_trajectories", access.project.slug, path, "--json"))
    assert (report["state"], report["imported"], report["unchanged"]) == ("done", 200, 0)
    again = run("import_trajectories", access.project.slug, path)
    assert "0 imported, 200 unchanged, 0 rejected" in again
    assert Trajectory.objects.filter(project=access.project).count() == 200


def test_rejections_are_printed_without_what_a_terminal_would_obey(access: Access, tmp_path: Path) -> None:
    path = tmp_path / "attempts.jsonl"
    path.write_bytes(make_lines(1) + b'{"\x1b[2J": 1}\n')
    output = run("import_trajectories", access.project.slug, str(path), "--source", "expert", "--model", "m-1")
    assert "record 1: " in output
    assert "\x1b" not in output


def test_what_is_wrong_is_said_and_nothing_is_imported(access: Access, tmp_path: Path) -> None:
    path = tmp_path / "attempts.jsonl"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CommandError, match="in no known format"):
        run("import_trajectories", access.project.slug, str(path))
    with pytest.raises(CommandError, match="No such file"):
        run("import_trajectories", access.project.slug, str(tmp_path / "missing"))
    with pytest.raises(CommandError, match="There is no project 'nowhere'"):
        run("import_trajectories", "nowhere", str(path))


def test_a_file_cut_off_ends_with_an_error_status(access: Access, tmp_path: Path) -> None:
    path = tmp_path / "attempts.json"
    lines = make_lines(3).splitlines()
    path.write_bytes(b"[" + b",".join(lines)[:-40])
    with pytest.raises(SystemExit):
        run("import_trajectories", access.project.slug, str(path))
    assert Trajectory.objects.filter(project=access.project).count() == 2


def test_a_token_is_printed_once_and_scoped(access: Access) -> None:
    name = access.user.username
    secret = run("create_token", name, access.project.slug, "--name=ci", "--scopes", "reviewer", "curator").strip()
    token = find_token(secret)
    assert token is not None
    assert (token.project_id, sorted(token.scopes), token.expires_at) == (
        access.project.pk,
        ["curator", "reviewer"],
        None,
    )
    assert not ApiToken.objects.filter(digest=secret).exists()
    run("create_token", name, access.project.slug, "--name=short", "--scopes", "reviewer", "--days", "7")
    assert ApiToken.objects.exclude(expires_at=None).count() == 1


def test_a_token_has_no_scope_that_its_owner_lacks(access: Access) -> None:
    reviewer = make_member(access.project, Role.REVIEWER)
    with pytest.raises(CommandError, match="curator"):
        run("create_token", reviewer.user.username, access.project.slug, "--name=x", "--scopes", "curator")
    with pytest.raises(CommandError, match="no member"):
        run("create_token", "nobody", access.project.slug, "--name=x", "--scopes", "curator")
    assert not ApiToken.objects.exists()


def test_a_folder_is_imported_where_that_is_allowed(access: Access, tmp_path: Path, settings: Any) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(make_lines(2))
    (folder / "b.jsonl").write_bytes(make_lines(3, say="open"))
    with pytest.raises(CommandError, match="WHETSTONE_IMPORT_FOLDERS"):
        run("import_trajectories", access.project.slug, str(folder))
    settings.IMPORT_FOLDERS = [str(tmp_path)]
    assert "5 imported" in run("import_trajectories", access.project.slug, str(folder))


def test_what_is_redacted_is_counted(access: Access, tmp_path: Path) -> None:
    path = tmp_path / "attempts.jsonl"
    path.write_bytes(make_lines(2, say="write to ann@example.org"))
    arguments = ("import_trajectories", access.project.slug, str(path), "--redact", "emails", "--json")
    report = json.loads(run(*arguments))
    assert report["redactions"]["emails"] >= 2
    assert "ann@example.org" not in json.dumps(Revision.objects.values_list("document", flat=True)[0])
    with pytest.raises(CommandError, match="invalid choice"):
        run("import_trajectories", access.project.slug, str(path), "--redact", "names")
