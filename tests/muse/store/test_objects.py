"""Putting objects and reading them back."""

from __future__ import annotations

import hashlib
import io
import random
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from tests.muse.store.scenes import ADA, Interrupted, commit, put_commit, put_tree, refused

from muse.errors import CorruptStore, InvalidData
from muse.objects.chunks import CHUNKED_FROM_BYTES, decode_chunks
from muse.objects.commit import Commit, encode_commit
from muse.objects.ids import Kind, hash_bytes
from muse.objects.tree import CHUNKED_FILE, FILE
from muse.packs.pack import PackWriter, verify_pack
from muse.packs.record import Encoding, Record, encode_object
from muse.store import objectwriter
from muse.store.repository import Repository


def test_every_kind_comes_back_as_it_was(repository: Repository) -> None:
    with repository.transaction() as transaction:
        blob = transaction.put(Kind.BLOB, b"hello")
        empty = transaction.put(Kind.BLOB, b"")
        commit_id = put_commit(transaction, {"a/b": b"hello"})
    assert blob == hashlib.sha256(b"hello").digest()
    assert repository.objects.load(Kind.BLOB, blob) == b"hello"
    assert repository.objects.load(Kind.BLOB, empty) == b""
    assert repository.objects.size(Kind.BLOB, blob) == 5
    node = repository.graph(commit_id)
    assert (node.parents, node.generation, node.time_s) == ((), 1, ADA.time_s)
    assert repository.objects.has(Kind.TREE, node.tree)


def test_the_same_bytes_of_two_kinds_are_two_objects(repository: Repository) -> None:
    with repository.transaction() as transaction:
        tree = put_tree(transaction, {"a": b"one"})
        data = transaction.load(Kind.TREE, tree)
        assert not transaction.has(Kind.BLOB, tree)
        assert transaction.put(Kind.BLOB, data) == tree
    assert repository.objects.has(Kind.BLOB, tree)
    assert not repository.objects.has(Kind.CHUNKS, tree)


def test_an_object_is_stored_once(repository: Repository) -> None:
    data = random.Random(1).randbytes(100_000)
    for _ in range(3):
        with repository.transaction() as transaction:
            transaction.put(Kind.BLOB, data)
            transaction.put(Kind.BLOB, memoryview(data))
    stored = sum(path.stat().st_size for path in (repository.muse_dir / "segments").iterdir())
    assert stored < 110_000


def test_objects_are_readable_inside_their_transaction_and_only_there_before_its_end(
    repository: Repository,
) -> None:
    with Repository.open(repository.work_dir) as other:
        with repository.transaction() as transaction:
            blob = transaction.put(Kind.BLOB, b"x" * 100)
            assert transaction.load(Kind.BLOB, blob) == b"x" * 100
            assert transaction.has(Kind.BLOB, blob)
            assert not other.objects.has(Kind.BLOB, blob)
        assert other.objects.load(Kind.BLOB, blob) == b"x" * 100


def test_nothing_of_a_failed_transaction_stays(repository: Repository) -> None:
    commit(repository, {"a": b"one"})
    before = {path.name: path.stat().st_size for path in (repository.muse_dir / "segments").iterdir()}
    with suppress(Interrupted), repository.transaction("fails") as transaction:
        blob = transaction.put(Kind.BLOB, random.Random(1).randbytes(6 << 20))
        small = transaction.put(Kind.BLOB, b"small")
        assert transaction.load(Kind.BLOB, small) == b"small"
        transaction.set_ref("heads/other", repository.refs.head().target)
        raise Interrupted
    assert not repository.objects.has(Kind.BLOB, blob)
    with pytest.raises(CorruptStore) as caught:
        repository.objects.load(Kind.BLOB, small)
    assert caught.value.code == "missing-object"
    assert repository.refs.get("heads/other") is None
    assert {path.name: path.stat().st_size for path in (repository.muse_dir / "segments").iterdir()} == before
    assert commit(repository, {"a": b"two"})


