"""Find and list what a tree holds."""

from __future__ import annotations

from collections.abc import Iterator

from muse.history.directory import Load, find_entry, iter_entries
from muse.objects.tree import DIRECTORY, Entry


def find_path(load: Load, root: bytes, path: str) -> Entry | None:
    """Return the entry at a slash path, None when there is none; the root itself has no entry."""
    tree_id = root
    parts = path.strip("/").split("/")
    for depth, name in enumerate(parts):
        entry = find_entry(load, tree_id, name)
        if entry is None or depth == len(parts) - 1:
            return entry
        if entry.kind != DIRECTORY:
            return None
        tree_id = entry.id
    return None


def iter_files(load: Load, root: bytes, prefix: str = "") -> Iterator[tuple[str, Entry]]:
    """Yield (path, entry) of everything that is not a directory, depth first, each directory by name."""
    for entry in iter_entries(load, root):
        path = f"{prefix}{entry.name}"
        if entry.kind == DIRECTORY:
            yield from iter_files(load, entry.id, f"{path}/")
        else:
            yield path, entry
