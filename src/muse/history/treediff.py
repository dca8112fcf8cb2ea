"""What differs between two trees, at the cost of what differs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from muse.history.directory import Load, Nodes
from muse.history.lookup import iter_files
from muse.objects.tree import DIRECTORY, Entry


class Change(NamedTuple):
    """One path that is not a directory, before and after; None where it does not exist."""

    path: str
    old: Entry | None
    new: Entry | None


def diff_directories(
    load: Load, old: bytes | None, new: bytes | None
) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Yield the entries of one directory that differ, by name; pages that both sides share are not read."""
    old_nodes = Nodes(load, old) if old is not None else None
    new_nodes = Nodes(load, new) if new is not None else None
    before = _entries_without(old_nodes, new_nodes)
    after = _entries_without(new_nodes, old_nodes)
    for name in sorted(before.keys() | after.keys()):
        pair = before.get(name), after.get(name)
        if pair[0] != pair[1]:
            yield pair


def _entries_without(nodes: Nodes | None, other: Nodes | None) -> dict[str, Entry]:
    if nodes is None:
        return {}
    shared = {leaf.id for leaf in other.leaves} if other is not None else set()
    return {
        entry.name: entry for leaf in nodes.leaves if leaf.id not in shared for entry in nodes.entries(leaf)
    }


def diff_trees(load: Load, old: bytes | None, new: bytes | None, prefix: str = "") -> Iterator[Change]:
    """Yield every path that differs, depth first; None stands for the empty tree.

    Equal directories and pages are skipped unread. A file that became a directory is a deletion and
    additions.
    """
    if old == new:
        return
    for before, after in diff_directories(load, old, new):
        name = (before or after or _NOTHING).name
        path = f"{prefix}{name}"
        old_tree = before.id if before is not None and before.kind == DIRECTORY else None
        new_tree = after.id if after is not None and after.kind == DIRECTORY else None
        old_file = before if old_tree is None else None
        new_file = after if new_tree is None else None
        if old_file != new_file:
            yield Change(path, old_file, new_file)
        if old_tree is not None and new_tree is not None:
            yield from diff_trees(load, old_tree, new_tree, f"{path}/")
        elif old_tree is not None:
            for inner, entry in iter_files(load, old_tree, f"{path}/"):
                yield Change(inner, entry, None)
        elif new_tree is not None:
            for inner, entry in iter_files(load, new_tree, f"{path}/"):
                yield Change(inner, None, entry)


_NOTHING = Entry("", "", b"", 0)


def find_renames(changes: list[Change]) -> dict[str, str]:
    """Return {new path: old path} for files that moved with their exact content; each old path at most
    once."""
    gone: dict[bytes, list[str]] = {}
    for change in changes:
        if change.old is not None and change.new is None and change.old.size_bytes:
            gone.setdefault(change.old.id, []).append(change.path)
    renames = {}
    for change in changes:
        if change.new is not None and change.old is None and gone.get(change.new.id):
            renames[change.path] = gone[change.new.id].pop(0)
    return renames