def test_a_similar_version_costs_little_and_chains_stay_short(repository: Repository) -> None:
    lines = [b"%d\n" % value for value in random.Random(7).choices(range(1 << 30), k=5_000)]
    versions, base = [], None
    for number in range(40):
        lines[number * 100] = b"%d\n" % number
        data = b"".join(lines)
        with repository.transaction() as transaction:
            base = transaction.put(Kind.BLOB, data, base)
        versions.append((base, data))
    records = [repository.objects.load_record(Kind.BLOB, blob) for blob, _ in versions]
    by_id = {blob: record for (blob, _), record in zip(versions, records, strict=True)}

    def depth(record: Record) -> int:
        return 0 if record.base is None else 1 + depth(by_id[record.base])

    assert max(map(depth, records)) == objectwriter.MAX_DEPTH
    assert sum(record.base is None for record in records) == 3
    assert sum(len(record.payload) for record in records) < 3.5 * len(records[0].payload)
    with Repository.open(repository.work_dir) as fresh:
        for blob, data in reversed(versions):
            assert fresh.objects.load(Kind.BLOB, blob) == data


def test_a_base_that_is_not_there_is_only_a_hint(repository: Repository) -> None:
    with repository.transaction() as transaction:
        blob = transaction.put(Kind.BLOB, b"x" * 1000, bytes(32))
    assert repository.objects.load(Kind.BLOB, blob) == b"x" * 1000


def test_find_missing_answers_for_any_number_of_ids(repository: Repository) -> None:
    with repository.transaction() as transaction:
        present = [transaction.put(Kind.BLOB, b"%d" % number) for number in range(100)]
        pending_answer = repository.objects.find_missing(Kind.BLOB, [*present, bytes(32)])
    absent = [hashlib.sha256(b"absent %d" % number).digest() for number in range(100_000)]
    assert pending_answer == {bytes(32)}
    assert repository.objects.find_missing(Kind.BLOB, [*absent, *present]) == set(absent)
    assert repository.objects.find_missing(Kind.TREE, present) == set(present)
    assert repository.objects.find_missing(Kind.BLOB, []) == set()


def test_records_stream_with_bases_first(repository: Repository) -> None:
    base, keys = None, []
    text = [b"%d lines of text\n" % number for number in range(300)]
    for number in range(12):
        text[number] = b"changed\n"
        with repository.transaction() as transaction:
            base = transaction.put(Kind.BLOB, b"".join(text), base)
            keys.append((Kind.BLOB, base))
            keys.append((Kind.TREE, put_tree(transaction, {f"{number}": b"x"})))
    seen: set[bytes] = set()
    for kind, object_id, record in repository.objects.iter_records(reversed(keys)):
        assert record.kind == kind
        assert record.base is None or record.base in seen
        seen.add(object_id)
    assert seen == {object_id for _, object_id in keys}


def test_a_record_that_is_missing_is_named(repository: Repository) -> None:
    with pytest.raises(CorruptStore) as caught:
        list(repository.objects.iter_records([(Kind.BLOB, bytes(32))]))
    assert caught.value.code == "missing-object"
    assert caught.value.details == {"kind": "blob", "id": "00" * 32}


def test_records_are_copied_from_one_repository_to_another(repository: Repository, tmp_path: Path) -> None:
    for number in range(5):
        commit(repository, {"a": b"line\n" * 100 + b"%d" % number, f"d{number}/b": b"x"}, f"c{number}")
    head = repository.refs.head().target
    assert head is not None
    rows = [(kind, object_id) for kind in Kind for object_id in _all_ids(repository, kind)]
    with Repository.init(tmp_path / "copy") as copy:
        with copy.transaction("clone") as transaction:
            for kind, object_id, record in repository.objects.iter_records(rows):
                assert kind == record.kind
                transaction.put_records([(object_id, record)])
                transaction.put_records([(object_id, record)])
            transaction.set_ref("heads/main", head)
        for kind, object_id in rows:
            assert copy.objects.load(kind, object_id) == repository.objects.load(kind, object_id)
        assert copy.graph(head) == repository.graph(head)


def _all_ids(repository: Repository, kind: Kind) -> list[bytes]:
    return [
        object_id
        for first in "0123456789abcdef"
        for found, object_id in repository.objects.find_by_prefix(first, limit=10_000)
        if found is kind
    ]


