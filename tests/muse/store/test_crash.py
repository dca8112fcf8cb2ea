"""Killed at any moment, and several processes at once: what was reported stays, and nothing is half there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from tests.muse.store.scenes import commit, refused

from muse.objects.ids import Kind
from muse.store.fsck import fsck
from muse.store.repository import Repository

_WRITER = """
import sys
from pathlib import Path
from muse.objects.ids import Kind
from muse.store.repository import Repository
from tests.muse.store.scenes import put_commit

path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with Repository.open(path) as repository:
    print("ready", flush=True)
    ref = repository.refs.get(f"heads/{name}")
    head = None if ref is None else ref.target
    for number in range(count):
        with repository.transaction(f"commit {number}") as transaction:
            data = (b"%d of %s " % (number, name.encode())) * 3000
            transaction.put(Kind.BLOB, b"shared %d" % number)
            new = put_commit(transaction, {"a": data, f"d/{number % 7}": data[:100]}, (head,) if head else ())
            if number % 3 == 0:
                transaction.flush()
            transaction.set_ref(f"heads/{name}", new, head)
        head = new
        print(head.hex(), flush=True)
"""


def _start(repository_path: Path, name: str, count: int, root: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(repository_path), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_kill_at_any_point_loses_nothing_that_was_reported(
    repository: Repository, repository_root: Path
) -> None:
    repository.close()
    rng = random.Random(os.urandom(8))
    reported: str | None = None
    for _ in range(20):
        with _start(repository.work_dir, "main", 1_000_000, repository_root) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            for _ in range(rng.randrange(6)):
                reported = process.stdout.readline().strip()
            # From here on the writer runs freely; where it dies is up to the scheduler.
            for _ in range(rng.randrange(30_000)):
                pass
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split()
            reported = rest[-1] if rest and len(rest[-1]) == 64 else reported
        with Repository.open(repository.work_dir) as again:
            head = again.refs.head().target
            assert (head is None) == (reported is None) or head is not None
            if reported is not None:
                assert head is not None
                ancestors = {head}
                node = again.graph(head)
                while node.parents and len(ancestors) < 3:
                    ancestors.add(node.parents[0])
                    node = again.graph(node.parents[0])
                assert bytes.fromhex(reported) in ancestors
    with Repository.open(repository.work_dir) as again:
        assert list(fsck(again)) == []
        assert commit(again, {"after": b"all"})


def test_two_processes_write_at_once(repository: Repository, repository_root: Path) -> None:
    processes = [_start(repository.work_dir, name, 30, repository_root) for name in ("left", "right")]
    try:
        heads = [process.communicate()[0].split()[-1] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [ref.target.hex() for ref in repository.refs.iter()] == heads
    assert repository.graph(bytes.fromhex(heads[0])).generation == 30
    assert len(list(repository.operations.iter())) == 60
    assert list(fsck(repository)) == []


def test_of_two_writers_of_one_branch_one_is_told(repository: Repository) -> None:
    first = commit(repository, {"a": b"one"})
    with Repository.open(repository.work_dir) as other:
        with refused("stale-head") as refusal, repository.transaction("mine") as mine:
            with other.transaction("theirs") as theirs:
                theirs.set_ref("heads/main", None, first)
            mine.set_ref("heads/main", first, first)
        assert refusal.error.retry
        assert other.refs.get("heads/main") is None


def test_a_writer_waits_for_another_and_then_says_locked(repository: Repository) -> None:
    with Repository.open(repository.work_dir) as other:
        other.database.execute("PRAGMA busy_timeout = 50")
        repository.database.begin()
        with refused("locked") as refusal, other.transaction() as transaction:
            transaction.put(Kind.BLOB, b"x")
        assert refusal.error.retry
        repository.database.roll_back()
        with other.transaction() as transaction:
            blob = transaction.put(Kind.BLOB, b"x")
    assert repository.objects.load(Kind.BLOB, blob) == b"x"


def test_bytes_that_a_crash_left_are_never_appended_to(repository: Repository) -> None:
    commit(repository, {"a": b"one"})
    repository.close()
    (segment,) = (repository.muse_dir / "segments").iterdir()
    with segment.open("ab") as file:
        file.write(b"\x11half a record")
    size_bytes = segment.stat().st_size
    with Repository.open(repository.work_dir) as again:
        commit(again, {"a": b"two"})
        assert segment.stat().st_size == size_bytes
        assert len(list((repository.muse_dir / "segments").iterdir())) == 2
        assert list(fsck(again)) == []


def test_writers_in_one_repository_use_segments_of_their_own(repository: Repository) -> None:
    with Repository.open(repository.work_dir) as other:
        commit(repository, {"a": b"one"})
        commit(other, {"b": b"two"})
        commit(repository, {"c": b"three"})
        assert len(list((repository.muse_dir / "segments").iterdir())) == 2
    with Repository.open(repository.work_dir) as third:
        commit(third, {"d": b"four"})
    assert len(list((repository.muse_dir / "segments").iterdir())) == 2
