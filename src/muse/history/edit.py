"""Edit a tree of directories by paths: the one way in which new trees come to be."""

from __future__ import annotations

from collections.abc import Mapping

from muse.errors import InvalidData
from muse.history.directory import Directory, Load, Put, edit_directory, find_entries
from muse.objects.tree import DIRECTORY, Entry


def edit_tree(load: Load, root: bytes | None, changes: Mapping[str, Entry | None], put: Put) -> Directory:
    """Store the tree that `root` becomes when `changes` are applied, and return it.

    `changes` maps slash paths to entries, whose own names do not matter; None deletes a file or a whole
    directory. A file in the way of a new directory is replaced; directories left empty vanish. `root` None is
    the empty tree. Reads and writes only directories with changes in them. Raises `bad-path`.
    """
    here: dict[str, Entry | None] = {}
    below: dict[str, dict[str, Entry | None]] = {}
    for path, entry in changes.items():
        name, slash, rest = path.partition("/")
        if slash:
            below.setdefault(name, {})[rest] = entry
        else:
            here[name] = entry
    old = find_entries(load, root, below) if root is not None and below else {}
    for name, inner in below.items():
        additions = any(entry is not None for entry in inner.values())
        if here.get(name) is not None:
            if additions:
                raise InvalidData("bad-path", f'"{name}" cannot be a file and a directory at once')
            continue
        entry = old.get(name)
        is_directory = entry is not None and entry.kind == DIRECTORY and name not in here
        if not additions and not is_directory:
            continue
        directory = edit_tree(load, entry.id if entry and is_directory else None, inner, put)
        here[name] = directory.as_entry(name) if directory.entries else None
    return edit_directory(load, root, here, put)