def test_a_record_without_its_base_is_refused(repository: Repository) -> None:
    old, new = b"some words " * 50, b"some words " * 50 + b"more"
    record = encode_object(Kind.BLOB, new, (hash_bytes(old), old))
    assert record.encoding == Encoding.PREFIX
    with pytest.raises(InvalidData) as caught, repository.transaction() as transaction:
        transaction.put_records([(hash_bytes(new), record)])
    assert caught.value.code == "missing-objects"


def test_many_records_are_put_at_once_and_each_is_stored_once(repository: Repository) -> None:
    old, new = b"some words " * 50, b"some words " * 50 + b"more"
    base, above = encode_object(Kind.BLOB, old), encode_object(Kind.BLOB, new, (hash_bytes(old), old))
    rows = [(hash_bytes(old), base), (hash_bytes(new), above), (hash_bytes(old), base)]
    with repository.transaction() as transaction:
        transaction.put_records(rows)
        transaction.put_records(rows)
    location = repository.objects.find_location(Kind.BLOB, hash_bytes(new))
    assert location is not None
    assert location.depth == 1
    assert sum(path.stat().st_size for path in (repository.muse_dir / "segments").iterdir()) < len(old)
    assert repository.objects.load(Kind.BLOB, hash_bytes(new)) == new


def test_a_commit_without_its_parent_is_refused(repository: Repository) -> None:
    with refused("missing-objects"), repository.transaction() as transaction:
        tree = put_tree(transaction, {"a": b"one"})
        transaction.put(Kind.COMMIT, encode_commit(Commit(tree, (bytes(32),), ADA, ADA, "orphan")))


def test_a_pack_becomes_a_segment(repository: Repository, tmp_path: Path) -> None:
    with Repository.init(tmp_path / "origin") as origin:
        for number in range(4):
            commit(origin, {"a": b"line\n" * 100 + b"%d" % number}, f"c{number}")
        head = origin.refs.head().target
        assert head is not None
        writer = PackWriter()
        keys = [(kind, object_id) for kind in Kind for object_id in _all_ids(origin, kind)]
        for _, object_id, record in origin.objects.iter_records(keys):
            writer.add(object_id, record._replace(payload=bytes(record.payload)))
        pack_id, parts = writer.seal()
        expected = {key: origin.objects.load(*key) for key in keys}
    path = repository.temporary_dir / pack_id.hex()
    path.write_bytes(b"".join(parts))
    with repository.transaction("fetch") as transaction:
        transaction.adopt_pack(path, verify_pack(memoryview(path.read_bytes()), transaction.load))
        assert transaction.load(Kind.COMMIT, head) == expected[Kind.COMMIT, head]
        transaction.set_ref("heads/main", head)
    assert not path.exists()
    assert repository.graph(head).generation == 4
    commit(repository, {"b": b"after"}, "after")
    with Repository.open(repository.work_dir) as again:
        for key, data in expected.items():
            assert again.objects.load(*key) == data


def test_an_adopted_pack_of_a_failed_transaction_goes(repository: Repository) -> None:
    writer = PackWriter()
    writer.add(hash_bytes(b"x"), encode_object(Kind.BLOB, b"x"))
    path = repository.temporary_dir / "pack"
    path.write_bytes(b"".join(writer.seal()[1]))
    with suppress(Interrupted), repository.transaction() as transaction:
        transaction.adopt_pack(path, verify_pack(memoryview(path.read_bytes()), transaction.load))
        assert transaction.load(Kind.BLOB, hash_bytes(b"x")) == b"x"
        raise Interrupted
    assert not repository.objects.has(Kind.BLOB, hash_bytes(b"x"))
    assert list((repository.muse_dir / "segments").iterdir()) == []


def test_flushed_objects_outlive_a_failure_and_refs_do_not(repository: Repository) -> None:
    with suppress(Interrupted), repository.transaction("import") as transaction:
        first = put_commit(transaction, {"a": b"one"})
        transaction.set_ref("heads/main", first)
        transaction.flush()
        second = put_commit(transaction, {"a": b"two"}, (first,))
        raise Interrupted
    assert repository.objects.has(Kind.COMMIT, first)
    assert not repository.objects.has(Kind.COMMIT, second)
    assert repository.refs.get("heads/main") is None


