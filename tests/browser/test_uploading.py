"""A large file on its way in, in a real browser: what has arrived stays when the page is left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from curation.models import Upload
from tests.browser.visiting import sign_in
from tests.factories import make_project, make_user
from tests.formats.samples import TURNS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]
PIECE = 8 * 2**20


def choose(page: Page, path: Path) -> None:
    page.get_by_label("File").set_input_files(path)
    page.get_by_role("button", name="Look at it").click()


def test_a_file_goes_on_where_it_was_when_the_page_was_left(
    page: Page, live_server: LiveServer, tmp_path: Path
) -> None:
    project = make_project(make_user("owner"))
    record = json.dumps({"messages": TURNS, "note": "x" * 10_000}).encode()
    path = tmp_path / "attempts.jsonl"
    path.write_bytes(b"".join(record.replace(b"Done.", b"Done %d." % number) + b"\n" for number in range(900)))
    assert PIECE < path.stat().st_size < 2 * PIECE
    offsets: list[str] = []
    lost = True

    def carry(route: Route) -> None:
        offset = route.request.headers.get("upload-offset", "")
        offsets.append(offset)
        if lost and offset != "0":
            route.abort()
        else:
            route.continue_()

    page.route("**/pieces/", carry)
    sign_in(page, root=live_server.url)
    page.goto(live_server.url + reverse("curation:import-list", args=[project.slug]))
    choose(page, path)
    expect(page.get_by_text("The connection is lost; trying again")).to_be_visible()
    assert Upload.objects.get().received == PIECE
    page.reload()
    expect(page.get_by_text("attempts.jsonl")).to_be_visible()
    lost = False
    offsets.clear()
    choose(page, path)
    expect(page.get_by_role("button", name="Import")).to_be_visible()
    assert offsets == [str(PIECE)]
    expect(page.locator(".chip", has_text="OpenAI chat messages")).to_be_visible()
    expect(page.get_by_text("I look.").first).to_be_visible()
