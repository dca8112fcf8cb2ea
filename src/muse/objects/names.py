"""Which names a tree entry may have (docs/formats/objects.md, "Names").

Checked in both directions: when a tree is written from a work tree, and when one is received.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from muse.errors import Conflict, InvalidData

MAX_NAME_BYTES = 255
RESERVED = frozenset({".muse", ".git"})
"""In any letter case, at any depth: whoever may write there decides what the user's programs run."""
FORBIDDEN = frozenset({"", ".", ".."}) | RESERVED


def _reason(name: str) -> str | None:
    if name in FORBIDDEN or name.casefold() in RESERVED:
        return "the name is reserved"
    if "/" in name or "\0" in name:
        return "the name holds a slash or a NUL"
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "the name is not valid UTF-8"
    if len(encoded) > MAX_NAME_BYTES:
        return f"the name is longer than {MAX_NAME_BYTES} bytes"
    return None


def _may_be_reserved(joined: str) -> bool:
    """Say whether one of the names between NULs has to be looked at; `.gitignore` has not."""
    return ".muse" in joined or ".git\0" in joined or joined.endswith(".git")


def check_name(name: str) -> None:
    """Raise `bad-path` unless `name` may stand in a tree."""
    reason = _reason(name)
    if reason is not None:
        raise InvalidData("bad-path", f"{name!r} may not be the name of a tree entry: {reason}")


def is_plain_column(column: bytes) -> bool:
    """Say whether one look at names with NULs between them is enough to know that all of them are good.

    Most directories hold no name that begins with a dot, and none that is not ASCII.
    """
    return (
        column.isascii()
        and b"/" not in column
        and b"\0." not in column
        and b"\0\0" not in column
        and not column.startswith((b".", b"\0"))
        and column[-1:] not in (b"", b"\0")
        and (len(column) <= MAX_NAME_BYTES or max(map(len, column.split(b"\0"))) <= MAX_NAME_BYTES)
    )


def check_names(names: list[str]) -> None:
    """Check all names of one directory; the plain case costs three passes in C."""
    joined = "\0".join(names)
    if (
        joined.isascii()
        and "/" not in joined
        and joined.count("\0") == max(len(names) - 1, 0)
        and FORBIDDEN.isdisjoint(names)
        and max(map(len, names), default=0) <= MAX_NAME_BYTES
        and not _may_be_reserved(joined.lower())
    ):
        return
    for name in names:
        check_name(name)


def split_path(path: str) -> list[str]:
    """Split a slash-separated relative path into checked names; raises `bad-path`."""
    parts = path.split("/")
    check_names(parts)
    return parts


def folded(name: str) -> str:
    """Return the form under which case-insensitive or normalising file systems confuse names."""
    return name.casefold() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def find_collisions(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of names of one directory that some file systems cannot keep apart."""
    seen: dict[str, str] = {}
    pairs = []
    for name in names:
        first = seen.setdefault(folded(name), name)
        if first != name:
            pairs.append((first, name))
    return pairs


def check_collisions(names: Iterable[str]) -> None:
    """Raise `name-collision` when two names differ only by case or Unicode form."""
    for first, second in find_collisions(names):
        raise Conflict(
            "name-collision",
            f'"{first}" and "{second}" differ only by case or Unicode form',
            hint="rename one of them, or work on a case-sensitive file system",
            details={"names": [first, second]},
        )