def test_a_long_transaction_flushes_by_itself(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objectwriter, "FLUSH_ROWS", 10)
    with Repository.open(repository.work_dir) as other, repository.transaction() as transaction:
        ids = [transaction.put(Kind.BLOB, b"%d" % number) for number in range(25)]
        assert len(other.objects.find_missing(Kind.BLOB, ids)) == 5
        assert all(transaction.has(Kind.BLOB, blob) for blob in ids)


@pytest.mark.parametrize("size_bytes", [0, 1, CHUNKED_FROM_BYTES - 1])
def test_a_small_stream_is_a_blob(repository: Repository, size_bytes: int) -> None:
    data = bytes(size_bytes)
    with repository.transaction() as transaction:
        for hint in (0, size_bytes, 10, 1 << 30):
            stored = transaction.put_stream(io.BytesIO(data), hint)
            assert stored == (FILE, hash_bytes(data), size_bytes)
    assert b"".join(repository.objects.open_file(FILE, hash_bytes(data))) == data


def test_a_large_stream_is_chunked_and_an_edit_costs_a_few_chunks(repository: Repository) -> None:
    data = random.Random(3).randbytes(40 << 20)
    edited = data[: 20 << 20] + b"inserted" * 128 + data[20 << 20 :]
    with repository.transaction() as transaction:
        kind, root, size_bytes = transaction.put_stream(io.BytesIO(data), len(data))
    assert (kind, size_bytes) == (CHUNKED_FILE, len(data))
    assert decode_chunks(repository.objects.load(Kind.CHUNKS, root)).file_id == hash_bytes(data)
    before = _stored_bytes(repository)
    with repository.transaction() as transaction:
        _, new_root, _ = transaction.put_stream(io.BytesIO(edited), 5, root)
    assert _stored_bytes(repository) - before < 2 << 20
    assert repository.objects.load_record(Kind.CHUNKS, new_root).base == root
    digest = hashlib.sha256()
    for piece in repository.objects.open_file(CHUNKED_FILE, new_root):
        assert len(piece) <= 1 << 20
        digest.update(piece)
    assert digest.digest() == hash_bytes(edited)


def _stored_bytes(repository: Repository) -> int:
    return sum(path.stat().st_size for path in (repository.muse_dir / "segments").iterdir())


class _Dribble(io.RawIOBase):
    """Gives a few bytes at a time, as a pipe does."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        return self._data.readinto(view[:70_001])


def test_a_stream_that_dribbles_gives_the_same_chunks(repository: Repository) -> None:
    data = random.Random(4).randbytes(CHUNKED_FROM_BYTES + 12345)
    with repository.transaction() as transaction:
        whole = transaction.put_stream(io.BytesIO(data), len(data))
        assert transaction.put_stream(_Dribble(data), 0) == whole  # type: ignore[arg-type]


def test_ids_are_found_by_their_first_digits(repository: Repository) -> None:
    with repository.transaction() as transaction:
        blob = transaction.put(Kind.BLOB, b"hello")
    assert repository.objects.find_by_prefix(blob.hex()[:7]) == [(Kind.BLOB, blob)]
    assert repository.objects.find_by_prefix(blob.hex().upper()) == [(Kind.BLOB, blob)]
    assert repository.objects.find_by_prefix("zz") == []
    assert repository.objects.find_by_prefix("") == []


def test_threads_read_at_once(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer files may be open than there are segments, and the cache holds less than is read."""
    monkeypatch.setattr("muse.store.segments.MAX_OPEN_FILES", 2)
    contents = {}
    for number in range(12):
        with Repository.open(repository.work_dir) as writer, repository.transaction() as held:
            held.put(Kind.BLOB, b"keeps the first segment busy %d" % number)
            with writer.transaction() as transaction:
                for seed in range(20):
                    data = random.Random(number * 100 + seed).randbytes(20_000)
                    contents[transaction.put(Kind.BLOB, data)] = data
        with (repository.muse_dir / "segments" / f"{number + 2:08d}.seg").open("ab") as file:
            file.write(b"\x11")
    failures: list[object] = []

    def read(seed: int) -> None:
        ids = list(contents)
        random.Random(seed).shuffle(ids)
        try:
            for blob in ids:
                if repository.objects.load(Kind.BLOB, blob) != contents[blob]:
                    failures.append(blob)
                repository.objects.forget()
        except Exception as error:
            failures.append(error)

    threads = [Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
