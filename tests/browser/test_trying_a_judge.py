"""Making a judge in a real browser: tried until it judges well, then made, with the key typed once."""

from __future__ import annotations

import os
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from curation.models import Judge
from curation.services.judge_keys import find_key
from tests.browser.visiting import listen, sign_in
from tests.factories import make_project, make_trajectory, make_user
from tests.judges.endpoint import KEY, Answer, completion, opinion, serve_endpoint

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def test_a_judge_is_tried_again_and_again_before_it_is_made(page: Page, live_server: LiveServer, settings: Any) -> None:
    settings.JUDGE_HOSTS = ["127.0.0.1"]
    project = make_project(make_user("owner"))
    make_trajectory(project, "open <b>the</b> door")
    noise = listen(page)
    with serve_endpoint() as endpoint:
        endpoint.answer_with(Answer(body=completion("", refusal="I cannot.")), Answer(body=opinion("reject", 0.2)))
        sign_in(page, root=live_server.url)
        page.goto(live_server.url + reverse("curation:judge-create", args=[project.slug]))
        page.get_by_label("Name", exact=True).fill("Careful")
        page.get_by_label("Address").fill(endpoint.base_url)
        page.get_by_label("Model", exact=True).fill("judge-1")
        page.get_by_label("Key", exact=True).fill(KEY)
        page.get_by_label("Instructions").fill("Accept what is careful.")
        page.get_by_role("button", name="Try it on one trajectory").click()
        trial = page.locator("#trial")
        expect(trial).to_contain_text("The model refused: I cannot.")
        page.get_by_label("Instructions").fill("Accept what opens doors.")
        page.get_by_role("button", name="Try it on one trajectory").click()
        expect(trial).to_contain_text("✕ reject · 0.20")
        expect(trial).to_contain_text("Accept what opens doors.")
        expect(trial).to_contain_text("I will open <b>the</b> door.")
        if folder := os.environ.get("PICTURES"):
            page.screenshot(path=f"{folder}/judge-try.png", full_page=True)
        page.get_by_role("button", name="Make judge").click()
        expect(page.get_by_role("heading", name="Careful")).to_be_visible()
        expect(page.get_by_text("stored encrypted, for this address alone")).to_be_visible()
        if folder := os.environ.get("PICTURES"):
            page.screenshot(path=f"{folder}/judge-detail.png", full_page=True)
    assert find_key(Judge.objects.get()) == KEY
    assert not noise
