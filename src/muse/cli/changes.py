"""Which files differ between two commits, or between a commit and the work tree, with a way to read both sides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from muse.cli.patch import FileChange, Side
from muse.history.treediff import Change, diff_trees, find_renames

if TYPE_CHECKING:
    from muse.objects.tree import Entry
    from muse.store.repository import Repository


def stored_side(repository: Repository, entry: Entry | None) -> Side | None:
    """Return a file of a tree as one side of a comparison."""
    if entry is None:
        return None
    kind, object_id = entry.kind, entry.id
    return Side(
        kind, object_id, entry.size_bytes, lambda: b"".join(repository.objects.open_file(kind, object_id))
    )


def selects(path: str, wanted: list[str]) -> bool:
    """Say whether a path is one of `wanted` or below one; no `wanted` selects everything."""
    return not wanted or any(path == one or not one or path.startswith(one + "/") for one in wanted)


def tree_changes(
    repository: Repository, old: bytes | None, new: bytes | None, paths: list[str]
) -> list[FileChange]:
    """Return what differs between two trees below `paths`, exact renames found."""
    changes = [c for c in diff_trees(repository.objects.load, old, new) if selects(c.path, paths)]
    return list(_paired(repository, changes))


def _paired(repository: Repository, changes: list[Change]) -> Iterator[FileChange]:
    renames = find_renames(changes)
    moved = set(renames.values())
    old_entries = {change.path: change.old for change in changes if change.path in moved}
    for change in changes:
        if change.path in moved and change.new is None:
            continue
        old_path = renames.get(change.path, change.path)
        old = old_entries[old_path] if change.path in renames else change.old
        yield FileChange(
            change.path, old_path, stored_side(repository, old), stored_side(repository, change.new)
        )


def pair_renames(changes: Iterable[FileChange]) -> list[FileChange]:
    """Join an addition and a deletion of the same content into one rename, where the ids of both are known."""
    rows = sorted(changes, key=lambda change: change.path)
    gone: dict[bytes, list[FileChange]] = {}
    for change in rows:
        if (
            change.new is None
            and change.old is not None
            and change.old.id is not None
            and change.old.size_bytes
        ):
            gone.setdefault(change.old.id, []).append(change)
    moved: set[str] = set()
    result = []
    for change in rows:
        if change.old is None and change.new is not None and change.new.id is not None:
            sources = gone.get(change.new.id)
            if sources:
                source = sources.pop(0)
                moved.add(source.path)
                change = FileChange(change.path, source.path, source.old, change.new)
        result.append(change)
    return [change for change in result if change.path not in moved or change.new is not None]
