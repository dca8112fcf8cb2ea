"""Which files differ between two commits, or a commit and the work tree, with a way to read both sides."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from muse.cli.patch import FileChange, Side
from muse.errors import MuseError
from muse.history.treediff import Change, diff_trees, find_renames
from muse.objects.tree import CHUNKED_EXECUTABLE, CHUNKED_FILE, DIRECTORY, EXECUTABLE, FILE, SYMLINK

if TYPE_CHECKING:
    from muse.objects.tree import Entry
    from muse.store.progress import Progress
    from muse.store.repository import Repository

_PLAIN = {CHUNKED_FILE: FILE, CHUNKED_EXECUTABLE: EXECUTABLE}


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


def work_changes(
    repository: Repository, base: bytes | None, paths: list[str], progress: Progress | None
) -> list[FileChange]:
    """Return what differs between the tree `base` and the work tree below `paths`, exact renames found.

    Costs a status, a diff of `base` with the current commit, and a look-up per path that differs.
    """
    from muse.history.lookup import find_path
    from muse.worktree.status import status

    load = repository.objects.load
    found = status(repository, paths or None, progress=progress)
    current = repository.refs.head().target
    head = repository.graph(current).tree if current is not None else None
    renames = {new: old for old, new in found.renamed}
    on_disk = {*found.added, *(change.path for change in found.modified), *renames}
    gone = {*found.deleted, *renames.values()}
    rows: list[FileChange] = []
    touched = on_disk | gone
    if base != head:
        touched |= {change.path for change in diff_trees(load, base, head) if selects(change.path, paths)}
        renames = {}
    moved = set(renames.values())
    for path in sorted(touched):
        if path in moved and path not in on_disk:
            continue
        old_path = renames.get(path, path)
        old = _file(find_path(load, base, old_path) if base is not None else None)
        if path in on_disk:
            new = disk_side(repository, path)
        elif path in gone:
            new = None
        else:
            new = stored_side(repository, _file(find_path(load, head, path) if head is not None else None))
        if path == old_path and old and new and _same(repository, path, old, new):
            continue
        if old is not None or new is not None:
            rows.append(FileChange(path, old_path, stored_side(repository, old), new))
    return rows


def _same(repository: Repository, path: str, old: Entry, new: Side) -> bool:
    """Say whether a file is what it was in `old`; reads one of the work tree if its size does not tell."""
    if new.id is not None:
        return (new.kind, new.id) == (old.kind, old.id)
    if new.size_bytes != old.size_bytes or new.kind != _PLAIN.get(old.kind, old.kind):
        return False
    from muse.worktree.reading import digest_file, digest_of

    try:
        found, _ = digest_file(str(repository.work_dir / path), path, new.kind)
    except MuseError:
        return False  # being written right now
    return found == digest_of(old, repository.objects.load)


def _file(entry: Entry | None) -> Entry | None:
    return entry if entry is not None and entry.kind != DIRECTORY else None


def disk_side(repository: Repository, path: str) -> Side | None:
    """Return a file of the work tree as one side of a comparison, not read yet; None if it is gone."""
    place = repository.work_dir / path
    try:
        found = place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(found.st_mode):
        return Side(SYMLINK, None, found.st_size, lambda: os.fsencode(os.readlink(place)))
    kind = EXECUTABLE if found.st_mode & stat.S_IXUSR else FILE
    return Side(kind, None, found.st_size, place.read_bytes)
