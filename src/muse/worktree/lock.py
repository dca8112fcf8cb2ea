"""One checkout at a time, and no snapshot of half a checkout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from muse.store.locks import RepositoryLock
from muse.store.repository import Repository


@contextmanager
def work_tree_lock(repository: Repository, *, exclusive: bool) -> Iterator[None]:
    """Hold the lock of the work tree; raises `locked` when another command keeps it for too long."""
    lock = RepositoryLock(repository.muse_dir / "worktree.lock")
    try:
        lock.acquire(exclusive, repository.busy_timeout_s)
        yield
    finally:
        lock.close()
