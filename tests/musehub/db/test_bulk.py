"""Many rows, and sets of ids, in one statement."""

from __future__ import annotations

import hashlib

import pytest
import sqlalchemy as sa

from musehub.db.bulk import (
    ROWS_PER_STEP,
    find_present,
    ids_relation,
    insert_columns,
    insert_ignore,
)
from musehub.db.engine import Database
from musehub.db.tables import blobs, commits
from musehub.db.transaction import metered

COLUMNS = ["repository_id", "id", "pack_id", "offset", "stored_size", "raw_size", "encoding", "base"]


def make_id(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(8, "big")).digest()


def blob_row(number: int, repository_id: int = 1) -> tuple[object, ...]:
    base = make_id(number + 1) if number % 2 else None
    return (repository_id, make_id(number), 7, number, 10, 20, 1, base)


async def add_blobs(database: Database, numbers: range, repository_id: int = 1) -> int:
    async with database.transaction("add blobs") as conn:
        return await insert_ignore(conn, blobs, COLUMNS, [blob_row(n, repository_id) for n in numbers])


async def test_rows_that_exist_are_left_alone(database: Database) -> None:
    assert await add_blobs(database, range(10)) == 10
    assert await add_blobs(database, range(5, 12)) == 2
    assert await add_blobs(database, range(5)) == 0
    assert await add_blobs(database, range(0)) == 0


async def test_values_come_back_as_they_went_in(database: Database) -> None:
    await add_blobs(database, range(3))
    async with database.read("read") as conn:
        rows = (await conn.execute(sa.select(blobs).order_by(blobs.c.offset))).all()
    assert [tuple(row) for row in rows] == [blob_row(number) for number in range(3)]


async def test_columns_of_numbers_and_ids_go_in_as_rows_do(database: Database) -> None:
    await add_blobs(database, range(2, 4))
    rows = [blob_row(number) for number in range(2000)]
    columns = dict(zip(COLUMNS[1:], list(zip(*rows, strict=True))[1:], strict=True))
    columns["raw_size"] = (0, (1 << 63) - 1, *columns["raw_size"][2:])
    with metered() as meter:
        async with database.transaction("add") as conn:
            assert await insert_columns(conn, blobs, {"repository_id": 1}, columns) == 1998
            assert await insert_columns(conn, blobs, {"repository_id": 1}, columns) == 0
            assert await insert_columns(conn, blobs, {"repository_id": 1}, {"id": []}) == 0
    assert meter.statements == 2
    async with database.read("read") as conn:
        found = (await conn.execute(sa.select(blobs).order_by(blobs.c.offset))).all()
    assert [row.raw_size for row in found[:3]] == [0, (1 << 63) - 1, 20]
    assert [tuple(row) for row in found[2:]] == rows[2:]


async def test_columns_of_many_rows_go_in_a_few_thousand_at_a_time(database: Database) -> None:
    numbers = range(2 * ROWS_PER_STEP + 1)
    await add_blobs(database, numbers[::1000])
    columns = dict(zip(COLUMNS[1:], list(zip(*map(blob_row, numbers), strict=True))[1:], strict=True))
    with metered() as meter:
        async with database.transaction("add") as conn:
            added = await insert_columns(conn, blobs, {"repository_id": 1}, columns)
    assert added == len(numbers) - len(numbers[::1000])
    assert meter.statements == (1 if conn.dialect.name == "postgresql" else 3)
    async with database.read("read") as conn:
        found = (await conn.execute(sa.select(blobs).order_by(blobs.c.offset))).all()
    assert [tuple(row) for row in found] == [blob_row(number) for number in numbers]


async def test_text_with_any_characters(database: Database) -> None:
    columns = [column.name for column in commits.c]
    summary = "quotes ' \" { } \\ % : $1 ? – 🎵 NULL"
    people = ("Ada", "ada@example.org", 1)
    row = (1, make_id(1), make_id(2), 1, *people, *people, "human", None, None, None, summary, None)
    async with database.transaction("add") as conn:
        assert await insert_ignore(conn, commits, columns, [row]) == 1
        assert (await conn.execute(sa.select(commits.c.summary))).scalar_one() == summary


async def test_asking_for_a_set_is_one_statement_at_any_size(database: Database) -> None:
    await add_blobs(database, range(0, 100_000, 2))
    ids = [make_id(number) for number in range(100_000)]
    with metered() as meter:
        async with database.read("ask") as conn:
            present = await find_present(conn, blobs, ids, {"repository_id": 1})
    assert present == set(ids[::2])
    assert meter.statements == 1


async def test_ids_of_another_repository_are_missing(database: Database) -> None:
    await add_blobs(database, range(4), repository_id=2)
    ids = [make_id(number) for number in range(4)]
    async with database.read("ask") as conn:
        assert await find_present(conn, blobs, ids, {"repository_id": 1}) == set()
        assert await find_present(conn, blobs, ids, {"repository_id": 2}) == set(ids)
        assert await find_present(conn, blobs, [], {"repository_id": 2}) == set()


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
async def test_a_relation_of_ids_keeps_every_id(database: Database, count: int) -> None:
    ids = [make_id(number) for number in range(count)]
    async with database.read("ask") as conn:
        relation = ids_relation(conn, ids)
        assert sorted((await conn.execute(sa.select(relation.c.id))).scalars()) == sorted(ids)


async def test_two_relations_in_one_query(database: Database) -> None:
    ids = [make_id(number) for number in range(10)]
    async with database.read("ask") as conn:
        left, right = ids_relation(conn, ids[:7], "left_ids"), ids_relation(conn, ids[4:], "right_ids")
        query = sa.select(left.c.id).join(right, left.c.id == right.c.id)
        assert set((await conn.execute(query)).scalars()) == set(ids[4:7])
