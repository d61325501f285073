"""The whole loop as a person does it: import, review, pairs, datasets, SFT, DPO, comparison.

Real everything: the product as `make run` starts it, a browser, real trajectories, Celery, PostgreSQL, TRL.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.visiting import ABORTED, listen, sign_in
from tests.serving.product import Product

pytestmark = [pytest.mark.xdist_group("product"), pytest.mark.timeout(1200)]
MINUTE = 60_000


@pytest.fixture
def page(browser: Browser, running_product: Product) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=running_product.url)
    context.set_default_timeout(20_000)
    page = context.new_page()
    noise = listen(page, but=ABORTED)
    sign_in(page, "admin", password=running_product.admin_password)
    yield page
    context.close()
    assert not noise


def test_a_new_user_goes_through_the_whole_loop(page: Page, running_product: Product, shared_data: Path) -> None:
    make_project(page)
    import_trajectories(page, running_product, shared_data / "tau-bench" / "gpt-4o-airline.json")
    read_one(page)
    review_some(page, 12)
    judge_pairs(page, 12)
    sft = freeze(page, "Accepted", kind="SFT")
    dpo = freeze(page, "Preferred", kind="DPO")
    export_over_rest(page, running_product, sft)
    first = train(page, sft, {"Updates": "8", "Batch size": "2", "Longest row": "2048"})
    values = {"Updates": "4", "Batch size": "2", "Gradient accumulation": "1", "Longest row": "4096"}
    second = train(page, dpo, values, start_from=first)
    compare(page, [first, second], [sft, dpo])


def make_project(page: Page) -> None:
    page.get_by_role("link", name="New project").first.click()
    page.get_by_label("Name").fill("Airline")
    page.get_by_role("button", name="Make project").click()
    expect(page.get_by_text("Airline is ready")).to_be_visible()
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Username").fill("riley")
    page.get_by_role("checkbox", name=re.compile("^Reviewer")).first.check()
    page.get_by_role("button", name="Save member").click()
    expect(page.get_by_text("Account riley made. First password")).to_be_visible()


def import_trajectories(page: Page, product: Product, file: Path) -> None:
    page.get_by_role("link", name="Imports").click()
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Look at it").click()
    expect(page.locator(".chip", has_text="tau-bench results")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Import")).click()
    expect(page.get_by_text("Done").first).to_be_visible(timeout=MINUTE)
    page.get_by_role("link", name="Trajectories", exact=True).first.click()
    expect(page.get_by_text("200 in this project")).to_be_visible()
    again = product.run_command("import_trajectories", "airline", str(file), "--json")
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout.splitlines()[-1])
    assert (report["imported"], report["unchanged"], report["rejected"]) == (0, 200, 0)


def read_one(page: Page) -> None:
    page.get_by_label("Outcome").select_option("failure")
    page.wait_for_url(re.compile("outcome=failure"))
    expect(page.get_by_text("116 fit these conditions")).to_be_visible()
    page.locator("tbody a b").first.click()
    expect(page.locator(".step").first).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator(".step.now")).to_have_count(1)
    page.get_by_role("link", name="Trajectories", exact=True).first.click()


def review_some(page: Page, number: int) -> None:
    """Work a queue by keyboard: the first answer with a first error and a correction, the others quickly."""
    page.get_by_label("Outcome").select_option("success")
    page.wait_for_url(re.compile("outcome=success"))
    page.get_by_role("link", name="Make a queue of these").click()
    page.get_by_label("Name").fill("Successes")
    page.get_by_role("button", name="Make queue").click()
    page.get_by_role("button", name=re.compile("^Review next")).click()
    expect(page.get_by_role("button", name=re.compile("^Save and next"))).to_be_visible()
    page.keyboard.press("a")
    page.keyboard.press("2")
    page.keyboard.press("x")
    expect(page.locator("#draft")).to_contain_text("Draft kept")
    page.keyboard.press("e")
    page.get_by_label("Thought").first.fill("I look at the reservation before I answer.")
    page.get_by_label("Reason", exact=True).fill("It skipped a check")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.locator("ins").first).to_be_visible()
    page.get_by_role("button", name="Save as revision 1").click()
    expect(page.get_by_text("Saved as revision 1")).to_be_visible()
    expect(page.locator("input[name=first_error]:checked")).to_have_count(1)
    for count in range(number):
        expect(page.get_by_role("button", name=re.compile("^Save and next"))).to_be_visible()
        here = page.url
        page.keyboard.press("a")
        page.keyboard.press("234"[count % 3])
        page.keyboard.press("Enter")
        page.wait_for_url(other_than(here))
    page.get_by_role("button", name=re.compile("^Undo last")).click()
    expect(page.get_by_text("is a draft again")).to_be_visible()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Review", exact=True).click()
    expect(page.get_by_text(f"{number} of 84")).to_be_visible()


def other_than(here: str) -> Callable[[str], bool]:
    """Whether an address is another page's than `here`."""
    return lambda url: url.split("#")[0] != here.split("#")[0]


