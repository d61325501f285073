"""Somebody at a browser: signing in, and what the browser complained of meanwhile."""

from __future__ import annotations

from django.urls import reverse
from playwright.sync_api import ConsoleMessage, Page, expect

PASSWORD = "a long enough password"
ABORTED = ("htmx:sendAbort", "htmx:afterRequest")
"""How htmx tells of a request, a poll or a draft, that was under way when its page was left."""


def sign_in(page: Page, username: str = "owner", *, root: str = "", password: str = PASSWORD) -> None:
    """`root` is the site's address where the page's context has none."""
    page.goto(root + reverse("curation:login"))
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Projects")).to_be_visible()


def listen(page: Page, *, but: tuple[str, ...] = ()) -> list[str]:
    """The page's errors and warnings from now on, but for those that begin so."""
    noise: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not (but and message.text.startswith(but)):
            noise.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: noise.append(str(error)))
    return noise
