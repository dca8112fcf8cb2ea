"""Which names repositories may have."""

from __future__ import annotations

import re

from muse.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_-])){0,99}")
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
