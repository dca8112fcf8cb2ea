"""Source text as HTML with a class per kind of word; the colours are in the style sheet.

Pygments takes a fraction of a second to import and a second for a megabyte of text: callers run
this in a thread.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from pygments.lexer import Lexer

T = TypeVar("T")

HIGHLIGHT_MAX_CHARS = 300_000
"""Longer texts are shown plain: some lexers manage no more than 300,000 characters a second."""
HIGHLIGHT_MAX_S = 2.0
"""Of one processor, then the text is shown plain: with some lexers every quote that is opened and not closed
looks through the whole rest of the file."""
_MAX_LINE_CHARS = 2_000
"""Nobody reads longer ones. A lexer with look-ahead takes seconds for a line of 20,000, in one match, and
nothing else runs beside it."""


class _TooSlow(Exception):
    """The lexer has had its time."""


def highlight_lines(text: str, file_name: str) -> list[str]:
    """One piece of HTML per line of `text`, without line ends; the language is guessed from the name."""
    lexer = None
    if len(text) <= HIGHLIGHT_MAX_CHARS and _longest_line(text) <= _MAX_LINE_CHARS:
        lexer = _find_lexer(text, file_name)
    if lexer is None:
        return [escape(line) for line in split_lines(text)]
    try:
        return _format(text, lexer)
    except _TooSlow:
        return [escape(line) for line in split_lines(text)]


def highlight_block(text: str, language: str) -> str:
    """The inside of a code block of Markdown; plain when the language is not known."""
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    if not language or len(text) > HIGHLIGHT_MAX_CHARS or _longest_line(text) > _MAX_LINE_CHARS:
        return escape(text)
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return escape(text)
    try:
        return "\n".join(_format(text, lexer)) + ("\n" if text.endswith("\n") else "")
    except _TooSlow:
        return escape(text)


def class_names() -> frozenset[str]:
    """Every class that the functions above may write."""
    from pygments.token import STANDARD_TYPES

    return frozenset(STANDARD_TYPES.values()) - {""}


def split_lines(text: str) -> list[str]:
    """The lines of a file: cut at line feeds only, as every diff counts them."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    # A lone carriage return is no line end; shown as its sign, no lexer takes it for one.
    return [line.removesuffix("\r").replace("\r", "␍") for line in lines]


def _format(text: str, lexer: Lexer) -> list[str]:
    from pygments import format as format_tokens
    from pygments.formatters import HtmlFormatter

    tokens = _within_time(lexer.get_tokens("\n".join(split_lines(text))))
    html = format_tokens(tokens, HtmlFormatter(nowrap=True))
    # A lexer or the formatter adds a line end of its own.
    lines: list[str] = html.split("\n")
    count = len(split_lines(text))
    return lines[:count] + [""] * (count - len(lines))


def _within_time(tokens: Iterable[T]) -> Iterator[T]:
    end = time.thread_time() + HIGHLIGHT_MAX_S
    for token in tokens:
        yield token
        if time.thread_time() > end:
            raise _TooSlow


def _find_lexer(text: str, file_name: str) -> Lexer | None:
    from pygments.lexers import get_lexer_for_filename
    from pygments.util import ClassNotFound

    try:
        return get_lexer_for_filename(file_name, text[:4096], stripnl=False, ensurenl=False)
    except ClassNotFound:
        return _lexer_of_script(text)


def _lexer_of_script(text: str) -> Lexer | None:
    """The language that a `#!` line names."""
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    if not text.startswith("#!"):
        return None
    words = text[2:].split("\n", 1)[0].replace("/", " ").split()
    program = words[-1].rstrip("0123456789.") if words else ""
    try:
        return get_lexer_by_name(program, stripnl=False, ensurenl=False) if program else None
    except ClassNotFound:
        return None


def _longest_line(text: str) -> int:
    return max(map(len, text.split("\n")))
