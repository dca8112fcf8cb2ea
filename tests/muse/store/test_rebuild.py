"""A new database from the segments alone."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from tests.muse.store.scenes import commit, put_commit, refused

from muse.errors import CorruptStore
from muse.history.lookup import iter_files
from muse.objects.ids import Kind
from muse.packs.pack import PackWriter, verify_pack
from muse.store.fsck import fsck
from muse.store.rebuild import rebuild
from muse.store.repository import Repository


@pytest.fixture
def work_dir(repository: Repository) -> Path:
    """A closed repository with branches, deltas, a large file, settings and an undo."""
    text = b"".join(b"%d lines\n" % number for number in range(1000))
    for number in range(5):
        commit(repository, {"text": text + b"%d" % number, f"d/{number}": b"x"}, f"{number}")
    head = repository.refs.get_branch("main").target
    with repository.transaction("branch topic") as transaction:
        blob = transaction.put(Kind.BLOB, text + b"topic", transaction.put(Kind.BLOB, text))
        data = random.Random(1).randbytes(5 << 20)
        transaction.put_stream(io.BytesIO(data), len(data))
        transaction.set_ref("heads/topic", put_commit(transaction, {"t": b"topic"}, (head,)))
        repository.settings.set("user.name", "Ada", transaction)
        repository.git_map.put_many(transaction, {bytes(20): (Kind.BLOB, blob, 1, 1)})
        repository.stat_cache.save_directory(transaction, "", b"x")
    with repository.transaction("undo") as transaction:
        repository.operations.undo(transaction)
    with repository.transaction("redo") as transaction:
        repository.operations.redo(transaction)
    repository.close()
    return repository.work_dir


def _describe(work_dir: Path) -> dict[str, object]:
    with Repository.open(work_dir) as repository:
        assert list(fsck(repository)) == []
        return {
            "objects": repository.database.load_rows(
                "SELECT kind, id, raw_size FROM objects ORDER BY kind, id"
            ),
            "commits": repository.database.load_rows("SELECT * FROM commits ORDER BY id"),
            "segments": repository.database.load_rows("SELECT * FROM segments ORDER BY number"),
            "refs": list(repository.refs.iter()),
            "head": repository.refs.head(),
            "operations": list(repository.operations.iter()),
            "settings": list(repository.settings.iter()),
            "git_map": repository.git_map.find_many([bytes(20)]),
        }


def test_everything_comes_back_from_a_readable_database(work_dir: Path) -> None:
    before = _describe(work_dir)
    result = rebuild(work_dir)
    assert result.problems == []
    assert result.saved_to is not None
    assert (result.saved_to / "muse.db").exists()
    assert (result.objects, result.refs) == (len(before["objects"]), 2)  # type: ignore[arg-type]
    assert _describe(work_dir) == before
    assert rebuild(work_dir).saved_to != result.saved_to
    with Repository.open(work_dir) as repository:
        commit(repository, {"after": b"all"}, "after")
        assert list(fsck(repository)) == []


def test_without_any_database_the_tips_get_branches(work_dir: Path) -> None:
    before = _describe(work_dir)
    with Repository.open(work_dir) as repository:
        tips = {ref.target for ref in repository.refs.iter("heads/topic")}
    for name in ("muse.db", "muse.db-wal", "muse.db-shm"):
        (work_dir / ".muse" / name).unlink(missing_ok=True)
    with pytest.raises(CorruptStore):
        Repository.open(work_dir)
    result = rebuild(work_dir)
    assert result.recovered_refs == ["heads/recovered-1"]
    assert result.saved_to is None
    after = _describe(work_dir)
    for what in ("objects", "commits", "segments"):
        assert after[what] == before[what]
    with Repository.open(work_dir) as repository:
        assert {ref.target for ref in repository.refs.iter()} == tips
        head = repository.refs.head()
        assert (head.branch, head.target) == ("recovered-1", *tips)
        names = [path for path, _ in iter_files(repository.objects.load, repository.graph(*tips).tree)]
        assert names == ["d/0", "d/1", "d/2", "d/3", "d/4", "t", "text"]


def test_a_damaged_database_gives_what_it_still_can(work_dir: Path) -> None:
    path = work_dir / ".muse" / "muse.db"
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = random.Random(1).randbytes(len(data) - len(data) // 2)
    path.write_bytes(data)
    result = rebuild(work_dir)
    assert result.objects > 20
    with Repository.open(work_dir) as repository:
        assert repository.refs.head().target is not None
        assert [problem for problem in fsck(repository) if problem.code != "missing-object"] == []


def test_torn_and_damaged_records_are_reported_and_the_rest_is_read(work_dir: Path) -> None:
    segment = work_dir / ".muse" / "segments" / "00000001.seg"
    whole = segment.read_bytes()
    with Repository.open(work_dir) as repository:
        first = repository.database.find_row(
            "SELECT kind, id, offset, stored_size FROM objects"
            " WHERE kind = 1 AND base IS NULL AND stored_size > 100 ORDER BY offset"
        )
        total = repository.database.find_row("SELECT count(*) FROM objects")[0]
    damaged = bytearray(whole)
    damaged[first[2] + 9 + first[3] - 8] ^= 0xFF
    segment.write_bytes(damaged[:-3])
    result = rebuild(work_dir)
    codes = {problem.code for problem in result.problems}
    assert "corrupt-object" in codes
    assert "corrupt-segment" in codes
    assert 0 < result.objects < total
    with Repository.open(work_dir) as repository:
        assert not repository.objects.has(Kind(first[0]), first[1])
        commit(repository, {"after": b"all"}, "after", branch="new")


def test_an_adopted_pack_is_read_to_its_index(repository: Repository) -> None:
    writer = PackWriter()
    with Repository.init(repository.work_dir / "origin") as origin:
        head = commit(origin, {"a": b"one"})
        keys = [
            (Kind(kind), object_id)
            for kind, object_id in origin.database.load_rows("SELECT kind, id FROM objects")
        ]
        for _, object_id, record in origin.objects.iter_records(keys):
            writer.add(object_id, record)
        pack = b"".join(writer.seal()[1])
    path = repository.temporary_dir / "pack"
    path.write_bytes(pack)
    with repository.transaction("fetch") as transaction:
        transaction.adopt_pack(path, verify_pack(memoryview(pack), transaction.load))
        transaction.set_ref("heads/main", head)
    repository.close()
    before = _describe(repository.work_dir)
    assert rebuild(repository.work_dir).problems == []
    assert _describe(repository.work_dir) == before


def test_a_base_in_a_later_segment_is_found(repository: Repository) -> None:
    text = b"".join(b"%d lines\n" % number for number in range(1000))
    with Repository.open(repository.work_dir) as other:
        commit(repository, {"hold": b"the first segment"})
        with other.transaction() as transaction:
            base = transaction.put(Kind.BLOB, text)
    with repository.transaction() as transaction:
        blob = transaction.put(Kind.BLOB, text + b"more", base)
    places = [repository.objects.find_location(Kind.BLOB, object_id) for object_id in (blob, base)]
    assert [place.segment for place in places if place is not None] == [1, 2]
    repository.close()
    assert rebuild(repository.work_dir).problems == []
    with Repository.open(repository.work_dir) as again:
        assert again.objects.load(Kind.BLOB, blob) == text + b"more"


def test_it_works_alone(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muse.store.rebuild.LOCK_TIMEOUT_S", 0.0)
    with repository.transaction() as transaction:
        transaction.put(Kind.BLOB, b"x")
        with refused("locked"):
            rebuild(repository.work_dir)
    with refused("not-a-repository"):
        rebuild(repository.work_dir / "nowhere")
