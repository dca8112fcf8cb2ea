"""How much a tree may hold to be checked out: a few kilobytes can name more files than there are disks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from muse.errors import LimitReached
from muse.history.treediff import Change, diff_trees
from muse.objects.ids import Kind
from muse.objects.tree import decode_tree

if TYPE_CHECKING:
    from muse.history.directory import Load

MAX_FILES = 4_000_000
"""What a checkout changes at once is planned in memory, with some 400 bytes for each."""
MAX_DIRECTORIES = 4_000_000
"""A directory may stand in a tree any number of times, and hold no file at all."""


def iter_changes(
    load: Load,
    old: bytes | None,
    new: bytes | None,
    max_files: int = MAX_FILES,
    max_directories: int = MAX_DIRECTORIES,
) -> Iterator[Change]:
    """As `diff_trees`; raises `too-large` instead of going on without end."""
    visits = 0

    def load_counted(kind: Kind, object_id: bytes) -> bytes:
        nonlocal visits
        visits += 1
        if visits > max_directories:
            raise _too_large(f"more than {max_directories:,} directories")
        return load(kind, object_id)

    if new is not None and _claimed_files(load, new) > max_files and old is None:
        raise _too_large(f"more than {max_files:,} files")  # by its own word; it may also hold more than that
    try:
        for number, change in enumerate(diff_trees(load_counted, old, new)):
            if number >= max_files:
                raise _too_large(f"more than {max_files:,} files")
            yield change
    except RecursionError:
        raise _too_large("more directories within one another than any file system") from None


def _claimed_files(load: Load, tree_id: bytes) -> int:
    tree = decode_tree(load(Kind.TREE, tree_id))
    return sum(item.files for item in (tree.pages if tree.level else tree.entries))


def _too_large(what: str) -> LimitReached:
    return LimitReached(
        "too-large",
        f"a commit has {what} to check out",
        hint="`muse clone --no-checkout` brings it without; `muse restore PATH` takes out a part",
    )
