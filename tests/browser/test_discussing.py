"""A discussion in a real browser, by keyboard alone: names completed, remarks that arrive, nothing typed lost."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from curation.models import Mention, Project, Remark, Review, Role, Trajectory, User
from curation.permissions import Access
from curation.selectors.remarks import count_unseen
from curation.services.projects import save_member
from curation.services.queues import create_queue, take_next
from curation.services.remarks import add_remark
from tests.browser.visiting import listen
from tests.factories import make_project, make_trajectory, make_user, owner_access

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def join(project: Project, name: str) -> Access:
    user = make_user(name)
    save_member(owner_access(project), username=name, roles=[Role.REVIEWER])
    return Access(user=user, project=project, roles=frozenset([Role.REVIEWER]), address=None)


def sign_in(page: Page, live_server: LiveServer, user: User) -> None:
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])


def test_people_discuss_by_keyboard_and_are_told_of_each_other(page: Page, live_server: LiveServer) -> None:
    project = make_project()
    trajectory = make_trajectory(project)
    anna, lee = join(project, "anna"), join(project, "annabel.lee")
    noise = listen(page)
    sign_in(page, live_server, anna.user)
    page.goto(live_server.url + reverse("curation:trajectory-detail", args=[project.slug, trajectory.pk]))
    page.keyboard.press("t")
    page.keyboard.type("Is it so, @ann")
    expect(page.locator("#names li")).to_have_text(["annabel.lee"])
    assert not Axe().run(page).response["violations"]
    page.keyboard.press("Enter")
    page.keyboard.type("?")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".remark .prose")).to_have_text(["Is it so, @annabel.lee ?"])
    expect(page.locator("#remark")).to_be_focused()
    expect(page.locator("#remark")).to_have_value("")
    assert Mention.objects.get().user == lee.user

    page.keyboard.type("half a thought")
    add_remark(lee, trajectory, "It is, @anna.")
    with page.expect_response("**/mentions/seen/"):  # what was shown to her
        page.evaluate("htmx.trigger(document.getElementById('remarks'), 'refresh')")
    expect(page.locator(".remark .prose")).to_have_text(["Is it so, @annabel.lee ?", "It is, @anna."])
    expect(page.locator("#remark")).to_have_value("half a thought")
    assert count_unseen(anna) == 0
    assert count_unseen(lee) == 1

    page.locator("#remark").fill("Once.")
    page.locator("#remark-send").dblclick()
    expect(page.locator(".remark .prose").last).to_have_text("Once.")
    assert Remark.objects.filter(text="Once.").count() == 1
    assert not noise

    page.route("**/remarks/", lambda route: route.abort())
    page.locator("#remark").fill("Not lost.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    expect(page.locator("#remark")).to_have_value("Not lost.")


def test_opening_the_list_of_mentions_marks_them_and_each_leads_to_its_remark(
    page: Page, live_server: LiveServer
) -> None:
    project = make_project()
    trajectory = make_trajectory(project, *["look"] * 30)
    anna, lee = join(project, "anna"), join(project, "annabel.lee")
    remark = add_remark(lee, trajectory, "Look here, @anna.")
    sign_in(page, live_server, anna.user)
    page.goto(live_server.url + reverse("curation:mention-list", args=[project.slug]))
    expect(page.locator(".mention")).to_contain_text("new")
    expect(page.locator("#unseen")).to_be_empty()
    assert count_unseen(anna) == 0
    page.get_by_role("link", name="in the discussion").press("Enter")
    expect(page.locator(f"#remark-{remark.pk}")).to_be_in_viewport()


def test_a_discussion_works_without_script(page: Page, live_server: LiveServer) -> None:
    project = make_project()
    trajectory = make_trajectory(project)
    anna, lee = join(project, "anna"), join(project, "annabel.lee")
    add_remark(lee, trajectory, "Look here, @anna.")
    browser = page.context.browser
    assert browser is not None
    plain = browser.new_context(java_script_enabled=False).new_page()
    sign_in(plain, live_server, anna.user)
    plain.goto(live_server.url + reverse("curation:trajectory-detail", args=[project.slug, trajectory.pk]))
    plain.get_by_label("Add a remark").fill("I see it.")
    plain.get_by_role("button", name="Add", exact=True).click()
    expect(plain.locator(".remark .prose").last).to_have_text("I see it.")
    assert count_unseen(anna) == 1
    plain.get_by_role("button", name="Mark as seen").click()
    assert count_unseen(anna) == 0
    plain.context.close()


def test_enter_presses_the_button_that_has_the_focus_and_submits_no_review(page: Page, live_server: LiveServer) -> None:
    project = make_project()
    make_trajectory(project)
    anna = join(project, "anna")
    queue = create_queue(owner_access(project), name="Open", trajectories=Trajectory.objects.all())
    held = take_next(anna, queue)
    assert held is not None
    sign_in(page, live_server, anna.user)
    page.goto(live_server.url + reverse("curation:queue-review", args=[project.slug, held.pk]))
    page.keyboard.press("a")
    page.get_by_role("button", name="Skip").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Skip this item")).to_be_visible()
    assert not Review.objects.exclude(submitted_at=None).exists()
