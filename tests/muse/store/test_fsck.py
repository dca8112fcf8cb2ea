"""Damage of every sort is found and named, and a healthy store is silent."""

from __future__ import annotations

import io
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.muse.store.scenes import ADA, commit, put_tag, refused

from muse.objects.chunks import Chunk, build_chunk_list
from muse.objects.commit import Commit, encode_commit
from muse.objects.ids import Kind, hash_bytes
from muse.objects.tree import FILE, Entry, encode_entries
from muse.store.fsck import fsck
from muse.store.locations import Location
from muse.store.repository import Repository


def _change(repository: Repository, sql: str, *parameters: object) -> None:
    """Change the database behind the store's back."""
    with sqlite3.connect(repository.database.path) as database:
        database.execute(sql, parameters)
    database.close()


def _segment(repository: Repository) -> Path:
    (segment,) = (repository.muse_dir / "segments").iterdir()
    return segment


def _place(repository: Repository, kind: Kind, object_id: bytes) -> Location:
    location = repository.objects.find_location(kind, object_id)
    assert location is not None
    return location


def _damage(repository: Repository, location: Location) -> None:
    """Flip a bit in the last byte of a record."""
    with _segment(repository).open("r+b") as file:
        file.seek(location.offset + location.size_bytes - 1)
        byte = file.read(1)[0]
        file.seek(-1, io.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    repository.objects.forget()


def test_a_healthy_store_is_silent_and_counts(repository: Repository) -> None:
    head = commit(repository, {"a": b"one", "big/b": b"x" * 100_000}, "1")
    commit(repository, {"a": b"two"}, "2")
    with repository.transaction("tag") as transaction:
        data = random.Random(2).randbytes(5 << 20)
        kind, root, size_bytes = transaction.put_stream(io.BytesIO(data), len(data))
        tree = transaction.put(Kind.TREE, encode_entries([Entry("big", kind, root, size_bytes)]))
        new = transaction.put(Kind.COMMIT, encode_commit(Commit(tree, (head,), ADA, ADA, "big")))
        transaction.set_ref("tags/v1", put_tag(transaction, new, "v1"), kind=Kind.TAG)
    phases: list[tuple[str, int, int | None]] = []
    assert list(fsck(repository, lambda phase, done, total, unit: phases.append((phase, done, total)))) == []
    count = repository.database.find_row("SELECT count(*) FROM objects")[0]
    assert ("checking objects", count, count) in phases


def test_objects_that_nothing_reaches_may_be_incomplete(repository: Repository) -> None:
    with repository.transaction() as transaction:
        transaction.put(Kind.TREE, encode_entries([Entry("a", FILE, bytes(32), 1)]))
    assert list(fsck(repository)) == []


def test_a_flipped_bit(repository: Repository) -> None:
    commit(repository, {"a": random.Random(1).randbytes(1000), "b": b"intact"})
    blob = hash_bytes(random.Random(1).randbytes(1000))
    _damage(repository, _place(repository, Kind.BLOB, blob))
    (problem,) = fsck(repository)
    assert (problem.code, problem.kind, problem.id) == ("corrupt-object", Kind.BLOB, blob)
    assert problem.where.startswith("segment 1, offset ")
    with refused("corrupt-object"):
        repository.objects.load(Kind.BLOB, blob)


def test_a_damaged_base_damages_what_is_based_on_it(repository: Repository) -> None:
    text = b"".join(b"%d lines\n" % number for number in range(1000))
    with repository.transaction() as transaction:
        first = transaction.put(Kind.BLOB, text)
        second = transaction.put(Kind.BLOB, text + b"more", first)
    _damage(repository, _place(repository, Kind.BLOB, first))
    problems = list(fsck(repository))
    assert {problem.id for problem in problems} == {first, second}
    assert {problem.code for problem in problems} == {"corrupt-object"}


def test_a_damaged_base_does_not_stop_a_commit(repository: Repository) -> None:
    text = b"".join(b"%d lines\n" % number for number in range(1000))
    with repository.transaction() as transaction:
        first = transaction.put(Kind.BLOB, text)
    _damage(repository, _place(repository, Kind.BLOB, first))
    with repository.transaction() as transaction:
        second = transaction.put(Kind.BLOB, text + b"more", first)
    repository.objects.forget()
    assert repository.objects.load(Kind.BLOB, second) == text + b"more"


def test_a_missing_segment(repository: Repository) -> None:
    commit(repository, {"a": b"one"})
    _segment(repository).unlink()
    repository.objects.forget()
    problems = list(fsck(repository))
    assert {problem.code for problem in problems} == {"corrupt-segment"}
    assert len(problems) == 4
    with refused("corrupt-segment"):
        repository.objects.load(Kind.BLOB, hash_bytes(b"one"))


def test_a_truncated_segment(repository: Repository) -> None:
    commit(repository, {"a": b"one"})
    segment = _segment(repository)
    with segment.open("r+b") as file:
        file.truncate(segment.stat().st_size - 1)
    repository.objects.forget()
    problems = list(fsck(repository))
    assert [problem.code for problem in problems] == ["corrupt-segment"] * 2


def test_a_foreign_segment(repository: Repository) -> None:
    commit(repository, {"a": b"one"})
    with _segment(repository).open("r+b") as file:
        file.write(b"NOTAPACK")
    assert [problem.code for problem in fsck(repository)] == ["corrupt-segment"]


@pytest.mark.parametrize("kind", [Kind.BLOB, Kind.TREE, Kind.COMMIT])
def test_a_missing_row(repository: Repository, kind: Kind) -> None:
    head = commit(repository, {"a": b"one"}, "1")
    commit(repository, {"a": b"two"}, "2")
    node = repository.graph(head)
    victim = {Kind.BLOB: hash_bytes(b"one"), Kind.TREE: node.tree, Kind.COMMIT: head}[kind]
    _change(repository, "DELETE FROM objects WHERE kind = ? AND id = ?", int(kind), victim)
    repository.objects.forget()
    problems = [problem for problem in fsck(repository) if problem.kind is kind]
    assert problems
    assert {problem.id for problem in problems} == {victim}
    assert {problem.code for problem in problems} == {"missing-object"}


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE commits SET generation = 7",
        "UPDATE commits SET parents = x'00'",
        "DELETE FROM commits",
        "UPDATE commits SET tree = zeroblob(32)",
        "UPDATE objects SET raw_size = raw_size + 1 WHERE kind = 3",
        "DELETE FROM head",
        "UPDATE refs SET target = zeroblob(32)",
        "UPDATE operation_changes SET new = zeroblob(32)",
        "UPDATE objects SET offset = offset + 1 WHERE kind = 2",
        "UPDATE objects SET kind = 9 WHERE kind = 1",
    ],
)
def test_wrong_rows(repository: Repository, sql: str) -> None:
    commit(repository, {"a": b"one"})
    _change(repository, sql)
    assert list(fsck(repository))


