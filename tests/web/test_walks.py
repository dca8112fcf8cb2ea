"""What people do with the pages, in a real browser."""

from __future__ import annotations

import itertools

from playwright.sync_api import expect
from tests.web.conftest import OpenPage
from tests.web_scene import MILL, Scene

ENGINE = "/admin/engine"


def test_signing_in_with_the_keyboard_alone(scene: Scene, open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    while page.evaluate("document.activeElement.textContent") != "Sign in":
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_label("User name")).to_be_focused()
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type(scene.hub.password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Yours")).to_be_visible()
    page.get_by_role("link", name="admin/secret").click()
    expect(page.get_by_role("link", name="plans.txt")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in", exact=True).first).to_be_visible()
    expect(page.get_by_text("secret")).to_have_count(0)


def test_finding_a_line_of_a_file_on_another_branch(open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/")
    page.get_by_role("searchbox").fill("engi")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="admin/engine").click()
    page.get_by_role("link", name="src", exact=True).click()
    page.get_by_role("link", name="engine", exact=True).last.click()
    page.get_by_role("link", name="mill.py").click()
    page.locator("summary").click()
    page.get_by_role("link", name="feature/printer").click()
    expect(page.get_by_text("return number + 2")).to_be_visible()
    page.get_by_role("link", name="Line 5").click()
    assert page.url.endswith("/blob/feature/printer/src/engine/mill.py#L5")
    marked = page.evaluate("getComputedStyle(document.querySelector('tr:target')).backgroundColor")
    plain = page.evaluate("getComputedStyle(document.querySelector('#L4')).backgroundColor")
    assert marked != plain


def test_copying_source_copies_the_text_without_its_line_numbers(open_page: OpenPage) -> None:
    page = open_page()
    page.goto(f"{ENGINE}/blob/main/src/engine/mill.py")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('.source tbody'))")
    lines = page.evaluate("getSelection().toString()").replace("\t", "").splitlines()
    assert [line for line in lines if line.strip()] == [line for line in MILL.splitlines() if line.strip()]


def test_following_a_history_into_a_change(open_page: OpenPage) -> None:
    page = open_page()
    page.goto(f"{ENGINE}/commits/feature/printer")
    page.get_by_role("link", name="Turn by two").click()
    expect(page.locator("tr.minus td")).to_contain_text("return number + 1")
    expect(page.locator("tr.plus td")).to_contain_text("return number + 2")
    pictures = page.locator(".picture-pair img")
    expect(pictures).to_have_count(2)
    size = "async image => { await image.decode(); return image.naturalWidth }"
    assert [picture.evaluate(size) for picture in pictures.all()] == [8, 8]


def test_what_a_repository_holds_never_runs(open_page: OpenPage) -> None:
    page = open_page()
    page.goto(ENGINE)
    assert "taken" not in page.title()
    assert page.locator("main script").count() == 0
    for path in ("docs/page.html", "docs/drawing.svg"):
        page.goto(f"{ENGINE}/raw/main/{path}")  # a dialog would fail the test
        assert page.locator("h1").count() == 0
    page.goto(f"{ENGINE}/blob/main/docs/drawing.svg")
    expect(page.get_by_role("img", name="drawing.svg")).to_be_attached()


def test_seeing_where_the_time_of_a_push_went(scene: Scene, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(f"{ENGINE}/pushes")
    page.locator("tbody tr").last.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Where the time went")).to_be_visible()
    boxes = [bar.bounding_box() for bar in page.locator(".waterfall tbody rect").all()]
    shown = [(box["x"], box["x"] + box["width"]) for box in boxes if box is not None and box["width"] > 0]
    assert len(shown) >= 5
    for (_start, end), (next_start, _end) in itertools.pairwise(shown):
        assert abs(next_start - end) < 4, "each bar begins where the one before it ends"
    page.get_by_text(f"Push id {scene.pushes[0]}").click()
    expect(page.get_by_text('"state": "done"')).to_be_visible()
