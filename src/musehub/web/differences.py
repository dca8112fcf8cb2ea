"""Two versions of a file, line by line."""

from __future__ import annotations

from typing import NamedTuple

from muse.history.textdiff import Hunk, compare_lines
from musehub.web.highlight import split_lines


class TextDifference(NamedTuple):
    hunks: list[Hunk]
    added: int
    deleted: int
    ends_differ: bool
    """The versions differ in how lines end, or in the end of the last line, and perhaps nowhere else."""


def decode_text(data: bytes) -> str | None:
    """The text of a file, None if it is not one: it holds a NUL or many bytes that are not UTF-8."""
    if b"\0" in data[:8000]:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        return text if text.count("�") <= len(text) // 10 else None


def compare_texts(old: str, new: str) -> TextDifference:
    """A unified diff with numbered lines."""
    hunks, added, deleted = compare_lines(split_lines(old), split_lines(new))
    return TextDifference(hunks, added, deleted, not hunks and old != new)