def _wrong_whole(repository: Repository) -> bytes:
    with repository.transaction() as transaction:
        chunk = Chunk(3, transaction.put(Kind.BLOB, b"abc"))
        return build_chunk_list(hash_bytes(b"xyz"), [chunk], transaction.put)


def _wrong_order(repository: Repository) -> bytes:
    with repository.transaction() as transaction:
        chunks = [Chunk(3, transaction.put(Kind.BLOB, data)) for data in (b"abc", b"def")]
        return build_chunk_list(hash_bytes(b"defabc"), chunks, transaction.put)


@pytest.mark.parametrize("make", [_wrong_whole, _wrong_order])
def test_a_chunked_file_that_is_not_what_its_list_says(
    repository: Repository, make: Callable[[Repository], bytes]
) -> None:
    root = make(repository)
    (problem,) = fsck(repository)
    assert (problem.code, problem.id) == ("corrupt-object", root)


def test_a_damaged_page_of_the_database(repository: Repository) -> None:
    for number in range(30):
        commit(repository, {f"f{number}": b"%d" % number}, f"{number}")
    repository.close()
    path = repository.database.path
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 200] = bytes(200)
    path.write_bytes(data)
    with Repository.open(repository.work_dir) as again:
        problems = list(fsck(again))
    assert problems
    assert "corrupt-database" in {problem.code for problem in problems}
