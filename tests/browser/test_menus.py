"""Menus close the way everybody expects them to."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.visiting import sign_in
from tests.factories import make_project, make_trajectories, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def test_a_menu_closes_with_escape_and_with_a_click_beside_it(page: Page, live_server: LiveServer) -> None:
    project = make_project(make_user("riley"))
    make_trajectories(project, 2)
    sign_in(page, "riley", root=live_server.url)
    page.goto(live_server.url + reverse("curation:trajectory-list", args=[project.slug]))
    opener, entry = page.locator("summary", has_text="Export"), page.get_by_role("link", name="ATIF")
    opener.click()
    expect(entry).to_be_visible()
    page.keyboard.press("Escape")
    expect(entry).to_be_hidden()
    expect(opener).to_be_focused()
    opener.click()
    page.get_by_role("heading", name="Trajectories").click()
    expect(entry).to_be_hidden()
