"""Turning the work tree into a tree: only what changed is read and written."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import BinaryIO, cast

from muse.errors import Environment, InvalidData, NotFound
from muse.history.directory import build_directory, edit_directory
from muse.history.lookup import find_path
from muse.objects.chunks import CHUNKED_FROM_BYTES
from muse.objects.ids import Kind
from muse.objects.names import find_collisions
from muse.objects.references import KIND_OF_ENTRY
from muse.objects.tree import (
    BLOB_KINDS,
    CHUNKED_EXECUTABLE,
    CHUNKED_FILE,
    CHUNKED_KINDS,
    DIRECTORY,
    EXECUTABLE,
    SYMLINK,
    Entry,
)
from muse.store.progress import Progress
from muse.store.repository import Repository
from muse.store.transaction import Transaction
from muse.store.unfinished import find_unfinished
from muse.worktree.lock import work_tree_lock
from muse.worktree.paths import Selection, join
from muse.worktree.progress import Meter
from muse.worktree.reading import Read, read_all, read_link, read_stable
from muse.worktree.scan import scan
from muse.worktree.state import Folder, Problem, Suspect, WorkTreeState

COLLISION = "name-collision"

Changes = dict[str, Entry | None]
Report = Callable[[Problem], None]


def snapshot(
    repository: Repository,
    transaction: Transaction,
    paths: list[str] | None = None,
    progress: Progress | None = None,
    report: Report | None = None,
) -> bytes:
    """Store the work tree and return the id of its root tree; the current commit's when nothing changed.

    With `paths` (slash paths from the root) only these, and what is below them, differ from the current
    commit. The stat cache is updated in the same transaction. `report` hears of what a tree cannot hold and
    is left out (sockets, nested repositories) and of names that some file systems cannot keep apart.

    Raises `checkout-unfinished`; `unknown-path`; `bad-path` for names that no tree can hold;
    `changed-while-reading` when a file changes while it is read, twice; `read-only`, `io-error`. Then nothing
    becomes visible if the transaction ends with the error.
    """
    with work_tree_lock(repository, exclusive=False):
        unfinished = find_unfinished(repository.muse_dir)
        if unfinished is not None:
            raise unfinished.refusal(repository.work_dir, repository.refs.head().branch)
        selection = Selection(paths) if paths is not None else None
        state = scan(repository, progress, selection)
        if selection is not None:
            _check_known(state, selection)
        for problem in state.problems:
            if problem.blocks:
                raise _refuse(problem)
            if report is not None:
                report(problem)
        return _Snapshot(repository, transaction, state, progress, report).run()


def _check_known(state: WorkTreeState, selection: Selection) -> None:
    left_out = Selection(path.removesuffix("/") for path in state.ignored)
    for path in selection.paths:
        ignored = left_out.covers(path)
        if path == "" or (not ignored and os.path.lexists(state.disk_path(path))):
            continue
        if state.tree_id is not None and find_path(state.load, state.tree_id, path) is not None:
            continue
        if ignored:
            raise NotFound(
                "unknown-path",
                f'"{path}" is not tracked and an ignore rule leaves it out',
                hint="change the rule in .museignore or .gitignore",
            )
        raise NotFound("unknown-path", f'"{path}" is neither in the work tree nor in the current commit')


def _refuse(problem: Problem) -> InvalidData | Environment:
    hint = "rename it, or leave it out with a line in .museignore"
    details = {
        "path": problem.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
        "reason": problem.reason,
    }
    if problem.reason == "unreadable":
        return Environment(
            "io-error", problem.message, hint="make it readable, or leave it out", details=details
        )
    return InvalidData("bad-path", problem.message, hint=hint, details=details)


class _CountedFile(io.RawIOBase):
    """A file's bytes for `put_stream`, counted."""

    def __init__(self, fd: int, meter: Meter) -> None:
        self._fd = fd
        self._meter = meter
        self.size_bytes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = os.read(self._fd, size if size >= 0 else 1 << 20)
        self.size_bytes += len(data)
        self._meter.add_bytes(len(data))
        return data


