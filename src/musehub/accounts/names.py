"""Which names users may have."""

from __future__ import annotations

import re

from muse.errors import UsageError

_USER_NAME = re.compile(r"[a-z0-9](?:[a-z0-9]|[._-](?=[a-z0-9])){0,38}")

# First segments of addresses that the hub itself answers; a user of that name would be out of reach.
RESERVED_USER_NAMES = frozenset(
    (
        *("about", "api", "assets", "auth", "explore", "health", "help", "issues", "login", "logout"),
        *("metrics", "new", "notifications", "objects", "packs", "ready", "search", "settings", "signup"),
        *("static", "store", "upload", "uploads", "users", "well-known"),
    )
)


def parse_user_name(text: str) -> str:
    """`text` if it may name a user; raises UsageError("bad-name")."""
    if not _USER_NAME.fullmatch(text):
        raise UsageError(
            "bad-name",
            f'"{text}" cannot name a user',
            hint="use 1 to 39 of a-z, 0-9, and single dots, dashes or underscores between them",
        )
    if text in RESERVED_USER_NAMES:
        raise UsageError("bad-name", f'the name "{text}" is reserved', hint="choose another one")
    return text
