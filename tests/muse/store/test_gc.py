"""Clean-up removes what nothing reaches, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.muse.store.scenes import ADA, commit, put_commit, put_tag, refused

from muse.errors import CorruptStore
from muse.objects.ids import Kind, hash_bytes
from muse.store.fsck import fsck
from muse.store.gc import gc
from muse.store.repository import Repository

DAY_S = 86400.0


def _noise(seed: int, size_bytes: int = 50_000) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


@pytest.fixture
def abandoned(repository: Repository) -> Repository:
    """A branch with two commits, and a deleted one with other files, 20 days ago."""
    now = repository.clock()
    repository.clock = lambda: now - 20 * DAY_S
    commit(repository, {"keep": _noise(1)}, "1")
    commit(repository, {"drop": _noise(2)}, "x", branch="gone")
    with repository.transaction("branch --delete gone") as transaction:
        transaction.set_ref("heads/gone", None)
    repository.clock = lambda: now
    commit(repository, {"new": _noise(3)}, "2")
    return repository


def _stored_bytes(repository: Repository) -> int:
    return sum(path.stat().st_size for path in (repository.muse_dir / "segments").iterdir())


def test_unreached_objects_go_and_reached_ones_stay(abandoned: Repository) -> None:
    before = _stored_bytes(abandoned)
    preview = gc(abandoned, dry_run=True)
    assert (preview.dry_run, preview.dead_objects, preview.expired_operations) == (True, 3, 3)
    assert _stored_bytes(abandoned) == before
    result = gc(abandoned)
    assert result._replace(dry_run=True, freed_bytes=0) == preview._replace(freed_bytes=0)
    assert abs(result.freed_bytes - preview.freed_bytes) < 100
    assert _stored_bytes(abandoned) < before - 45_000
    assert not abandoned.objects.has(Kind.BLOB, hash_bytes(_noise(2)))
    for seed in (1, 3):
        assert abandoned.objects.load(Kind.BLOB, hash_bytes(_noise(seed))) == _noise(seed)
    assert [operation.command for operation in abandoned.operations.iter()] == ["commit 2"]
    assert list(fsck(abandoned)) == []
    assert gc(abandoned).dead_objects == 0
    assert commit(abandoned, {"drop": _noise(2)}, "again")
    assert list(fsck(abandoned)) == []


def test_what_recent_operations_reach_stays(repository: Repository) -> None:
    commit(repository, {"a": b"one"}, "1")
    second = commit(repository, {"a": _noise(2)}, "2")
    with repository.transaction("undo") as transaction:
        repository.operations.undo(transaction)
    assert gc(repository).dead_objects == 0
    with repository.transaction("redo") as transaction:
        repository.operations.redo(transaction)
    assert repository.refs.head().target == second
    with repository.transaction("undo") as transaction:
        repository.operations.undo(transaction)
    now = repository.clock()
    repository.clock = lambda: now + 15 * DAY_S
    assert gc(repository).dead_objects == 3
    assert list(repository.operations.iter()) == []


def test_tags_remotes_and_a_detached_head_hold_what_they_name(repository: Repository) -> None:
    with repository.transaction() as transaction:
        commits = [put_commit(transaction, {"a": b"%d" % number}) for number in range(4)]
        transaction.set_ref("tags/v1", put_tag(transaction, commits[0], "v1"), kind=Kind.TAG)
        transaction.set_ref("remotes/origin/heads/main", commits[1])
        transaction.set_head(commits[2])
    result = gc(repository, grace_days=0)
    assert result.dead_objects == 3
    for commit_id in commits[:3]:
        assert repository.objects.has(Kind.BLOB, hash_bytes(b"%d" % commits.index(commit_id)))
        assert repository.graph(commit_id).time_s == ADA.time_s
    assert repository.objects.find_node(commits[3]) is None
    assert list(fsck(repository)) == []


def test_a_live_object_on_a_dead_base_is_compressed_anew(repository: Repository) -> None:
    text = [b"%d some line of text\n" % number for number in range(2000)]
    versions = []
    base = None
    with repository.transaction() as transaction:
        for number in range(6):
            text[number * 10] = b"changed\n"
            base = transaction.put(Kind.BLOB, b"".join(text), base)
            versions.append((base, b"".join(text)))
        kept = put_commit(transaction, {"old": versions[1][1], "new": versions[4][1]})
        transaction.set_ref("heads/main", kept)
    assert gc(repository, grace_days=0).dead_objects == 4
    record = repository.objects.load_record(Kind.BLOB, versions[4][0])
    assert record.base == versions[1][0]
    assert repository.objects.load_record(Kind.BLOB, versions[1][0]).base is None
    repository.objects.forget()
    for number in (1, 4):
        assert repository.objects.load(Kind.BLOB, versions[number][0]) == versions[number][1]
    assert list(fsck(repository)) == []


def test_what_a_crash_left_goes(repository: Repository) -> None:
    commit(repository, {"a": b"one"})
    repository.close()
    stray = repository.muse_dir / "segments" / "00000007.seg"
    stray.write_bytes(b"MUSEPACK\1\0\0\0half a record")
    with Repository.open(repository.work_dir) as again:
        assert gc(again).segments_removed == 1
        assert not stray.exists()
        commit(again, {"b": b"two"})
        assert list(fsck(again)) == []


def test_many_small_segments_are_put_together(repository: Repository) -> None:
    for number in range(20):
        commit(repository, {"a": b"%d" % number}, f"{number}")
        repository.appender.close()
        with (repository.muse_dir / "segments" / f"{number + 1:08d}.seg").open("ab") as file:
            file.write(b"\x11")
    result = gc(repository)
    assert (result.dead_objects, result.segments_rewritten) == (0, 20)
    assert [path.name for path in (repository.muse_dir / "segments").iterdir()] == ["00000021.seg"]
    assert list(fsck(repository)) == []


def test_numbers_of_segments_are_not_used_again(repository: Repository) -> None:
    with repository.transaction() as transaction:
        transaction.put(Kind.BLOB, _noise(1))
    with Repository.open(repository.work_dir) as reader:
        assert reader.objects.load(Kind.BLOB, hash_bytes(_noise(1)))
        gc(repository, grace_days=0)
        assert list((repository.muse_dir / "segments").iterdir()) == []
        commit(repository, {"a": _noise(5)})
        assert reader.objects.load(Kind.BLOB, hash_bytes(_noise(5))) == _noise(5)


def test_a_reader_follows_objects_that_were_moved(abandoned: Repository) -> None:
    with Repository.open(abandoned.work_dir) as reader:
        reader.objects.load(Kind.BLOB, hash_bytes(_noise(2)))
        gc(abandoned)
        assert reader.objects.load(Kind.BLOB, hash_bytes(_noise(3))) == _noise(3)
        key = (Kind.BLOB, hash_bytes(_noise(1)))
        assert [record[1] for record in reader.objects.iter_records([key])] == [key[1]]


def test_caches_do_not_lead_to_what_is_gone(abandoned: Repository) -> None:
    kept, dropped = hash_bytes(_noise(1)), hash_bytes(_noise(2))
    with abandoned.transaction() as transaction:
        abandoned.stat_cache.save_directory(transaction, "", b"names a blob")
        abandoned.git_map.put_many(
            transaction,
            {b"k" * 20: (Kind.BLOB, kept, 1, 1), b"d" * 20: (Kind.BLOB, dropped, 1, 1)},
        )
    gc(abandoned)
    assert abandoned.stat_cache.load_all() == {}
    assert set(abandoned.git_map.find_many([b"k" * 20, b"d" * 20])) == {b"k" * 20}


def test_it_works_alone(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muse.store.gc.LOCK_TIMEOUT_S", 0.0)
    with Repository.open(repository.work_dir) as other, other.transaction() as transaction:
        transaction.put(Kind.BLOB, b"x")
        with refused("locked"):
            gc(repository)
        assert gc(repository, dry_run=True).dead_objects == 0


def test_what_was_refused_because_of_a_clean_up_can_be_tried_again(repository: Repository) -> None:
    repository.busy_timeout_s = 0.0
    with Repository.open(repository.work_dir) as other:
        other.lock.acquire(exclusive=True, timeout_s=0.0)
        with refused("locked"), repository.transaction():
            pass
        other.lock.release()
    with repository.transaction() as transaction:
        transaction.put(Kind.BLOB, b"x")


def test_a_damaged_repository_is_left_alone(abandoned: Repository) -> None:
    node = abandoned.graph(abandoned.refs.get_branch("main").target)
    abandoned.database.begin()
    abandoned.database.execute("DELETE FROM objects WHERE id = ?", (node.tree,))
    abandoned.database.commit()
    abandoned.objects.forget()
    with pytest.raises(CorruptStore):
        gc(abandoned)
    assert abandoned.objects.has(Kind.BLOB, hash_bytes(_noise(2)))


def test_old_downloads_are_cleared(repository: Repository, tmp_path: Path) -> None:
    download = repository.temporary_dir / "pack"
    download.write_bytes(b"x")
    gc(repository)
    assert download.exists()
    now = repository.clock()
    repository.clock = lambda: now + 2 * DAY_S
    gc(repository)
    assert not download.exists()
