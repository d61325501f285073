"""Reading a long trajectory by keyboard: jumping to steps that are not loaded, finding words, and text as written."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from curation.models import Project, Reservation, StepLabel, Trajectory
from curation.services.queues import create_queue, take_next
from curation.services.reviews import Answer, save_draft
from tests.bench.reviewing import sign_in
from tests.browser.visiting import listen
from tests.factories import make_project, make_task, make_trajectory, make_user, owner_access
from tests.trajectories.long import ERRORS, LONG_NEEDLE, LONG_STEP, NEEDLE, NEEDLE_STEP, make_long_trajectory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


@pytest.fixture
def project(live_server: LiveServer) -> Project:
    project = make_project(make_user("owner"))
    make_long_trajectory(project)
    return project


@pytest.fixture
def context(browser: Browser, live_server: LiveServer, project: Project) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=live_server.url)
    context.set_default_timeout(10_000)
    for pair in sign_in(owner_access(project).user).split("; "):
        name, value = pair.split("=")
        context.add_cookies([{"name": name, "value": value, "url": live_server.url}])
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    noise = listen(page)
    yield page
    assert not noise


def open_trajectory(page: Page, project: Project, anchor: str = "") -> None:
    trajectory = Trajectory.objects.get(project=project)
    page.goto(reverse("curation:trajectory-detail", args=[project.slug, trajectory.pk]) + anchor)


def expect_current(page: Page, number: int) -> None:
    """The step is the current one, on the page and in the map, and it is in the window."""
    expect(page.locator(".step.now")).to_have_attribute("data-step", str(number))
    expect(page.locator(".map a.now")).to_have_attribute("href", f"#step-{number}")
    expect(page.locator(".step.now")).to_be_in_viewport()
    expect(page.locator(".map a.now")).to_be_in_viewport()


def top_of_current(page: Page) -> float:
    return float(page.evaluate("document.querySelector('.step.now').getBoundingClientRect().top"))


def test_a_step_is_reached_wherever_it_is_and_stays_in_its_place(page: Page, project: Project) -> None:
    open_trajectory(page, project, "#step-681")
    expect_current(page, 681)
    place = top_of_current(page)
    assert 48 <= place < 100
    expect(page.locator(".chunk[data-first='641'][data-loaded]")).to_be_attached()  # it is above, and came later
    page.wait_for_timeout(500)
    assert abs(top_of_current(page) - place) < 3
    page.keyboard.press("j")
    expect_current(page, 682)
    page.locator(".map a[href='#step-1021']").evaluate("mark => mark.click()")
    expect_current(page, 1021)
    page.locator(".map a[href='#step-30']").evaluate("mark => mark.click()")
    expect_current(page, 30)
    for _ in range(15):
        page.keyboard.press("j")
    expect_current(page, 45)
    loaded = page.locator(".chunk[data-loaded]").count()
    assert loaded < page.locator(".chunk").count() / 2


def test_errors_are_walked_though_nothing_between_them_is_loaded(page: Page, project: Project) -> None:
    open_trajectory(page, project)
    for number in ERRORS:
        page.keyboard.press("J")
        expect_current(page, number)
    page.keyboard.press("K")
    expect_current(page, ERRORS[0])


def test_words_are_found_in_steps_that_are_not_loaded_and_marked_there(page: Page, project: Project) -> None:
    open_trajectory(page, project)
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Find in this trajectory")).to_be_focused()
    page.keyboard.type("100% SHARP")
    page.keyboard.press("Enter")
    expect_current(page, NEEDLE_STEP)
    assert page.evaluate("[...CSS.highlights.get('find')].map(String)") == [NEEDLE.removeprefix("needle ")]
    page.keyboard.press("Escape")
    expect(page.locator("#find")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type(LONG_NEEDLE)
    page.keyboard.press("Enter")
    expect_current(page, LONG_STEP)
    expect(page.locator(".step.now")).to_contain_text(LONG_NEEDLE)
    page.wait_for_function("CSS.highlights.get('find')?.size === 1")


def test_hits_are_walked_both_ways(page: Page, project: Project) -> None:
    open_trajectory(page, project)
    page.keyboard.press("/")
    page.keyboard.type("no such shelf")
    expect(page.locator("#hits li")).to_have_count(2)
    for key, number in (("Enter", ERRORS[0]), ("Enter", ERRORS[1]), ("Shift+Enter", ERRORS[0])):
        page.keyboard.press(key)
        expect_current(page, number)
    page.get_by_role("button", name="Close").focus()
    page.locator(".step.now .thought").click()
    page.keyboard.press("n")
    expect_current(page, ERRORS[1])
    page.keyboard.press("N")
    expect_current(page, ERRORS[0])


def test_text_is_shown_rendered_or_as_it_was_written(page: Page, project: Project) -> None:
    open_trajectory(page, project)
    third = page.locator("#step-3")
    expect(third.locator("strong")).to_have_text("look")
    expect(third.locator(".ansi31")).to_have_text("FAILED")
    page.keyboard.press("m")
    expect(third).to_contain_text("**look**")
    expect(third).to_contain_text("ESC[1;31mFAILED")
    expect_current(page, 3)
    page.locator(".map a[href='#step-500']").evaluate("mark => mark.click()")
    expect(page.locator("#step-500 .written").first).to_be_visible()
    page.reload()
    expect(page.locator("#step-500 .written").first).to_be_visible()
    page.keyboard.press("m")
    expect(page.locator("#step-500 .written")).to_have_count(0)


def test_a_subagent_opens_where_it_is_mentioned(page: Page, project: Project) -> None:
    open_trajectory(page, project)
    page.get_by_role("link", name="subagent helper").click()
    expect(page.get_by_text("This is helper.")).to_be_visible()
    page.get_by_text("Subagent deeper").click()
    expect(page.get_by_text("This is deeper.")).to_be_visible()


def test_labels_are_marked_in_the_map_and_none_is_lost_for_not_being_loaded(page: Page, project: Project) -> None:
    access = owner_access(project)
    queue = create_queue(access, name="Long", trajectories=Trajectory.objects.all())
    held = take_next(access, queue)
    assert held is not None
    save_draft(access, held, Answer(labels={900: "wrong", 1010: "correct"}, first_error=900))
    page.goto(reverse("curation:queue-review", args=[project.slug, held.pk]))
    expect(page.locator(".map a[data-label=first]")).to_have_attribute("href", "#step-900")
    expect(page.locator(".map a[data-label=correct]")).to_have_attribute("href", "#step-1010")
    label(page, 3, "correct")
    expect(page.locator(".map a[href='#step-3']")).to_have_attribute("data-label", "correct")
    expect_labels(held, {3: "correct", 900: "wrong", 1010: "correct"}, first_error=900)
    page.keyboard.press("J")
    expect_current(page, ERRORS[0])
    page.keyboard.press("x")
    expect(page.locator(".map a[data-label=first]")).to_have_attribute("href", f"#step-{ERRORS[0]}")
    page.locator(".map a[href='#step-900']").evaluate("mark => mark.click()")
    expect_current(page, 900)
    expect(page.locator("#step-900 input[value=wrong]")).to_be_checked()
    expect(page.locator(".map a[data-label=first]")).to_have_attribute("href", f"#step-{ERRORS[0]}")
    page.keyboard.press("m")
    expect(page.locator("#step-900 .written").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight"), "the page scrolls, not the column"
    expect(page.locator("#step-900 input[value=wrong]")).to_be_checked()
    expect_labels(held, {3: "correct", ERRORS[0]: "wrong", 900: "wrong", 1010: "correct"}, first_error=ERRORS[0])


def test_the_next_item_is_read_as_the_first_one_was(page: Page, project: Project) -> None:
    access = owner_access(project)
    make_trajectory(project, "look", task=make_task(project))
    queue = create_queue(access, name="Two", trajectories=Trajectory.objects.order_by("-pk"))
    held = take_next(access, queue)
    assert held is not None
    first_is_long = held.item.trajectory_id == Trajectory.objects.earliest("pk").pk
    page.goto(reverse("curation:queue-review", args=[project.slug, held.pk]))
    if first_is_long:
        expect_current(page, 3)
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: f"/{held.pk}/" not in url)
    expect(page.locator(".step.now")).to_have_attribute("data-step", "3")
    page.keyboard.press("/")
    page.keyboard.type("I will look" if first_is_long else NEEDLE)
    page.keyboard.press("Enter")
    expect_current(page, 3 if first_is_long else NEEDLE_STEP)


def test_what_went_wrong_at_a_step_is_asked_where_it_is_wrong(page: Page, project: Project) -> None:
    access = owner_access(project)
    held = take_next(access, create_queue(access, name="Long", trajectories=Trajectory.objects.all()))
    assert held is not None
    page.goto(reverse("curation:queue-review", args=[project.slug, held.pk]))
    mode = page.get_by_label("What went wrong at step 3", exact=True)
    expect(mode).to_be_hidden()
    label(page, 3, "wrong")
    mode.select_option("loop")
    expect_labels(held, {3: "wrong"})
    for _ in range(50):
        if StepLabel.objects.get(step_id=3).failure_mode:
            break
        threading.Event().wait(0.1)
    assert StepLabel.objects.get(step_id=3).failure_mode == "loop"
    page.keyboard.press("m")
    expect(page.locator("#step-3 .written").first).to_be_visible()
    expect(mode).to_have_value("loop")


def label(page: Page, number: int, value: str) -> None:
    page.locator(f"#step-{number} input[value={value}]").check()


def expect_labels(held: Reservation, labels: dict[int, str], *, first_error: int | None = None) -> None:
    """Waits until the draft says so."""
    wanted = {(step, kind, step == first_error) for step, kind in labels.items()}
    for _ in range(50):
        found = StepLabel.objects.filter(review__item=held.item_id)
        kept = set(found.values_list("step_id", "label", "first_error"))
        if kept == wanted:
            break
        threading.Event().wait(0.1)
    assert kept == wanted


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_found_and_rendered_is_accessible(
    browser: Browser, context: BrowserContext, project: Project, live_server: LiveServer, width: int, scheme: str
) -> None:
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of its literals
    open_trajectory(page, project)
    page.keyboard.press("/")
    page.keyboard.type("shelf")
    page.keyboard.press("Enter")
    expect(page.locator("#hits li").first).to_be_visible()
    expect(page.locator("#step-3 .markdown pre")).to_be_visible()
    problems = Axe().run(page).response["violations"]
    assert not [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in problems]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
