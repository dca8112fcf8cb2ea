"""Markdown as HTML that may stand in a page of the hub.

What the author wrote is rendered first, HTML included, and then cleaned by an allow-list: no script,
no style, no form, no class but those of highlighted code. Addresses relative to the document become
those of the repository's pages. Pictures from other hosts are not loaded: their text stands instead.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from musehub.web.addresses import RepositoryAddresses
from musehub.web.highlight import class_names, highlight_block

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MARKDOWN_NAMES = (".md", ".markdown", ".mdown", ".mkd")

MARKDOWN_MAX_CHARS = 200_000
"""Longer documents are shown as they were written: the time that links and tags left open take grows with the
square of their number. It is three seconds here, and minutes for a megabyte."""

_TAGS = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "wbr", "div", "span", "pre", "center"),
    *("blockquote", "ul", "ol", "li", "dl", "dt", "dd", "figure", "figcaption", "a", "img"),
    *("details", "summary"),
    *("table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "th", "td"),
    *("b", "i", "u", "s", "em", "strong", "strike", "del", "ins", "mark", "small", "sub", "sup", "q", "cite"),
    *("abbr", "dfn", "code", "kbd", "samp", "var", "tt"),
}
_ATTRIBUTES = {
    "*": {"title"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start"},
    "td": {"align", "colspan", "rowspan"},
    "th": {"align", "colspan", "rowspan", "scope"},
    "p": {"align"},
    "div": {"align"},
    "details": {"open"},
    **{f"h{level}": {"id", "align"} for level in range(1, 7)},
}
_SCHEMES = {"http", "https", "mailto"}


class Place:
    """Where a document stands: addresses in it are relative to its folder in that revision."""

    def __init__(self, addresses: RepositoryAddresses, rev: str, folder: str) -> None:
        self._addresses = addresses
        self._rev = rev
        self._folder = folder

    def resolve(self, address: str, *, picture: bool) -> str | None:
        """The address of a page of the repository; None for what lies outside the repository."""
        parts = urlsplit(address)
        if parts.netloc:
            return None
        fragment = f"#{parts.fragment}" if parts.fragment else ""
        if not parts.path:
            return fragment or None
        path = unquote(parts.path)
        absolute = path.lstrip("/") if path.startswith("/") else posixpath.join(self._folder, path)
        absolute = posixpath.normpath(absolute)
        if absolute == ".." or absolute.startswith("../"):
            return None
        if absolute == ".":
            return self._addresses.tree(self._rev)
        if picture:
            return self._addresses.raw(self._rev, absolute)
        if path.endswith("/"):
            return self._addresses.tree(self._rev, absolute)
        return self._addresses.blob(self._rev, absolute) + fragment


def is_markdown(file_name: str) -> bool:
    return file_name.lower().endswith(MARKDOWN_NAMES)


def render_markdown(text: str, place: Place) -> str:
    """Clean HTML; headings stand one level below those of the page around it.

    A document that is too long is shown as it was written.
    """
    if len(text) > MARKDOWN_MAX_CHARS:
        return f'<pre class="code"><code>{escape(text)}</code></pre>'
    import nh3

    html = _parser().render(text)
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        allowed_classes=_classes(),
        attribute_filter=_address_filter(place),
        url_schemes=_SCHEMES,
        link_rel="nofollow noopener noreferrer",
    )


def _address_filter(place: Place) -> Callable[[str, str, str], str | None]:
    def keep(tag: str, attribute: str, value: str) -> str | None:
        if attribute == "src":
            return place.resolve(value, picture=True) if not urlsplit(value).scheme else None
        if attribute == "href" and not urlsplit(value).netloc and not urlsplit(value).scheme:
            return place.resolve(value, picture=False)
        return value

    def keep_what_parses(tag: str, attribute: str, value: str) -> str | None:
        try:
            return keep(tag, attribute, value)
        except ValueError:  # of an address that urlsplit refuses
            return None

    return keep_what_parses


@cache
def _classes() -> dict[str, set[str]]:
    return {"span": set(class_names()), "pre": {"code"}, "li": {"task"}}


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.core.ruler.push("headings", _mark_headings)
    parser.core.ruler.push("tasks", _mark_tasks)
    parser.core.ruler.push("columns", _align_columns)
    parser.add_render_rule("fence", _render_code)
    parser.add_render_rule("code_block", _render_code)
    return parser


def _render_code(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    token = tokens[index]
    language = token.info.split()[0] if token.info.split() else ""
    return f'<pre class="code"><code>{highlight_block(token.content, language)}</code></pre>\n'


def _mark_headings(state: Any) -> None:
    """Give headings an id made of their text, so that a table of contents works, and move them down."""
    seen: dict[str, int] = {}
    for index, token in enumerate(state.tokens):
        if token.type not in ("heading_open", "heading_close"):
            continue
        token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
        if token.type == "heading_open":
            parts = state.tokens[index + 1].children or ()
            text = "".join(part.content for part in parts if part.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
            number = seen.get(slug, 0)
            seen[slug] = number + 1
            token.attrSet("id", f"{slug}-{number}" if number else slug)


def _mark_tasks(state: Any) -> None:
    """Show `[ ]` and `[x]` at the beginning of a list item as boxes."""
    tokens = state.tokens
    for index, token in enumerate(tokens):
        if token.type != "inline" or index < 2 or tokens[index - 2].type != "list_item_open":
            continue
        first = token.children[0] if token.children else None
        if first is not None and first.type == "text" and re.match(r"\[[ xX]\] ", first.content):
            first.content = ("☐ " if first.content[1] == " " else "☑ ") + first.content[4:]
            tokens[index - 2].attrSet("class", "task")


def _align_columns(state: Any) -> None:
    """Say the alignment of cells in an attribute: style sheets of the author's own are not let through."""
    for token in state.tokens:
        if token.type in ("th_open", "td_open") and "style" in token.attrs:
            token.attrSet("align", str(token.attrs.pop("style")).removeprefix("text-align:"))
