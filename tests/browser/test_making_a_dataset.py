"""Making a dataset in a real browser: the live preview, what it refuses, and the quick way."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from curation.models import Dataset, Project
from tests.browser.test_every_page import LOOKS, look_at
from tests.browser.visiting import ABORTED, listen, sign_in
from tests.datasets.cast import make_pool, make_task_with_text
from tests.factories import make_project, make_trajectory, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def make_attempts() -> Project:
    project = make_project(make_user("owner"))
    for band, number in ((1, 12), (3, 6), (5, 3)):
        for place in range(number):
            task = make_task_with_text(project, f"{band} {place}", band=band)
            make_trajectory(project, task=task, status="accepted")
    make_pool(project, tasks=2, status="rejected")
    return project


def test_from_accepted_to_a_frozen_dataset_takes_two_clicks_and_a_name(
    page: Page, live_server: LiveServer, settings: Any, tmp_path: Any
) -> None:
    settings.HOME = tmp_path
    project = make_attempts()
    noise = listen(page, but=ABORTED)
    sign_in(page, root=live_server.url)
    page.goto(live_server.url + reverse("curation:dataset-create", args=[project.slug]))
    page.get_by_label("Name").fill("Quick")
    page.get_by_role("button", name="Make dataset").click()
    page.get_by_role("button", name="Freeze a version").click()
    expect(page.get_by_text("Version 1 is being frozen")).to_be_visible()
    assert Dataset.objects.get().versions.count() == 1
    assert not noise


def test_the_preview_follows_the_form_and_says_what_cannot_be(page: Page, live_server: LiveServer) -> None:
    project = make_attempts()
    noise = listen(page, but=ABORTED)
    sign_in(page, root=live_server.url)
    page.goto(live_server.url + reverse("curation:dataset-create", args=[project.slug]))
    preview = page.locator("#preview")
    expect(preview.get_by_role("cell", name="review status: rejected", exact=True)).to_be_visible()
    expect(preview.get_by_text("In a random sample of")).to_be_visible()
    page.locator("summary", has_text=re.compile("^Difficulty$")).click()
    page.get_by_label("Target").select_option("uniform")
    page.get_by_label("Quotas").check()
    expect(preview.get_by_text("Difficulty 2 needs")).to_be_visible()
    page.get_by_label("Held-out share").fill("3")
    expect(preview.get_by_text("Held-out share: Ensure this value is less than or equal to 0.9.")).to_be_visible()
    page.get_by_label("Name").fill("Wrong")
    page.get_by_role("button", name="Make dataset").click()
    expect(page.locator("form .wrong")).to_have_text("Ensure this value is less than or equal to 0.9.")
    assert not Dataset.objects.exists()
    assert not noise


def test_the_trajectories_behind_a_reason_open_beside_the_form(page: Page, live_server: LiveServer) -> None:
    project = make_attempts()
    sign_in(page, root=live_server.url)
    page.goto(live_server.url + reverse("curation:dataset-create", args=[project.slug]))
    with page.expect_popup() as opened:
        page.get_by_role("button", name=re.compile("left out: review status: rejected")).click()
    expect(opened.value.get_by_role("heading", name="Review status: rejected")).to_be_visible()
    expect(opened.value.locator("tbody tr")).to_have_count(2)


@pytest.mark.parametrize(("width", "scheme"), LOOKS[::3])
def test_the_form_and_its_preview_are_accessible_and_fit(
    browser: Browser, live_server: LiveServer, width: int, scheme: Literal["light", "dark"]
) -> None:
    project = make_attempts()
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    sign_in(page, root=live_server.url)
    for kind in ("sft", "dpo", "kto"):
        page.goto(f"{live_server.url}{reverse('curation:dataset-create', args=[project.slug])}?kind={kind}")
        expect(
            page.locator("#preview").get_by_text(re.compile("In a random sample|No action was found"))
        ).to_be_visible()
        for folded in page.locator("details:not([open]) > summary").all():
            folded.click() if folded.is_visible() else None
        assert not look_at(page, kind)
    context.close()
