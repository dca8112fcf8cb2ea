"""Every page in every dress: fits a phone, can be read in both schemes, says what its parts are."""

from __future__ import annotations

import pytest
from tests.web.conftest import OpenPage
from tests.web_scene import Scene

ENGINE = "/admin/engine"

CONTRAST = """
() => {
  const parse = (text) => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    return {rgb: parts.slice(0, 3), alpha: parts.length > 3 ? parts[3] : 1};
  };
  const light = (rgb) => {
    const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.alpha === 1) return color.rgb;
    }
    return [255, 255, 255];
  };
  const weak = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const hidden = element.closest("[aria-hidden=true], .sr, .skip, .off") || !element.checkVisibility();
    const text = walker.currentNode.textContent.trim();
    if (!text || hidden) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color).rgb), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) weak.add(`${element.tagName}.${element.className} ${ratio}: ${text}`);
  }
  return [...weak];
}
"""

CUT_OFF = """
() => [...document.querySelectorAll(".tabs a")].map((tab) => [tab, tab.getBoundingClientRect()])
  .filter(([_, place]) => place.left < 0 || place.right > innerWidth).map(([tab, _]) => tab.textContent)
"""

UNNAMED = """
() => {
  const wrong = [];
  if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
  if (!document.documentElement.lang || !document.title) wrong.push("no language or title");
  if (document.querySelectorAll("main").length !== 1) wrong.push("not one main");
  let level = 1;
  for (const heading of document.querySelectorAll("main :is(h1, h2, h3, h4, h5, h6)")) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) wrong.push(`h${own} below h${level}: ${heading.textContent}`);
    level = own;
  }
  for (const input of document.querySelectorAll("input:not([type=hidden])"))
    if (!input.labels.length) wrong.push(`no label: ${input.outerHTML}`);
  for (const image of document.querySelectorAll("img"))
    if (!image.hasAttribute("alt")) wrong.push(`no alt: ${image.outerHTML}`);
  for (const link of document.querySelectorAll("a, button, summary"))
    if (!link.textContent.trim() && !link.ariaLabel) wrong.push(`no name: ${link.outerHTML}`);
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  if (new Set(ids).size !== ids.length) wrong.push("an id stands twice");
  return wrong;
}
"""


def addresses(scene: Scene) -> list[str]:
    return [
        "/",
        "/?q=no-such-repository",
        "/login",
        "/admin",
        ENGINE,
        "/admin/secret",
        f"{ENGINE}/tree/feature/printer/src",
        f"{ENGINE}/blob/main/src/engine/mill.py",
        f"{ENGINE}/blob/main/docs/guide.md",
        f"{ENGINE}/blob/main/docs/wheel.png",
        f"{ENGINE}/blob/main/docs/noise.bin",
        f"{ENGINE}/blob/main/link",
        f"{ENGINE}/commits/feature/printer",
        f"{ENGINE}/commit/{scene.first}",
        f"{ENGINE}/commit/{scene.agents}",
        f"{ENGINE}/commit/{scene.feature}",
        f"{ENGINE}/branches",
        f"{ENGINE}/tags",
        f"{ENGINE}/pushes",
        f"{ENGINE}/pushes/{scene.pushes[0]}",
    ]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_every_page_fits_and_can_be_read(scene: Scene, open_page: OpenPage, width: int, scheme: str) -> None:
    page = open_page(width, scheme, signed_in=True)
    for address in addresses(scene):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        assert page.evaluate(CUT_OFF) == [], address
        assert page.evaluate(CONTRAST) == [], address


def test_every_page_says_what_its_parts_are(scene: Scene, open_page: OpenPage) -> None:
    signed_in, nobody = open_page(signed_in=True), open_page()
    for page in (signed_in, nobody):
        for address in addresses(scene):
            if page is nobody and address == "/admin/secret":
                continue  # an error, which the console tells of
            page.goto(address)
            assert page.evaluate(UNNAMED) == [], address


def test_the_dark_scheme_is_dark_and_the_light_one_light(open_page: OpenPage) -> None:
    def brightness(scheme: str) -> float:
        page = open_page(scheme=scheme)
        page.goto(ENGINE)
        color = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        return float(sum(color) / 3)

    assert brightness("dark") < 40
    assert brightness("light") > 215
