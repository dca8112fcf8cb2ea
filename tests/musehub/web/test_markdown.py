"""Markdown of strangers becomes HTML that may stand in a page."""

from __future__ import annotations

import pytest

from musehub.web.addresses import RepositoryAddresses
from musehub.web.markdown import Place, render_markdown

PLACE = Place(RepositoryAddresses("ada", "engine"), "feature/x", "docs")


def render(text: str) -> str:
    return render_markdown(text, PLACE)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        '<a href="java\tscript:alert(1)">a</a>',
        '<a href="data:text/html,<script>1</script>">a</a>',
        "<iframe src='/'></iframe>",
        "<form action='/logout' method=post><input name=form_token></form>",
        "<style>body{display:none}</style>",
        '<p style="position:fixed">over everything</p>',
        '<svg onload="alert(1)"></svg>',
        '<div class="notice bad">signed by the hub</div>',
        "<base href='//elsewhere.example/'>",
        "<meta http-equiv=refresh content='0;url=//elsewhere.example/'>",
    ],
)
def test_nothing_active_and_nothing_of_the_hubs_own_gets_through(text: str) -> None:
    html = render(text)
    for word in ("<script", "onerror", "onload", "<iframe", "<form", "<input", "<style", "style=", "<svg"):
        assert word not in html
    for word in ('href="java', 'href="data', "notice", "<base", "<meta"):
        assert word not in html


@pytest.mark.parametrize(
    ("address", "resolved"),
    [
        ("guide.md", "/ada/engine/blob/feature/x/docs/guide.md"),
        ("guide.md#part", "/ada/engine/blob/feature/x/docs/guide.md#part"),
        ("../README.md", "/ada/engine/blob/feature/x/README.md"),
        ("/LICENSE", "/ada/engine/blob/feature/x/LICENSE"),
        ("../src/", "/ada/engine/tree/feature/x/src"),
        ("..", "/ada/engine/tree/feature/x"),
        ("a%20b.md", "/ada/engine/blob/feature/x/docs/a%20b.md"),
        ("ü.md", "/ada/engine/blob/feature/x/docs/%C3%BC.md"),
        ("#part", "#part"),
        ("https://example.org/x", "https://example.org/x"),
        ("mailto:ada@example.org", "mailto:ada@example.org"),
    ],
)
def test_links_lead_to_pages_of_the_repository(address: str, resolved: str) -> None:
    assert f'href="{resolved}"' in render(f"[text](<{address}>)")


@pytest.mark.parametrize("address", ["../../outside.md", "http://[broken"])
def test_links_that_lead_nowhere_are_only_text(address: str) -> None:
    html = render(f'<a href="{address}">text</a>')
    assert "href" not in html
    assert "text" in html


def test_pictures_of_the_repository_are_shown_and_others_are_not_loaded() -> None:
    assert 'src="/ada/engine/raw/feature/x/docs/a.png"' in render("![shot](a.png)")
    for foreign in ("https://elsewhere.example/p.png", "//elsewhere.example/p", "data:image/png;base64,AA=="):
        html = render(f"![shot]({foreign})")
        assert "src" not in html
        assert 'alt="shot"' in html


def test_tables_tasks_and_code_are_rendered() -> None:
    table = "| a | b |\n|---|--:|\n| 1 | ~~2~~ |\n\n"
    html = render(table + "- [ ] open\n- [x] done\n\n```python\nimport os\n```\n")
    assert '<td align="right"><s>2</s></td>' in html
    assert "☐ open" in html
    assert "☑ done" in html
    assert '<span class="kn">import</span>' in html


def test_code_in_an_unknown_language_is_plain_and_escaped() -> None:
    assert '<pre class="code"><code>&lt;b&gt;\n</code></pre>' in render("```no-such-language\n<b>\n```\n")


def test_headings_can_be_linked_to_and_stand_below_those_of_the_page() -> None:
    html = render("# The `muse` way\n\n## Again\n\n## Again\n")
    assert '<h2 id="the-muse-way">' in html
    assert '<h3 id="again">' in html
    assert '<h3 id="again-1">' in html


def test_a_long_document_is_shown_as_it_was_written() -> None:
    """A megabyte of tags that are never closed would keep a processor busy for minutes."""
    html = render("<div>" * 60_000)
    assert html.startswith('<pre class="code"><code>&lt;div&gt;&lt;div&gt;')
    assert "<div>" not in html
