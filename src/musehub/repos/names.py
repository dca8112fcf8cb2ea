"""Which names repositories may have."""

from __future__ import annotations

import re

from muse.errors import UsageError
from muse.wire.refnames import HEADS, check_ref_name

MAX_DESCRIPTION = 500

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_-])){0,99}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""Tabs and ends of lines may be in a text."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_ENDINGS = (".git", ".muse", ".lock")


def parse_repository_name(text: str) -> str:
    """`text` if it may name a repository; raises UsageError("bad-name")."""
    if not _NAME.fullmatch(text) or text.lower().endswith(_ENDINGS):
        raise UsageError(
            "bad-name",
            f"{text[:200]!r} cannot name a repository",
            hint="use 1 to 100 of a-z, A-Z, 0-9, '_', '-' and single dots between them; no final .git",
        )
    return text


def check_description(text: str) -> str:
    """Return it if it may describe a repository; raises UsageError("bad-arguments")."""
    if len(text) > MAX_DESCRIPTION or _LONE_SURROGATE.search(text):
        raise UsageError("bad-arguments", f"a description has at most {MAX_DESCRIPTION} characters of text")
    if _CONTROL.search(text):
        raise UsageError("bad-arguments", "a description has no control characters")
    return text


def check_branch_name(text: str) -> str:
    """Return it if a branch may be called so; raises UsageError("bad-name")."""
    check_ref_name(HEADS + text)
    return text
