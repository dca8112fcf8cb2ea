"""When the disk is full or files may not be written: a clear error, and the store as it was before."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.full_disk import file_size_limit
from tests.muse.store.scenes import commit, put_commit, refused

from muse.objects.ids import Kind, hash_bytes
from muse.store.fsck import fsck
from muse.store.repository import Repository


@pytest.mark.parametrize("room_bytes", [0, 1000, 200_000])
def test_a_commit_that_does_not_fit_changes_nothing(repository: Repository, room_bytes: int) -> None:
    head = commit(repository, {"a": b"one"})
    segments = repository.muse_dir / "segments"
    before = {path.name: path.read_bytes() for path in segments.iterdir()}
    size_bytes = sum(map(len, before.values()))
    data = {f"f{number}": b"%d" % number for number in range(3)}
    noise = random.Random(1).randbytes(6 << 20)
    with (
        refused("disk-full") as refusal,
        file_size_limit(size_bytes + room_bytes),
        repository.transaction("commit big") as transaction,
    ):
        transaction.put(Kind.BLOB, noise)
        new = put_commit(transaction, data, (head,))
        transaction.set_ref("heads/main", new, head)
    assert refusal.error.retry
    assert repository.refs.head().target == head
    assert {path.name: path.read_bytes() for path in segments.iterdir()} == before
    assert list(fsck(repository)) == []
    assert commit(repository, {"a": b"two"})


def test_a_database_that_cannot_grow_changes_nothing(repository: Repository) -> None:
    head = commit(repository, {"a": b"one"})
    log_bytes = repository.database.path.with_name("muse.db-wal").stat().st_size
    with (
        refused("io-error"),  # SQLite tells a full disk from other failures, but not this limit
        file_size_limit(log_bytes),
        repository.transaction("commit") as transaction,
    ):
        new = put_commit(transaction, {f"f{number}": b"%d" % number for number in range(100)}, (head,))
        transaction.set_ref("heads/main", new, head)
    assert repository.refs.head().target == head
    assert list(fsck(repository)) == []
    assert commit(repository, {"a": b"two"})


@contextmanager
def somebody_else() -> Iterator[None]:
    """Act as a user to whom nothing here belongs; only root can."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Path]:
    """The work tree of a repository, at a place that everybody can reach."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with Repository.init(Path(folder) / "work", "main", tmp_path / "config") as repository:
            commit(repository, {"a": b"one"})
        yield repository.work_dir


def test_a_repository_that_may_not_be_written_can_be_read(foreign: Path) -> None:
    with somebody_else(), Repository.open(foreign) as repository:
        assert repository.refs.head().branch == "main"
        assert repository.objects.load(Kind.BLOB, hash_bytes(b"one")) == b"one"
        assert list(fsck(repository)) == []
        with refused("read-only"), repository.transaction() as transaction:
            transaction.put(Kind.BLOB, b"x")
        with refused("read-only"):
            repository.settings.set("user.name", "x")
        with refused("read-only"):
            Repository.init(foreign / "inner")


def test_a_repository_that_is_being_written_can_be_read_by_others(foreign: Path) -> None:
    with Repository.open(foreign) as owner:
        head = commit(owner, {"a": b"two"})
        with somebody_else(), Repository.open(foreign) as repository:
            assert repository.refs.head().target == head
            assert repository.objects.load(Kind.BLOB, hash_bytes(b"two")) == b"two"
