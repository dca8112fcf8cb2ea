"""One visit to the thread of a connection for each statement, and the same rows as ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
import sqlalchemy as sa

from musehub.db.opening import open_database
from musehub.db.sqlite_driver import FIRST_ROWS, make_connector
from musehub.settings import Settings

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) SELECT i FROM n"


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[aiosqlite.Connection]:
    connection = await make_connector(str(tmp_path / "x.db"), 5.0)()
    yield connection
    await connection.close()


@pytest.mark.parametrize("count", [0, 1, FIRST_ROWS - 1, FIRST_ROWS, FIRST_ROWS + 1, 3 * FIRST_ROWS])
async def test_all_rows_come_in_order(connection: aiosqlite.Connection, count: int) -> None:
    expected = [(number + 1,) for number in range(max(1, count))]
    async with connection.cursor() as cursor:
        await cursor.execute(NUMBERS, (max(1, count),))
        assert list(await cursor.fetchall()) == expected
        assert await cursor.fetchone() is None
    for size in (1, 7, FIRST_ROWS, 2 * FIRST_ROWS):
        found: list[Any] = []
        async with connection.cursor() as cursor:
            await cursor.execute(NUMBERS, (max(1, count),))
            while rows := list(await cursor.fetchmany(size)):
                found += rows
        assert found == expected


async def test_a_cursor_left_in_the_middle_keeps_nothing_locked(connection: aiosqlite.Connection) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute("BEGIN")
        await cursor.execute("CREATE TABLE t (i)")
        await cursor.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(3 * FIRST_ROWS)])
        assert cursor.rowcount == 3 * FIRST_ROWS
        await cursor.execute("COMMIT")
    async with connection.cursor() as cursor:
        await cursor.execute("SELECT i FROM t")
        assert await cursor.fetchone() == (0,)
    async with connection.cursor() as cursor:
        await cursor.execute("DROP TABLE t")
        assert await cursor.fetchall() == []


async def test_a_transaction_visits_the_thread_once_for_each_statement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path / 'x.db'}"))
    try:
        async with database.transaction("warm up") as conn:
            await conn.execute(sa.text("SELECT 1"))
        loop = asyncio.get_running_loop()
        visits = 0
        really = loop.call_soon_threadsafe

        def count(*arguments: Any, **options: Any) -> asyncio.Handle:
            nonlocal visits
            visits += 1
            return really(*arguments, **options)

        monkeypatch.setattr(loop, "call_soon_threadsafe", count)
        async with database.transaction("read ten times") as conn:
            for number in range(10):
                assert (await conn.execute(sa.text("SELECT :n"), {"n": number})).scalar_one() == number
        assert visits <= 10 + 3  # begin, commit, and the pool's own
    finally:
        await database.close()
