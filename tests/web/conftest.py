"""A real browser before a real hub."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from tests.web_scene import Scene, build_scene

CHROMIUM = Path(os.environ.get("MUSE_TEST_CHROMIUM", "/usr/bin/chromium"))
"""Debian's package; another one may be named, and then has to be there."""
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    scene = build_scene(tmp_path_factory.mktemp("web"))
    yield scene
    scene.hub.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for one file of tests: as long as it runs, no test of this process can run an event loop."""
    if not CHROMIUM.exists() and "MUSE_TEST_CHROMIUM" not in os.environ:
        pytest.skip(f"no browser at {CHROMIUM}: install Debian's chromium, or name one in MUSE_TEST_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, scene: Scene) -> Iterator[OpenPage]:
    """Opens tabs of visitors of their own; whatever goes wrong in one fails the test.

    Requests to any other host than the hub, errors on the console and dialogs count as wrong.
    """
    contexts = []
    wrong: list[str] = []

    def open_one(width: int = 1280, scheme: str = "light", *, signed_in: bool = False) -> Page:
        context = browser.new_context(
            base_url=scene.url,
            viewport={"width": width, "height": 800},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: check_host(request.url))
        page.on("console", lambda message: check_console(page, message.text))
        page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"{page.url}: dialog {dialog.message}"))
        if signed_in:
            page.goto("/login")
            page.get_by_label("User name").fill("admin")
            page.get_by_label("Password").fill(scene.hub.password)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url("**/")
        return page

    def check_console(page: Page, text: str) -> None:
        if not text.startswith("Blocked script execution"):  # of a file that was pushed: as it should be
            wrong.append(f"{page.url}: {text}")

    def check_host(url: str) -> None:
        if not url.startswith((scene.url + "/", "data:")):
            wrong.append(f"a request to {url}")

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []
