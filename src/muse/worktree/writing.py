"""Writing the user's files: each whole or not at all, and never through a link.

Directories are opened one below the other and not followed when they are links, so whatever a tree says and
whoever swaps a directory for a link meanwhile, nothing outside of the work tree is written. A file is made in
`.muse/tmp` and moved to its place: a crash leaves no half file and nothing foreign in the user's folders. In
a directory that the same checkout made, a file is made where it belongs, with half as many system calls. A
crash may leave the beginning of a file there; the mark of `muse.store.unfinished` stands, and the next
checkout knows it for what it is.
"""

from __future__ import annotations

import errno
import os
import time
from collections import OrderedDict
from collections.abc import Iterable
from types import TracebackType

from muse.errors import Conflict
from muse.objects.tree import EXECUTABLE_KINDS, Entry
from muse.store.repository import Repository
from muse.worktree.making import copy_entry, create_file, unlink_quietly
from muse.worktree.plan import would_overwrite
from muse.worktree.statrow import Stats, is_settled, stats_of

OPEN_DIRECTORIES = 100
"""A process may have 256 open files on some systems."""
MAX_OPEN_DIRECTORIES = 1000
"""Files come in the order of the store, which goes round the directories: what is closed is opened again."""
LEFT_OVER_S = 86_400.0

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCKED = {errno.ENOTDIR, errno.ELOOP}
_IN_USE = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EBUSY, errno.EINVAL, errno.ELOOP}


