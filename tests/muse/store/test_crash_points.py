"""Killed before each single call that makes something durable: every state on the way is a good one."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.muse.store.scenes import commit

from muse.store.fsck import fsck
from muse.store.gc import gc
from muse.store.rebuild import rebuild
from muse.store.repository import Repository

_DYING = """
import os, signal, sqlite3, sys
from pathlib import Path

left = 0

def step():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def dying(function):
    def call(*arguments, **keywords):
        step()
        return function(*arguments, **keywords)
    return call

for name in ("pwrite", "fdatasync", "fsync", "ftruncate", "unlink", "rename", "replace", "mkdir"):
    setattr(os, name, dying(getattr(os, name)))

class Connection(sqlite3.Connection):
    def execute(self, sql, *parameters):
        if sql == "COMMIT" or sql.startswith(("BEGIN", "VACUUM", "PRAGMA wal_checkpoint")):
            step()
        return super().execute(sql, *parameters)
    def close(self):
        step()
        super().close()

connect = sqlite3.connect
sqlite3.connect = lambda *arguments, **keywords: connect(*arguments, factory=Connection, **keywords)

from muse.store.gc import gc
from muse.store.rebuild import rebuild
from muse.store.repository import Repository
from tests.muse.store.scenes import commit

def work(path):
    CODE

# Every run is a process of its own; what they import is imported once.
for line in sys.stdin:
    steps, _, path = line.rstrip("\\n").partition(" ")
    child = os.fork()
    if not child:
        left = int(steps)
        work(Path(path))
        sys.stdout.flush()
        os._exit(0)
    print("ended", os.waitpid(child, 0)[1], flush=True)
"""

_COMMIT = """with Repository.open(path) as repository:
        print(commit(repository, {"new": b"file", "old": b"line\\n" * 500}, "new").hex(), flush=True)"""
_GC = "with Repository.open(path) as repository: gc(repository, grace_days=0)"
_REBUILD = "rebuild(path)"
_INIT = "Repository.init(path / 'inner').close()"


def _die_at_every_step(code: str, original: Path, check: Callable[[Path, str], None], root: Path) -> int:
    """Run `code` on copies of `original`, killed before its first step, its second, … until it survives."""
    with subprocess.Popen(
        [sys.executable, "-c", _DYING.replace("CODE", code)],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for step in itertools.count(1):
            copy = original.with_name(f"{original.name}-{step}")
            shutil.copytree(original, copy)
            process.stdin.write(f"{step} {copy}\n")
            process.stdin.flush()
            reported = ""
            while not (line := process.stdout.readline()).startswith("ended "):
                assert line, "the program ended before its child"
                reported += line
            status = os.waitstatus_to_exitcode(int(line.removeprefix("ended ")))
            check(copy, reported.strip())
            if status == 0:
                process.stdin.close()
                return step
            assert status == -signal.SIGKILL
    raise AssertionError


@pytest.fixture
def work_dir(repository: Repository) -> Path:
    """Two commits on main, one on a branch that is deleted."""
    commit(repository, {"old": b"line\n" * 499}, "1")
    commit(repository, {"old": b"line\n" * 500, "b": os.urandom(5000)}, "2")
    commit(repository, {"dead": os.urandom(5000)}, "x", branch="gone")
    with repository.transaction("branch --delete gone") as transaction:
        transaction.set_ref("heads/gone", None)
    repository.close()
    return repository.work_dir


def test_commit(work_dir: Path, repository_root: Path) -> None:
    with Repository.open(work_dir) as repository:
        before = repository.refs.head().target
    heads: set[bytes | None] = set()

    def check(path: Path, reported: str) -> None:
        with Repository.open(path) as repository:
            head = repository.refs.head().target
            heads.add(head)
            assert head is not None
            assert head.hex() == reported or not reported
            assert head == before or repository.graph(head).parents == (before,)
            assert list(fsck(repository)) == []
            commit(repository, {"after": b"the crash"}, "after")
            assert list(fsck(repository)) == []

    assert _die_at_every_step(_COMMIT, work_dir, check, repository_root) > 4
    assert len(heads) == 2


def test_clean_up(work_dir: Path, repository_root: Path) -> None:
    def check(path: Path, reported: str) -> None:
        with Repository.open(path) as repository:
            assert repository.refs.head().target is not None
            assert list(fsck(repository)) == []
            gc(repository, grace_days=0)
            assert gc(repository, grace_days=0)[1:4] == (0, 0, 7)
            assert list(fsck(repository)) == []

    assert _die_at_every_step(_GC, work_dir, check, repository_root) > 8


def test_rebuild(work_dir: Path, repository_root: Path) -> None:
    with Repository.open(work_dir) as repository:
        refs, head = list(repository.refs.iter()), repository.refs.head()

    def check(path: Path, reported: str) -> None:
        with Repository.open(path) as repository:
            assert (list(repository.refs.iter()), repository.refs.head()) == (refs, head)
            assert list(fsck(repository)) == []
        assert rebuild(path).problems == []

    assert _die_at_every_step(_REBUILD, work_dir, check, repository_root) > 8


def test_init(tmp_path: Path, repository_root: Path) -> None:
    (tmp_path / "work").mkdir()

    def check(path: Path, reported: str) -> None:
        inner = path / "inner"
        made = (inner / ".muse").exists()
        with Repository.open(inner) if made else Repository.init(inner) as repository:
            commit(repository, {"a": b"one"})
            assert list(fsck(repository)) == []

    assert _die_at_every_step(_INIT, tmp_path / "work", check, repository_root) > 4
