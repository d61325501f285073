"""A reviewer's day by keyboard alone: ten items, one of them corrected, one undone, then five pairs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from curation.models import Judgement, PreferencePair, Project, Queue, Reservation, Review, Revision, Trajectory
from curation.services.queues import create_queue
from curation.services.rubrics import write_rubric
from tests.browser.visiting import ABORTED, listen, sign_in
from tests.factories import make_project, make_task, make_trajectory, make_user, owner_access

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]
NEXT = re.compile("^Save and next")


@pytest.fixture
def page(browser: Browser, live_server: LiveServer) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=live_server.url)
    context.set_default_timeout(15_000)
    page = context.new_page()
    noise = listen(page, but=ABORTED)  # a draft goes along as a beacon, too
    yield page
    context.close()
    assert not noise


def fill(project: Project) -> tuple[Queue, Queue]:
    access = owner_access(project)
    for band in (1, 2, 3, 4, 5, 5):
        task = make_task(project, band=band)
        good = make_trajectory(project, "look", "take", "put", task=task, success=True)
        bad = make_trajectory(project, "look", "drop", "drop", task=task, success=False)
        chosen, rejected = (Revision.objects.get(trajectory=side) for side in (good, bad))
        PreferencePair.objects.create(
            project=project, task=task, chosen=chosen, rejected=rejected, shared_steps=3, origin="outcome"
        )
    everything = Trajectory.objects.filter(project=project)
    singles = create_queue(access, name="Attempts", trajectories=everything, order=Queue.Order.OLDEST)
    levels = [{"value": 1, "label": "Wasteful"}, {"value": 2, "label": "Fair"}, {"value": 3, "label": "Thrifty"}]
    write_rubric(access, singles, guidelines="Be fair.", criteria=[{"name": "Thrift", "levels": levels}])
    pairs = create_queue(access, name="Duels", pairs=PreferencePair.objects.filter(project=project))
    return singles, pairs


def test_ten_items_one_corrected_one_undone_and_five_pairs(page: Page) -> None:
    project = make_project(make_user("riley"))
    singles, pairs = fill(project)
    sign_in(page, "riley")
    page.goto(reverse("curation:queue-detail", args=[project.slug, singles.pk]))
    page.keyboard.press("Enter")
    for number in range(10):
        answer(page, number)
    page.keyboard.press("Control+z")
    expect(page.get_by_text("is a draft again")).to_be_visible()
    expect(page.get_by_role("radio", name=re.compile("Accept|Reject|Unsure"), checked=True)).to_have_count(1)
    page.keyboard.press("u")
    save(page)
    check_reviews(singles)
    page.goto(reverse("curation:queue-detail", args=[project.slug, pairs.pk]))
    page.keyboard.press("Enter")
    for number in range(5):
        expect(page.get_by_role("button", name=NEXT)).to_be_visible()
        page.keyboard.press("1267"[number % 4])
        save(page)
    assert Judgement.objects.filter(item__queue=pairs).count() == 5
    assert Reservation.objects.filter(item__queue=pairs, state="done").count() == 5


def answer(page: Page, number: int) -> None:
    """Answer the item at hand; the third is corrected first, and every one has a step labelled."""
    expect(page.get_by_role("button", name=NEXT)).to_be_visible()
    expect(page.locator(".step.now")).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("input[name=first_error]:checked")).to_have_count(1)
    if number == 2:
        correct(page)
    page.keyboard.press("ar"[number % 2])
    page.keyboard.press("12345"[number % 5])
    expect(page.locator("#draft")).to_contain_text("Draft kept")
    save(page)


def save(page: Page) -> None:
    here = page.url.split("#")[0]
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url.split("#")[0] != here)


def correct(page: Page) -> None:
    page.keyboard.press("e")
    thought = page.get_by_label("Thought").first
    expect(thought).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("I look twice before I take it.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("ins").first).to_be_visible()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Saved as revision 1")).to_be_visible()
    expect(page.locator("input[name=first_error]:checked")).to_have_count(1)


def check_reviews(queue: Queue) -> None:
    reviews = list(Review.objects.filter(item__queue=queue).exclude(submitted_at=None).order_by("submitted_at"))
    assert len(reviews) == 10
    assert [review.verdict for review in reviews] == [*(["accept", "reject"] * 5)[:9], "unsure"]
    assert [review.grade for review in reviews] == [1, 2, 3, 4, 5] * 2
    assert all(review.step_labels.get().first_error for review in reviews)
    assert [review.revision.number for review in reviews] == [0, 0, 1, *[0] * 7]
