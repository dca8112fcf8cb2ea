"""Comparing the work tree with a tree, at the cost of looking at each file's stats.

A directory whose files have the stats that its row in the stat cache holds, and whose row is about the very
tree that is expected there, is done: no tree is decoded and no file is read. Anything else becomes a `Folder`
with suspects, whose content has to be looked at before one can say whether they changed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from itertools import chain

from muse.errors import InvalidData, MuseError
from muse.objects.names import RESERVED, check_name
from muse.objects.tree import DIRECTORY, SUBMODULE, Entry
from muse.store.failure import os_failure
from muse.store.progress import Progress
from muse.store.repository import Repository
from muse.worktree.ignore import GIT_FILE, MUSE_FILE, IgnoreRules
from muse.worktree.paths import Selection, join
from muse.worktree.reading import kind_of_mode, read_all, read_stable
from muse.worktree.state import (
    BAD_NAME,
    NESTED_REPOSITORY,
    SPECIAL_FILE,
    UNREADABLE,
    Folder,
    Problem,
    Suspect,
    WorkTreeState,
)
from muse.worktree.statrow import Stats, decode_row, stats_of

Expected = Callable[[str], Entry | None]
"""Returns the entry that the tree has under a name."""

STEP_FOLDERS = 256

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


def head_tree(repository: Repository) -> bytes | None:
    """Return the root tree of the current commit; None before the first."""
    target = repository.refs.head().target
    return None if target is None else repository.graph(target).tree


def scan(
    repository: Repository,
    progress: Progress | None = None,
    selection: Selection | None = None,
) -> WorkTreeState:
    """Compare the work tree, or what `selection` covers of it, with the current commit.

    Costs a look at each file's stats, and one read of the stat cache. Never follows a link. Raises
    `read-only` or `io-error` only when the root itself cannot be listed: everything else is a problem in the
    result.
    """
    state = WorkTreeState(
        str(repository.work_dir),
        head_tree(repository),
        repository.objects.load,
        repository.stat_cache.load_all(),
    )
    _Scanner(state, selection, progress).run()
    return state


class _Scanner:
    """Goes through directories, parents first; one that is as its row says costs a look at each file."""

    def __init__(self, state: WorkTreeState, selection: Selection | None, progress: Progress | None) -> None:
        self._state = state
        self._selection = selection
        self._progress = progress
        self._stack: list[tuple[str, bytes | None, Folder | None]] = [("", state.tree_id, None)]

    def run(self) -> None:
        visited = 0
        stack = self._stack
        while stack:
            path, tree_id, parent = stack.pop()
            self._visit(path, tree_id, parent)
            visited += 1
            if self._progress is not None and visited % STEP_FOLDERS == 0:
                self._progress("scanning folders", visited, None, "folders")

    def _visit(self, path: str, tree_id: bytes | None, parent: Folder | None) -> None:
        state = self._state
        found = self._list(path)
        if found is None:
            return
        row = decode_row(state.rows.get(path))
        fits = row is not None and row.tree_id == tree_id
        if row is not None and fits and found == row.stats:
            if not row.directories:
                return
            rest: Iterable[str] = ()
        elif row is not None:
            known = row.stats.get
            rest = [name for name, stats in found.items() if known(name) != stats] if fits else found
        else:
            rest = found
        if path and ".muse" in found and stat.S_ISDIR(found[".muse"][0]):
            state.problems.append(Problem(path, NESTED_REPOSITORY))
            return
        folder = Folder(path, parent, tree_id, row, found)
        names = [name for name in (MUSE_FILE, GIT_FILE) if name in found and stat.S_ISREG(found[name][0])]
        above = parent.rules if parent is not None else None
        folder.rules = (
            above.enter(path, names) if above is not None else IgnoreRules.root(self._load_rules, names)
        )
        selection = self._selection
        whole = selection is None or selection.covers(path)
        if not whole:
            rest = [name for name in rest if self._selects(join(path, name))]
        self._compare(folder, rest, whole)
        if not fits:
            folder.stale = tree_id is not None
        if folder.suspects or folder.deleted or folder.stale:
            state.folders.append(folder)

    def _selects(self, path: str) -> bool:
        selection = self._selection
        return selection is None or selection.covers(path) or selection.leads_to(path)

    def _compare(self, folder: Folder, rest: Iterable[str], whole: bool) -> None:
        """Sort the names `rest`, and all that are gone, into suspects, deletions and directories to enter.

        Not `whole`: only some of what is in this directory, or below it, was asked for.
        """
        row = folder.row if folder.fits() else None
        if row is not None:
            expected: Expected = row.find_entry
            names: Iterable[str] = chain(row.stats, row.directories)
        else:
            base = folder.entries(self._state.load)
            expected = base.get
            names = base
        for name in rest:
            if name not in RESERVED:
                self._compare_found(folder, name, expected(name), whole)
        found = folder.files
        for name in sorted(name for name in names if name not in found):
            entry = expected(name)
            if entry is None or not (whole or self._selects(join(folder.path, name))):
                continue
            if entry.kind == DIRECTORY and not self._covers(join(folder.path, name)):
                self._enter(folder, name, entry)
            else:
                folder.deleted[name] = entry
        if row is not None and not whole and folder.rules is not None and row.rules_key == folder.rules.key:
            folder.ignored |= row.ignored

    def _compare_found(self, folder: Folder, name: str, entry: Entry | None, whole: bool) -> None:
        """Sort one name that is there; `entry` is what is expected under it."""
        stats = folder.files[name]
        is_directory = stat.S_ISDIR(stats[0])
        if not (whole or is_directory or self._covers(join(folder.path, name))):
            # A file where only something below a directory of this name was asked for: that is gone.
            if entry is not None and entry.kind == DIRECTORY:
                self._enter(folder, name, entry)
            return
        if entry is None and self._leaves_out(folder, name, is_directory):
            return
        if is_directory:
            self._enter(folder, name, entry)
            return
        kind = kind_of_mode(stats[0])
        if kind is None:
            self._state.problems.append(Problem(join(folder.path, name), SPECIAL_FILE))
            if entry is not None:
                folder.deleted[name] = entry
            return
        known = None if folder.fits() else folder.known(name)
        if known is None or entry is None or known.id != entry.id or known.kind != entry.kind:
            folder.suspects.append(Suspect(name, kind, stats, entry, known))

    def _covers(self, path: str) -> bool:
        return self._selection is None or self._selection.covers(path)

    def _enter(self, folder: Folder, name: str, entry: Entry | None) -> None:
        """Go down into a directory, unless a submodule is expected there: those are somebody else's."""
        if entry is not None and entry.kind == SUBMODULE:
            return
        expected = None
        if entry is not None:
            if entry.kind == DIRECTORY:
                expected = entry.id
            else:
                folder.deleted[name] = entry
        self._stack.append((join(folder.path, name), expected, folder))

    def _leaves_out(self, folder: Folder, name: str, is_directory: bool) -> bool:
        """Say whether an untracked name is ignored, or cannot be represented."""
        row, rules = folder.row, folder.rules
        assert rules is not None
        path = join(folder.path, name)
        if row is not None and name in row.ignored and row.rules_key == rules.key:
            ignored = True
        else:
            ignored = rules.ignores(name, is_directory)
            # Decided at some cost: the next scan shall find it in the row.
            folder.stale |= ignored and folder.tree_id is not None
        if ignored:
            folder.ignored.add(name)
            self._state.ignored.append(f"{path}/" if is_directory else path)
            return True
        try:
            check_name(name)
        except InvalidData:
            self._state.problems.append(Problem(path, BAD_NAME))
            return True
        return False

    def _list(self, path: str) -> dict[str, Stats] | None:
        """Return the stats of everything in a directory; {} if it is gone, None if it cannot be read."""
        try:
            fd = os.open(self._state.disk_path(path), _DIRECTORY | os.O_NOFOLLOW if path else _DIRECTORY)
        except OSError as error:
            if path and error.errno in _GONE:
                return {}
            return self._note_unlisted(path, error)
        try:
            try:
                # By descriptor: the kernel finds the directory once, not for every file; a sixth of a scan.
                with os.scandir(fd) as found:
                    return {entry.name: stats_of(entry.stat(follow_symlinks=False)) for entry in found}
            except FileNotFoundError:
                return _list_slowly(fd)
        except OSError as error:
            return self._note_unlisted(path, error)
        finally:
            os.close(fd)

    def _note_unlisted(self, path: str, error: OSError) -> dict[str, Stats] | None:
        if not path:
            raise os_failure(error, self._state.work_dir) from error
        self._state.problems.append(Problem(path, UNREADABLE))
        return None

    def _load_rules(self, path: str) -> bytes:
        """Read an ignore file; one that is a link or cannot be read has no rules (nor has it in Git)."""
        try:
            return read_stable(self._state.disk_path(path), path, read_all)[0]
        except MuseError:
            return b""


def _list_slowly(fd: int) -> dict[str, Stats]:
    """List a directory from which files are being deleted."""
    stats: dict[str, Stats] = {}
    with os.scandir(fd) as found:
        for entry in found:
            try:
                stats[entry.name] = stats_of(entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue
    return stats