def judge_pairs(page: Page, number: int) -> None:
    """Judge one pair of each of `number` tasks, so that both sides of a split by task get some."""
    page.get_by_role("link", name="Pairs", exact=True).click()
    page.get_by_role("button", name="Propose pairs").click()
    expect(page.get_by_text("✓ Searched")).to_be_visible(timeout=MINUTE)
    page.get_by_role("link", name="Pairs", exact=True).click()
    expect(page.get_by_role("link", name=re.compile(r"^Judge \d+ open"))).to_be_visible()
    rows = page.locator("#pairs tbody tr").all()
    by_task = {row.locator("td b").first.inner_text(): row.locator("a").first.get_attribute("href") for row in rows}
    for address in list(by_task.values())[:number]:
        page.goto(address or "")
        expect(page.get_by_role("button", name=re.compile("^Save and next"))).to_be_visible()
        here = page.url
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        page.wait_for_url(other_than(here))
    page.get_by_role("link", name="Pairs", exact=True).click()
    page.get_by_label("Status").select_option("confirmed")
    expect(page.locator("#pairs tbody tr")).to_have_count(number)


def freeze(page: Page, name: str, *, kind: str) -> str:
    """Make a dataset, freeze a version, and return its id."""
    page.get_by_role("link", name="Datasets", exact=True).click()
    page.get_by_role("link", name="New dataset").first.click()
    page.get_by_role("link", name=kind, exact=True).click()
    page.get_by_label("Name").fill(name)
    page.get_by_label(re.compile("Held")).first.fill("0.3")
    page.get_by_role("button", name="Make dataset").click()
    page.get_by_role("button", name="Freeze a version").click()
    expect(page.get_by_text("Frozen", exact=True)).to_be_visible(timeout=MINUTE)
    page.get_by_role("link", name="v1", exact=True).click()
    expect(page.get_by_role("link", name="Train on it")).to_be_visible()
    return page.url.rstrip("/").rsplit("/", 1)[-1]


def export_over_rest(page: Page, product: Product, version: str) -> None:
    made = product.run_command("create_token", "admin", "airline", "--name", "loop", "--scopes", "reviewer")
    assert made.returncode == 0, made.stderr
    secret = re.search(r"wst_\S+", made.stdout)
    assert secret
    request = urllib.request.Request(  # noqa: S310  # the product's own address
        f"{product.url}/api/v1/projects/airline/versions/{version}/train.jsonl",
        headers={"Authorization": f"Bearer {secret[0]}"},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310  # as above
        rows = [json.loads(line) for line in answer]
    assert rows
    assert {"messages", "tools", "task", "weight"} <= set(rows[0])


def train(page: Page, version: str, values: dict[str, str], *, start_from: str = "") -> str:
    """Launch a run on a version, wait until it is done, and return the id of the checkpoint that it made."""
    page.goto(f"/p/airline/runs/new/?version={version}")
    if start_from:
        with page.expect_response(re.compile("runs/new/")):
            page.get_by_label("Start from").select_option(start_from)
    page.get_by_text("More", exact=True).click()
    for label, value in values.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name=re.compile("^Launch")).click()
    page.wait_for_url(re.compile(r"/runs/\d+/$"))
    ended = page.locator(".chip").filter(has_text=re.compile("(done|failed|stopped)$")).first
    expect(ended).to_be_visible(timeout=6 * MINUTE)
    expect(ended).to_have_text("✓ done")
    expect(page.locator("svg .curve").first).to_be_attached()
    page.goto("/p/airline/runs/new/?version=" + version)
    option = page.locator("#base option").filter(has_text="DPO" if start_from else "SFT").first
    return option.get_attribute("value") or ""


def compare(page: Page, checkpoints: list[str], versions: list[str]) -> None:
    """Base, SFT and DPO beside one another, measured on the held-out rows of both datasets."""
    page.get_by_role("link", name="Compare", exact=True).click()
    page.get_by_role("link", name=re.compile("newest model")).click()
    missing = page.get_by_role("button", name=re.compile("^Evaluate what is missing"))
    missing.click()
    expect(missing).to_have_count(0, timeout=6 * MINUTE)
    for words in ("What differs", "held-out rows", "next-action tokens right", "chosen above rejected", "recorded"):
        expect(page.get_by_text(re.compile(words, re.IGNORECASE)).first).to_be_visible(timeout=6 * MINUTE)
