"""Make the README's screenshot: `python -m tests.screenshot` starts the product and photographs its demo project."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.conftest import BROWSER_NAMES, BROWSER_OPTIONS
from tests.serving.product import Product
from webapp.paths import BASE_DIR

PICTURE = BASE_DIR / "docs" / "review.png"


def take_screenshot(product: Product) -> None:
    """The review workbench on the demo's first item, 1280 x 800 px, light."""
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSER_NAMES)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER_OPTIONS)
        page = browser.new_page(viewport={"width": 1280, "height": 800}, base_url=product.url, color_scheme="light")
        page.goto("/sign-in/")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(product.admin_password)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="Demo: BabyAI").click()
        page.locator("tbody form button").first.click()
        page.get_by_role("button", name="Save and next").wait_for()
        for key in "a3jj":
            page.keyboard.press(key)
        page.get_by_text("Draft kept").wait_for()
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE)
        browser.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="whetstone-screenshot-") as folder:
        product = Product(Path(folder) / "home")
        product.start()
        try:
            take_screenshot(product)
        finally:
            product.stop()


if __name__ == "__main__":
    main()
