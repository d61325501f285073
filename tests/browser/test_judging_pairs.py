"""Comparing two attempts in a real browser, by keyboard alone; and watching a search for pairs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from curation.models import Judgement, PairSearch, PreferencePair, Project
from curation.services.pair_proposals import propose_pairs, run_search
from curation.services.pairs import record_judgement
from curation.services.queues import take_next
from tests.browser.test_every_page import LOOKS, look_at
from tests.browser.test_the_whole_loop import other_than
from tests.browser.visiting import listen, sign_in
from tests.factories import make_project, make_task, make_trajectory, make_user, owner_access
from tests.pairs.cast import answer_for, make_attempt, make_pairs, make_queue

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]
LONG = "a line of what was seen\n" * 100


def open_pair(page: Page, live_server: LiveServer, project: Project, pair: PreferencePair) -> None:
    page.goto(live_server.url + reverse("curation:pair-judge", args=[project.slug, pair.pk]))


def make_long_pair(project: Project) -> PreferencePair:
    """A pair whose sides hold long observations, at different steps."""
    task = make_task(project)
    pair = []
    for success, actions in ((True, ("look", "go", "read", "end")), (False, ("look", "read", "stop"))):
        attempt = make_trajectory(project, *actions, task=task, success=success)
        steps = attempt.revisions.get().document["steps"]
        for step in steps[3:]:
            step["observation"]["results"][0]["content"][0]["text"] = f"{step['message'][0]['text']}\n{LONG}"
        attempt.delete()
        pair.append(make_attempt(task, document={"steps": steps}, success=success))
    propose_pairs(owner_access(project))
    return PreferencePair.objects.get(task=task)


def test_five_pairs_are_judged_by_keyboard_and_the_last_one_taken_back(page: Page, live_server: LiveServer) -> None:
    project = make_project(make_user("owner"))
    make_pairs(project, 6)
    sign_in(page, root=live_server.url)
    page.goto(live_server.url + reverse("curation:pair-list", args=[project.slug]))
    page.keyboard.press("Enter")
    for key in ("1", "7", "4", "0", "2"):
        expect(page.get_by_text("blind", exact=True)).to_be_visible()
        here = page.url
        page.keyboard.press(key)
        page.keyboard.press("r")
        page.keyboard.type(f"because {key}")
        page.keyboard.press("Enter")
        page.wait_for_url(other_than(here))
    answers = list(Judgement.objects.order_by("pk").values_list("answer", "reason"))
    assert answers == [
        ("left-much-better", "because 1"),
        ("right-much-better", "because 7"),
        ("tie", "because 4"),
        ("both-bad", "because 0"),
        ("left-better", "because 2"),
    ]
    page.keyboard.press("Control+z")
    expect(page.get_by_text("was taken back")).to_be_visible()
    expect(page.get_by_role("radio", name="Left better 2")).to_be_checked()
    expect(page.get_by_label("Reason")).to_have_value("because 2")
    assert Judgement.objects.count() == 4
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/pairs/\d+/$"))
    expect(page.get_by_text("1 open for you")).to_be_visible()
    assert Judgement.objects.count() == 5


def test_rows_are_walked_by_keyboard_and_folds_open_on_both_sides(page: Page, live_server: LiveServer) -> None:
    project = make_project(make_user("owner"))
    pair = make_long_pair(project)
    sign_in(page, root=live_server.url)
    open_pair(page, live_server, project, pair)
    rows = page.locator(".abreast")
    expect(rows.first).to_have_class(re.compile("now"))
    page.keyboard.press("j")
    expect(rows.nth(1)).to_have_class(re.compile("now"))
    both = page.locator(".abreast:has(.step + .step)").first
    folds = both.locator("details.observation")
    expect(folds).to_have_count(2)
    folds.first.locator("summary").click()
    expect(folds.nth(1)).to_have_attribute("open", "")
    expect(both).to_have_class(re.compile("now"))
    page.keyboard.press("z")
    for side in (0, 1):
        expect(folds.nth(side)).not_to_have_attribute("open", "")
    page.locator("details.shared summary").click()
    expect(page.locator("details.shared .step")).to_have_count(pair.shared_steps)


def test_a_search_shows_what_it_does_without_a_reload(page: Page, live_server: LiveServer) -> None:
    project = make_project(make_user("owner"))
    task = make_task(project)
    make_trajectory(project, "a", "b", task=task)
    make_trajectory(project, "a", "c", task=task, success=False)
    sign_in(page, root=live_server.url)
    page.goto(live_server.url + reverse("curation:pair-list", args=[project.slug]))
    page.get_by_role("button", name="Propose pairs").dblclick()
    expect(page.get_by_text("Looking for pairs", exact=True)).to_be_visible()
    run_search(PairSearch.objects.get().pk)
    expect(page.get_by_text("1 new pair")).to_be_visible()
    page.get_by_role("link", name="Show them").click()
    expect(page.locator("#pairs tbody tr")).to_have_count(1)


def test_the_pages_of_pairs_are_accessible_quiet_and_fit(browser: Browser, live_server: LiveServer) -> None:
    project = make_project(make_user("owner"))
    access = owner_access(project)
    pair = make_long_pair(project)
    judged, *_ = make_pairs(project, 2)
    PreferencePair.objects.filter(pk=judged.pk).update(warnings=["length", "equal", "fingerprint", "tools"])
    record_judgement(access, judged, answer_for(access, judged, winner=judged.chosen_id, reason="It asks first."))
    held = take_next(access, make_queue(project))
    assert held is not None
    problems: list[str] = []
    heard: list[list[str]] = []
    looks: list[Any] = LOOKS
    for width, scheme in looks:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        heard.append(listen(page))
        sign_in(page, root=live_server.url)
        for name, args in {
            "pair-list": [],
            "pair-judge": [pair.pk],
            "pair-steps": [pair.pk],
            "queue-judge": [held.pk],
        }.items():
            page.goto(live_server.url + reverse(f"curation:{name}", args=[project.slug, *args]))
            problems += look_at(page, f"{name} at {width}, {scheme}")
        open_pair(page, live_server, project, judged)
        problems += look_at(page, f"judged at {width}, {scheme}")
        context.close()
    assert not problems, "\n".join(problems)
    assert not any(heard)
