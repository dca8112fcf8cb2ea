"""Names of refs on a hub (docs/formats/wire.md, "Refs"): Git's rules below `heads/` and `tags/`."""

from __future__ import annotations

import re

from muse.errors import UsageError

MAX_REF_NAME_BYTES = 255
HEADS = "heads/"
TAGS = "tags/"

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)|\.$|/$")


def is_ref_name(name: str) -> bool:
    """Say whether `name` is a full ref name such as `heads/main` or `tags/v1`."""
    if not name.startswith((HEADS, TAGS)) or _FORBIDDEN.search(name):
        return False
    try:
        return len(name.encode()) <= MAX_REF_NAME_BYTES
    except UnicodeEncodeError:
        return False


def full_ref_name(name: str, prefix: str = HEADS) -> str:
    """Return a name in full, a bare one below `prefix`; `refs/heads/main` is understood as Git writes it."""
    name = name.removeprefix("refs/")
    return name if name.startswith((HEADS, TAGS)) else prefix + name


def check_ref_name(name: str) -> None:
    """Raise `bad-name` unless `name` is a full ref name."""
    if not is_ref_name(name):
        raise UsageError(
            "bad-name",
            f"{name[:300]!r} may not be the name of a branch or tag",
            hint="use letters, digits, dashes and single slashes; no spaces, no '..', no final '.lock'",
        )
