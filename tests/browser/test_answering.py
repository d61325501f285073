"""A test of the browser ends when all is answered that its pages had asked for."""

from __future__ import annotations

import time

import pytest
from django.urls import reverse
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from tests.browser.answering import Answering
from tests.browser.visiting import sign_in
from tests.factories import make_project, make_trajectories, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def test_what_a_page_sent_as_it_was_closed_is_waited_for(
    page: Page, live_server: LiveServer, answering: Answering
) -> None:
    project = make_project(make_user("riley"))
    make_trajectories(project, 1)
    sign_in(page, "riley", root=live_server.url)
    address = live_server.url + reverse("curation:trajectory-list", args=[project.slug])
    with page.expect_request(address):
        page.evaluate("address => { for (let n = 0; n < 30; n++) fetch(address, {keepalive: true}); }", address)
    while not answering.open:
        time.sleep(0.001)
    page.close()
    answering.wait()
    assert answering.open == 0