class Writer:
    """Changes the files of one work tree; use it in a `with` block. Paths are slash paths from its root.

    Every method raises `OSError` as it comes, and `would-overwrite` when a path is not as it was seen before.
    """

    def __init__(self, repository: Repository, *, in_place: bool = False) -> None:
        """`in_place`: the mark stands, so half a file in a directory that is made now is no harm."""
        self._in_place = in_place
        self._max_open = _max_open_directories()
        self._root = os.open(repository.work_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: OrderedDict[str, int] = OrderedDict()
        self._made: set[str] = set()
        self._foreign: set[str] = set()
        """Directories on another mount than `.muse`: nothing can be moved there, files are made in place."""
        self._name = f"checkout-{os.getpid()}"
        try:
            repository.temporary_dir.mkdir(exist_ok=True)
            self._temporary = os.open(repository.temporary_dir, _DIRECTORY)
        except BaseException:
            os.close(self._root)
            raise
        self._remove_left_overs()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd in (*self._open.values(), self._temporary, self._root):
            os.close(fd)
        self._open.clear()

    def _remove_left_overs(self) -> None:
        """Remove what a killed checkout left; a running one's file is younger than a day."""
        with os.scandir(self._temporary) as found:
            for entry in found:
                if not entry.name.startswith("checkout-"):
                    continue
                age_s = time.time() - entry.stat(follow_symlinks=False).st_mtime
                if entry.name == self._name or age_s > LEFT_OVER_S:
                    os.unlink(entry.name, dir_fd=self._temporary)

    # ---- directories

    def open_directory(self, path: str, *, make: bool) -> int:
        """Return a descriptor of a directory, valid until the next call; `make` it and its parents."""
        if not path:
            return self._root
        fd = self._open.get(path)
        if fd is not None:
            self._open.move_to_end(path)
            return fd
        parent, _, name = path.rpartition("/")
        above = self.open_directory(parent, make=make)
        try:
            fd = os.open(name, _DIRECTORY, dir_fd=above)
        except FileNotFoundError:
            if not make:
                raise
            os.mkdir(name, dir_fd=above)
            fd = os.open(name, _DIRECTORY, dir_fd=above)
            self._made.add(path)
        except OSError as error:
            if error.errno in _BLOCKED:
                raise would_overwrite([path]) from error
            raise
        self._open[path] = fd
        if len(self._open) > self._max_open:
            os.close(self._open.popitem(last=False)[1])
        return fd

    def is_new(self, path: str) -> bool:
        """Say whether this directory was made here, so that files are made where they belong in it."""
        return self._in_place and path in self._made

    def remove_empty(self, paths: Iterable[str], keep: set[str]) -> None:
        """Remove these directories where they are empty, then parents that become so; not those to `keep`."""
        waiting = {path for path in paths if path}
        while waiting:
            path = max(waiting, key=lambda path: path.count("/"))
            waiting.discard(path)
            if path in keep:
                continue
            fd = self._open.pop(path, None)
            if fd is not None:
                os.close(fd)
            parent, _, name = path.rpartition("/")
            try:
                os.rmdir(name, dir_fd=self.open_directory(parent, make=False))
            except Conflict:
                continue
            except OSError as error:
                if error.errno in _IN_USE:
                    continue
                raise
            if parent:
                waiting.add(parent)

    def remove_empty_tree(self, path: str, keep: set[str]) -> None:
        """Remove a directory that holds nothing but directories; leaves it alone if there is more."""
        below = []
        pending = [path]
        while pending:
            directory = pending.pop()
            below.append(directory)
            with os.scandir(self.open_directory(directory, make=False)) as found:
                pending += [
                    f"{directory}/{entry.name}" for entry in found if entry.is_dir(follow_symlinks=False)
                ]
        self.remove_empty(below, keep)

    def clear_tree(self, path: str) -> None:
        """Remove a directory with everything in it; follows no link."""
        import shutil

        for known in [known for known in self._open if known == path or known.startswith(f"{path}/")]:
            os.close(self._open.pop(known))
        parent, _, name = path.rpartition("/")
        shutil.rmtree(name, dir_fd=self.open_directory(parent, make=False))

    # ---- files

    def delete(self, path: str, seen: Stats) -> None:
        """Delete a file or link, if it still is the one that was seen."""
        parent, _, name = path.rpartition("/")
        try:
            fd = self.open_directory(parent, make=False)
            self._check_unchanged(fd, path, name, seen)
            os.unlink(name, dir_fd=fd)
        except FileNotFoundError:
            pass

    def write(
        self, path: str, entry: Entry, pieces: Iterable[bytes | memoryview], seen: Stats | None
    ) -> Stats | None:
        """Write a file, replacing the one seen; returns its stats if any later change will show in them."""
        executable = entry.kind in EXECUTABLE_KINDS
        parent, _, name = path.rpartition("/")
        directory = self.open_directory(parent, make=True)
        if self.is_new(parent):
            try:
                stats = create_file(directory, name, executable, pieces)
            except FileExistsError as error:
                raise would_overwrite([path]) from error
            return stats if is_settled(stats, 0) else None
        folder, temporary = self._place_for(parent, directory)
        create_file(folder, temporary, executable, pieces)
        try:
            return self._move(folder, temporary, parent, path, name, seen)
        except BaseException:
            unlink_quietly(temporary, folder)
            raise

    def link(self, path: str, target: bytes, seen: Stats | None) -> Stats | None:
        """Make a symlink, replacing what was seen; its target is taken as it is."""
        parent, _, name = path.rpartition("/")
        directory = self.open_directory(parent, make=True)
        folder, temporary = self._place_for(parent, directory)
        os.symlink(target, os.fsencode(temporary), dir_fd=folder)
        try:
            mtime_ns = os.stat(temporary, dir_fd=folder, follow_symlinks=False).st_mtime_ns - 1
            if os.utime in os.supports_follow_symlinks:
                os.utime(temporary, ns=(mtime_ns, mtime_ns), dir_fd=folder, follow_symlinks=False)
            return self._move(folder, temporary, parent, path, name, seen)
        except BaseException:
            unlink_quietly(temporary, folder)
            raise

    def make_directory(self, path: str) -> None:
        self.open_directory(path, make=True)

    def _place_for(self, parent: str, directory: int) -> tuple[int, str]:
        """Where to make a file before it is moved: a move works within one file system only."""
        if parent in self._foreign:
            return directory, f".muse-{self._name}"
        return self._temporary, self._name

    def _move(
        self, folder: int, temporary: str, parent: str, path: str, name: str, seen: Stats | None
    ) -> Stats | None:
        # Asked for again: a descriptor is valid until the next call, and nobody knows what the pieces did.
        directory = self.open_directory(parent, make=True)
        if parent not in self._made:
            self._check_unchanged(directory, path, name, seen)
        try:
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=directory)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._foreign.add(parent)
            self._move_across(folder, temporary, directory, name)
        stats = stats_of(os.stat(name, dir_fd=directory, follow_symlinks=False))
        return stats if is_settled(stats, 0) else None

    def _move_across(self, folder: int, temporary: str, directory: int, name: str) -> None:
        """Move a file or link to another mount: the first one of a directory, the next are made there."""
        local = f".muse-{self._name}"
        try:
            copy_entry(folder, temporary, directory, local)
            os.rename(local, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            unlink_quietly(local, directory)
            raise
        unlink_quietly(temporary, folder)

    def _check_unchanged(self, directory: int, path: str, name: str, seen: Stats | None) -> None:
        try:
            now = stats_of(os.stat(name, dir_fd=directory, follow_symlinks=False))
        except FileNotFoundError:
            now = None
        if now is not None and now != seen:
            raise would_overwrite([path])


def _max_open_directories() -> int:
    try:
        import resource

        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    except (ImportError, OSError, ValueError):
        return OPEN_DIRECTORIES
    if soft < 0:
        return MAX_OPEN_DIRECTORIES
    return max(OPEN_DIRECTORIES, min(soft // 2, MAX_OPEN_DIRECTORIES))
