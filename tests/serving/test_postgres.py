"""The embedded PostgreSQL: where it listens, what it refuses, what it clears away."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection

from webapp.paths import make_socket_folder, socket_folder
from webapp.postgres import PORT, VERSION, check_version, data_folder, remove_stale_locks


@pytest.fixture
def some_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A WHETSTONE_HOME in which nothing runs, too deep for a socket."""
    home = tmp_path / ("deep" * 30)
    home.mkdir()
    monkeypatch.setenv("WHETSTONE_HOME", str(home))
    return home


@pytest.mark.django_db
def test_the_product_is_no_superuser_and_the_order_of_text_is_the_same_everywhere() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == ("whetstone", False)
        cursor.execute("SELECT array_agg(letter ORDER BY letter) FROM unnest(ARRAY['b', 'ä', 'B']) AS letter")
        assert cursor.fetchone() == (["B", "b", "ä"],)
        cursor.execute("SHOW listen_addresses")
        assert cursor.fetchone() == ("",)


def test_sockets_lie_in_the_home_unless_its_path_is_deep_or_not_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHETSTONE_HOME", "/plain/home")
    assert socket_folder() == Path("/plain/home/sockets")
    for home in ("/deep" * 50, "/home of/someone", "/a?b", "/a,b", "/100%", "/ä"):
        monkeypatch.setenv("WHETSTONE_HOME", home)
        assert socket_folder().parent == Path("/tmp")
        assert len(str(socket_folder())) < 75


def test_a_socket_folder_that_is_open_to_others_is_refused(some_home: Path) -> None:
    folder = make_socket_folder()
    try:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert make_socket_folder() == folder
        folder.chmod(0o777)
        with pytest.raises(PermissionError, match="that only you can open"):
            make_socket_folder()
    finally:
        folder.rmdir()


def test_a_link_in_the_socket_folders_place_is_refused(some_home: Path) -> None:
    folder = socket_folder()
    folder.symlink_to(some_home)
    try:
        with pytest.raises(PermissionError, match="that only you can open"):
            make_socket_folder()
    finally:
        folder.unlink()


def test_data_of_another_major_version_are_refused(some_home: Path) -> None:
    check_version()
    data_folder().mkdir()
    version = data_folder() / "PG_VERSION"
    version.write_text(f"{VERSION}\n")
    check_version()
    version.write_text("16\n")
    with pytest.raises(SystemExit, match="was written by PostgreSQL 16"):
        check_version()


def test_locks_of_a_killed_server_are_removed(some_home: Path) -> None:
    data_folder().mkdir()
    lock = data_folder() / "postmaster.pid"
    lock.write_text("1\n")  # a number that lives, and is no server
    make_socket_folder()
    try:
        remove_stale_locks()
        assert not lock.exists()
    finally:
        socket_folder().rmdir()


@pytest.mark.django_db
def test_locks_of_a_living_server_stay() -> None:
    remove_stale_locks()
    assert (data_folder() / "postmaster.pid").exists()
    assert (socket_folder() / f".s.PGSQL.{PORT}.lock").exists()
