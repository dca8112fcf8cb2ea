"""A repository with a work tree, for the tests of this room."""

from __future__ import annotations

import os
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from muse.errors import MuseError
from muse.history.edit import edit_tree
from muse.history.lookup import iter_files
from muse.objects.commit import Commit, Person, encode_commit
from muse.objects.ids import Kind
from muse.objects.tree import EXECUTABLE, FILE, SYMLINK, Entry
from muse.store.progress import Progress
from muse.store.repository import Repository
from muse.worktree.application import CheckoutResult
from muse.worktree.checkout import checkout, restore
from muse.worktree.snapshot import snapshot
from muse.worktree.state import Problem
from muse.worktree.status import Status, status

ADA = Person("Ada", "ada@example.org", 1_700_000_000, 60)
PAST_NS = 1_600_000_000_000_000_001

_opened: list[str] = []
_listening = False
_counted: Counter[str] | None = None
_first_open: dict[str, Callable[[], object]] = {}


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if _counted is not None and event in _counted:
        _counted[event] += 1
    if event != "open":
        return
    name = os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes)) else ""
    if _listening:
        _opened.append(name)
    if name in _first_open:
        _first_open.pop(name)()


sys.addaudithook(_hear)


@contextmanager
def opened_paths() -> Iterator[list[str]]:
    """Collects the path of every file that Python opens meanwhile."""
    global _listening
    _opened.clear()
    _listening = True
    try:
        yield _opened
    finally:
        _listening = False


@contextmanager
def counted_events(*events: str) -> Iterator[Counter[str]]:
    """Counts audit events of these names meanwhile."""
    global _counted
    _counted = Counter(dict.fromkeys(events, 0))
    try:
        yield _counted
    finally:
        _counted = None


@contextmanager
def on_first_open(name: str, action: Callable[[], object]) -> Iterator[None]:
    """Does something just before a file of this name is opened for the first time."""
    _first_open[name] = action
    try:
        yield
    finally:
        _first_open.clear()


class Refusal:
    error: MuseError


@contextmanager
def refused(code: str) -> Iterator[Refusal]:
    """Expect an error with this code."""
    refusal = Refusal()
    with pytest.raises(MuseError) as caught:
        yield refusal
    assert caught.value.code == code, caught.value
    refusal.error = caught.value


class Link(str):
    """The target of a symlink, where a file's content could stand."""


class Script(bytes):
    """The content of an executable file; not equal to that of a plain one."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Script) and bytes(self) == bytes(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = bytes.__hash__


Content = bytes | Link


class Scene:
    """A work tree and what happens to it. Files are written with an old time stamp unless `fresh`."""

    def __init__(self, work_dir: Path) -> None:
        self.work_dir = work_dir
        self.repository = Repository.init(work_dir)

    # ---- the user's hands

    def path(self, path: str) -> Path:
        return self.work_dir / path

    def write(self, files: Mapping[str, Content], *, fresh: bool = False) -> None:
        for path, content in files.items():
            place = self.path(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.is_symlink() or (place.exists() and isinstance(content, Link)):
                place.unlink()
            if isinstance(content, Link):
                place.symlink_to(str(content))
            else:
                place.write_bytes(content)
                place.chmod(0o755 if isinstance(content, Script) else 0o644)
            if not fresh:
                os.utime(place, ns=(PAST_NS, PAST_NS), follow_symlinks=False)

    def delete(self, *paths: str) -> None:
        for path in paths:
            self.path(path).unlink()

    def disk(self) -> dict[str, Content]:
        """Everything in the work tree as the user sees it, without folders."""
        return read_disk(self.work_dir)

    # ---- muse

    def status(self, *paths: str, with_ignored: bool = False) -> Status:
        return status(self.repository, list(paths) or None, with_ignored=with_ignored)

    def commit(
        self, *paths: str, progress: Progress | None = None, problems: list[Problem] | None = None
    ) -> bytes:
        """Snapshot and move the branch; returns the tree."""
        with self.repository.transaction("commit") as transaction:
            report = None if problems is None else problems.append
            tree = snapshot(self.repository, transaction, list(paths) or None, progress, report)
            head = self.repository.refs.head().target
            parents = () if head is None else (head,)
            commit = Commit(tree, parents, ADA, ADA, "work")
            commit_id = transaction.put(Kind.COMMIT, encode_commit(commit))
            transaction.set_ref("heads/main", commit_id, head)
        return tree

    def point_at(self, tree: bytes) -> None:
        """Move the branch to a commit of `tree` without touching the work tree."""
        with self.repository.transaction("move") as transaction:
            commit = transaction.put(Kind.COMMIT, encode_commit(Commit(tree, (), ADA, ADA, "moved")))
            transaction.set_ref("heads/main", commit)

    def checkout(
        self, old: bytes | None, new: bytes | None, *, force: bool = False, progress: Progress | None = None
    ) -> CheckoutResult:
        """Check out and move the branch."""
        with self.repository.transaction("switch") as transaction:
            result = checkout(self.repository, transaction, old, new, force, progress)
            if new is not None:
                commit = transaction.put(Kind.COMMIT, encode_commit(Commit(new, (), ADA, ADA, "there")))
                transaction.set_ref("heads/main", commit)
        return result

    def restore(self, source: bytes | None, *paths: str) -> CheckoutResult:
        return restore(self.repository, list(paths), source)

    # ---- trees

    def tree(self, files: Mapping[str, Content | Entry], old: bytes | None = None) -> bytes:
        """Build a tree from nothing, or on `old`, without a work tree."""
        with self.repository.transaction() as transaction:
            changes: dict[str, Entry | None] = {}
            for path, content in files.items():
                if isinstance(content, Entry):
                    changes[path] = content
                    continue
                kind = FILE
                data = bytes(content) if not isinstance(content, Link) else os.fsencode(content)
                if isinstance(content, Link):
                    kind = SYMLINK
                elif isinstance(content, Script):
                    kind = EXECUTABLE
                changes[path] = Entry(path, kind, transaction.put(Kind.BLOB, data), len(data))
            return edit_tree(transaction.load, old, changes, transaction.put).id

    def files(self, tree: bytes) -> dict[str, str]:
        """The paths of a tree with their kinds."""
        return {path: entry.kind for path, entry in iter_files(self.repository.objects.load, tree)}


def read_disk(folder: Path, prefix: str = "") -> dict[str, Content]:
    found: dict[str, Content] = {}
    for place in sorted(folder.iterdir()):
        path = f"{prefix}{place.name}"
        if path == ".muse":
            continue
        mode = place.lstat().st_mode
        if stat.S_ISLNK(mode):
            found[path] = Link(os.readlink(place))
        elif stat.S_ISDIR(mode):
            found |= read_disk(place, f"{path}/")
        elif stat.S_ISREG(mode):
            data = place.read_bytes()
            found[path] = Script(data) if mode & stat.S_IXUSR else data
    return found