class _Snapshot:
    """Stores folder by folder, the deepest first: the tree of a folder is an entry of the one above it."""

    def __init__(
        self,
        repository: Repository,
        transaction: Transaction,
        state: WorkTreeState,
        progress: Progress | None,
        report: Report | None,
    ) -> None:
        self._cache = repository.stat_cache
        self._objects = repository.objects
        self._transaction = transaction
        self._state = state
        self._progress = progress
        self._report = report

    def run(self) -> bytes:
        state = self._state
        suspects = [suspect for folder in state.folders for suspect in folder.suspects]
        self._meter = Meter(
            self._progress, "storing files", len(suspects), sum(suspect.stats[1] for suspect in suspects)
        )
        del suspects
        by_depth: dict[int, dict[Folder, Changes]] = {}
        for folder in state.folders:
            by_depth.setdefault(_depth(folder), {})[folder] = {}
        state.folders.clear()
        root = state.tree_id
        for depth in range(max(by_depth, default=-1), -1, -1):
            folders = by_depth.pop(depth, {})
            while folders:
                folder, from_below = folders.popitem()
                result = self._write_folder(folder, self._store_files(folder) | from_below)
                if folder.parent is None:
                    root = result.id if result is not None else root
                elif result is not None:
                    above = by_depth.setdefault(depth - 1, {}).setdefault(folder.parent, {})
                    if result.files:
                        above[folder.name] = result
                    elif folder.tree_id is not None:
                        above[folder.name] = None
        if root is None:
            root = build_directory([], self._transaction.put).id
        return root

    def _store_files(self, folder: Folder) -> Changes:
        changes: Changes = dict.fromkeys(folder.deleted)
        for suspect in sorted(folder.suspects):
            entry = self._store(folder, suspect)
            if entry != suspect.base:
                changes[suspect.name] = entry
        folder.suspects = []
        return changes

    def _write_folder(self, folder: Folder, changes: Changes) -> Entry | None:
        """Store the directory if it changed, and its row; returns its new entry, None if nothing changed."""
        load = self._transaction.load
        if not changes:
            if folder.stale and folder.tree_id is not None:
                row = folder.encode(folder.tree_id, folder.entries(load))
                self._cache.save_directory(self._transaction, folder.path, row)
            return None
        directory = edit_directory(load, folder.tree_id, changes, self._transaction.put)
        entries = dict(folder.entries(load))
        for name, entry in changes.items():
            before = entries.get(name)
            if before is not None and before.kind == DIRECTORY and (entry is None or entry.kind != DIRECTORY):
                self._forget_rows(join(folder.path, name))
            if entry is None:
                entries.pop(name, None)
            else:
                entries[name] = entry
        self._report_collisions(folder, changes, entries)
        if directory.entries or folder.parent is None:
            row = folder.encode(directory.id, entries)
            self._cache.save_directory(self._transaction, folder.path, row)
        return directory.as_entry(folder.name)

    def _forget_rows(self, path: str) -> None:
        for row in self._state.rows:
            if row == path or row.startswith(f"{path}/"):
                self._cache.forget_directory(self._transaction, row)

    def _report_collisions(self, folder: Folder, changes: Changes, entries: dict[str, Entry]) -> None:
        if self._report is None or all(name in folder.entries(self._transaction.load) for name in changes):
            return
        for first, second in find_collisions(sorted(entries)):
            if first in changes or second in changes:
                self._report(Problem(join(folder.path, second), COLLISION))

    # ---- files

    def _store(self, folder: Folder, suspect: Suspect) -> Entry:
        """Store a file and return its entry; without reading it where the stat cache vouches for it."""
        known = suspect.known
        if known is not None and self._has(known):
            self._meter.add_file()
            return known
        path = join(folder.path, suspect.name)
        disk_path = self._state.disk_path(path)
        base = suspect.base
        if suspect.kind == SYMLINK:
            target, read = read_link(disk_path, path)
            base_id = base.id if base is not None and base.kind == SYMLINK else None
            blob = self._transaction.put(Kind.BLOB, target, base_id)
            entry = Entry(suspect.name, SYMLINK, blob, len(target))
        else:
            (kind, file_id, size_bytes), read = read_stable(
                disk_path, path, lambda fd, size: self._store_content(fd, size, base)
            )
            if read.stats[0] & 0o100:
                kind = CHUNKED_EXECUTABLE if kind == CHUNKED_FILE else EXECUTABLE
            entry = Entry(suspect.name, kind, file_id, size_bytes)
        self._note(folder, entry, read)
        self._meter.add_file()
        return entry

    def _note(self, folder: Folder, entry: Entry, read: Read) -> None:
        if read.trusted:
            folder.verified[entry.name] = (read.stats, entry)
            folder.stale = True
        else:
            folder.verified.pop(entry.name, None)
            folder.files[entry.name] = read.stats

    def _store_content(
        self, fd: int, size_bytes: int, base: Entry | None
    ) -> tuple[tuple[str, bytes, int], int]:
        if size_bytes < CHUNKED_FROM_BYTES:
            data, count = read_all(fd, size_bytes)
            if count != size_bytes:
                return ("", b"", 0), count
            base_id = base.id if base is not None and base.kind in BLOB_KINDS else None
            self._meter.add_bytes(count)
            return ("f", self._transaction.put(Kind.BLOB, data, base_id), count), count
        source = _CountedFile(fd, self._meter)
        base_id = base.id if base is not None and base.kind in CHUNKED_KINDS else None
        result = self._transaction.put_stream(cast(BinaryIO, source), size_bytes, base_id)
        return result, source.size_bytes

    def _has(self, entry: Entry) -> bool:
        return self._objects.has(KIND_OF_ENTRY[entry.kind], entry.id)


def _depth(folder: Folder) -> int:
    return folder.path.count("/") + 1 if folder.path else 0
