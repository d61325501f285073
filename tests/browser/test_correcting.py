"""Correcting in a real browser: by keyboard alone, through a conflict, and accessible in every state of the form."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from curation.models import Project, Revision, Trajectory
from curation.services.corrections import correct_trajectory, parse_edit
from tests.browser.visiting import listen, sign_in
from tests.factories import make_member, make_project, make_trajectory, make_user, owner_access

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]
LOOKS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]


def open_project(page: Page, live_server: LiveServer) -> tuple[Project, Trajectory]:
    project = make_project(make_user("owner"))
    trajectory = make_trajectory(project, "look", "take", "drop", "open")
    sign_in(page, root=live_server.url)
    return project, trajectory


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    noise = listen(page)
    yield page
    context.close()
    assert not noise


def form_of(trajectory: Trajectory, step_id: int) -> str:
    return reverse("curation:step-edit", args=[trajectory.project.slug, trajectory.pk, step_id])


def test_a_step_is_corrected_and_split_by_keyboard_alone(page: Page, live_server: LiveServer) -> None:
    _, trajectory = open_project(page, live_server)
    page.goto(live_server.url + form_of(trajectory, 4))
    expect(page.get_by_label("Thought").first).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("I look first. Then I take.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("ins").first).to_be_visible()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Saved as revision 1")).to_be_visible()
    page.goto(live_server.url + form_of(trajectory, 4))
    expect(page.get_by_label("Thought").first).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    expect(page.locator("#first-message")).to_be_focused()
    expect(page.locator("#first-message")).to_have_value("I look first.")
    expect(page.locator("#second-message")).to_have_value("Then I take.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".chip", has_text="split")).to_have_count(2)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Saved as revision 2")).to_be_visible()
    steps = Revision.objects.get(number=2).document["steps"]
    assert [bool(step.get("tool_calls")) for step in steps[2:]] == [True, False, True, True, True]


def test_a_call_is_checked_while_it_is_typed(page: Page, live_server: LiveServer) -> None:
    _, trajectory = open_project(page, live_server)
    page.goto(live_server.url + form_of(trajectory, 3))
    told = page.locator("#check-1")
    expect(told).to_contain_text("Fits the schema of act")
    page.locator("#arguments-1").fill('{"action": 3}')
    expect(told).to_contain_text("arguments.action: 3 is not of type 'string'")
    page.locator("#arguments-1").fill('{"action": ')
    expect(told).to_contain_text("line 1, character 12")
    page.locator("#arguments-1").fill('{"action": 3}')
    page.locator("#name-1").fill("atc")
    expect(told).to_contain_text("Did they mean act?")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_text("This can be saved, but")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Save as revision")).click()
    expect(page.get_by_text("Saved as revision 1")).to_be_visible()


def test_what_was_typed_survives_a_conflict_and_goes_onto_theirs(page: Page, live_server: LiveServer) -> None:
    project, trajectory = open_project(page, live_server)
    page.goto(live_server.url + form_of(trajectory, 5))
    page.get_by_label("Thought").first.fill("I put it down.")
    other = make_member(project, "curator")
    for number, edit in enumerate(
        [
            {"kind": "delete", "step_id": 3},
            {"kind": "edit", "step_id": 4, "observations": [{"result": 0, "text": "It fell."}]},
        ]
    ):
        correct_trajectory(other, trajectory, parse_edit(edit), base=number, reason="Looked at nothing")
    page.keyboard.press("Control+Enter")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(f"{other.user.username} made revision 2")
    expect(alert.locator("ins", has_text="It fell")).to_be_visible()
    expect(page.get_by_label("Thought").first).to_have_value("I put it down.")
    page.get_by_role("button", name="Make mine on theirs").click()
    expect(page.get_by_role("heading", name="Correct step 4")).to_be_visible()
    expect(page.get_by_label("Thought").first).to_have_value("I put it down.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("ins").first).to_be_visible()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Saved as revision 3")).to_be_visible()
    step = Revision.objects.get(number=3).document["steps"][3]
    assert step["message"][0]["text"] == "I put it down."
    assert step["observation"]["results"][0]["content"][0]["text"] == "It fell."


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_state_of_the_form_is_accessible_and_fits(
    browser: Browser, live_server: LiveServer, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]  # its literals
    page = context.new_page()
    project, trajectory = open_project(page, live_server)
    problems: list[str] = []
    for operation in ("edit", "insert", "split", "delete", "truncate"):
        page.goto(f"{live_server.url}{form_of(trajectory, 3)}?operation={operation}")
        if operation == "edit":
            page.get_by_label("Thought").first.fill("I will look  around the room.\n")
            page.locator("#arguments-1").fill('{"action": 3}')
        if operation == "insert":
            page.get_by_label("Thought or message").fill("Wait.")
        problems += look_at(page, operation)
        page.get_by_role("button", name="Show what would change").click()
        expect(page.get_by_role("button", name=re.compile("^Save as revision"))).to_be_visible()
        problems += look_at(page, f"{operation} preview")
    page.goto(live_server.url + form_of(trajectory, 3))
    page.get_by_label("Thought").first.fill("Mine.")
    theirs = parse_edit({"kind": "edit", "step_id": 3, "message": "Theirs."})
    correct_trajectory(owner_access(project), trajectory, theirs, base=0, reason="Unclear")
    page.get_by_role("button", name="Show what would change").click()
    problems += look_at(page, "conflict")
    page.get_by_role("button", name="Make mine on theirs").click()
    expect(page.get_by_text("You both changed: Text")).to_be_visible()
    problems += look_at(page, "mine on theirs")
    context.close()
    assert not problems, "\n".join(problems)


def look_at(page: Page, name: str) -> list[str]:
    """What is wrong with the page that is open."""
    found = Axe().run(page).response["violations"]
    problems = [f"{name}: {rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"][:3]]
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return problems + ([f"{name}: scrolls sideways by {wide} px"] if wide > 0 else [])
