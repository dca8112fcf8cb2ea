"""Paths as commands name them and as trees hold them; and which a checkout may write."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from muse.errors import InvalidData, NotFound
from muse.objects.names import RESERVED, folded, split_path

_INVISIBLE = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])
"""Characters that HFS+ drops from names before it looks them up."""


def to_tree_path(work_dir: Path, path: str | Path, folder: Path) -> str:
    """Return the slash path in the tree of `path` as seen from `folder`; "" for the root of the work tree.

    Links among the parents are resolved, the last part is not. Raises `unknown-path` outside of the work
    tree.
    """
    absolute = os.path.normpath(os.path.join(folder, path))
    parent, name = os.path.split(absolute)
    root = os.path.realpath(work_dir)
    if os.path.realpath(absolute) != root:
        absolute = os.path.join(os.path.realpath(parent), name)
    else:
        absolute = root
    relative = os.path.relpath(absolute, root)
    if relative == ".." or relative.startswith("../"):
        raise NotFound("unknown-path", f'"{path}" is outside of the work tree "{work_dir}"')
    return "" if relative == "." else relative


def check_writable_path(path: str) -> None:
    """Raise `bad-path` unless a checkout may write this path of a tree."""
    if path.isascii() and ".git" not in path.lower():
        return
    for name in split_path(path):
        if folded(name.translate(_INVISIBLE)) in RESERVED:
            raise InvalidData(
                "bad-path",
                f'"{path}" is never written: "{name}" belongs to a version-control program',
                details={"path": path},
            )


def parent_of(path: str) -> str:
    return path.rpartition("/")[0]


def join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


class Selection:
    """Paths that a command was limited to, each with everything below it."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = sorted(set(paths))
        self._chosen = set(self.paths)
        self._ancestors = {""}
        for path in self.paths:
            while path:
                path = parent_of(path)
                self._ancestors.add(path)

    def covers(self, path: str) -> bool:
        """Say whether `path` is one of the paths or below one."""
        chosen = self._chosen
        while path:
            if path in chosen:
                return True
            path = parent_of(path)
        return "" in chosen

    def leads_to(self, directory: str) -> bool:
        """Say whether one of the paths is below `directory`."""
        return directory in self._ancestors
