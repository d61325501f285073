"""Somebody is signed out while they write, on another tab say: nothing they wrote is lost, and they are told."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer

from curation.models import Review, Trajectory
from curation.services.queues import create_queue
from tests.browser.visiting import sign_in
from tests.factories import make_project, make_trajectories, make_user, owner_access

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def test_signed_out_and_in_again_on_another_tab_goes_on_where_it_was(browser: Browser, live_server: LiveServer) -> None:
    project = make_project(make_user("riley"))
    make_trajectories(project, 2)
    queue = create_queue(owner_access(project), name="Q", trajectories=Trajectory.objects.filter(project=project))
    context = browser.new_context(base_url=live_server.url)
    context.set_default_timeout(15_000)
    page, other = context.new_page(), context.new_page()
    sign_in(page, "riley")
    page.goto(reverse("curation:queue-detail", args=[project.slug, queue.pk]))
    page.keyboard.press("Enter")
    expect(page.locator(".step.now")).to_have_count(1)
    here = page.url
    other.goto(reverse("curation:project-list"))
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_label("Username")).to_be_visible()
    page.get_by_label("Comment").fill("An hour of thought.")
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Comment")).to_have_value("An hour of thought.")
    sign_in(other, "riley")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf"^(?!{re.escape(here.split('#')[0])})"))
    expect(page.get_by_text("You are signed out.")).to_have_count(0)
    review = Review.objects.exclude(submitted_at=None).get()
    assert (review.verdict, review.comment) == ("accept", "An hour of thought.")
    context.close()


def test_a_reload_right_after_typing_shows_what_was_typed(browser: Browser, live_server: LiveServer) -> None:
    project = make_project(make_user("riley"))
    make_trajectories(project, 1)
    queue = create_queue(owner_access(project), name="Q", trajectories=Trajectory.objects.filter(project=project))
    context = browser.new_context(base_url=live_server.url)
    page = context.new_page()
    sign_in(page, "riley")
    page.goto(reverse("curation:queue-detail", args=[project.slug, queue.pk]))
    page.keyboard.press("Enter")
    expect(page.locator(".step.now")).to_have_count(1)
    page.keyboard.press("r")
    page.keyboard.press("4")
    page.get_by_label("Comment").fill("Half a sentence")
    page.reload()
    expect(page.get_by_label("Comment")).to_have_value("Half a sentence")
    expect(page.get_by_role("radio", name=re.compile("Reject"))).to_be_checked()
    context.close()
