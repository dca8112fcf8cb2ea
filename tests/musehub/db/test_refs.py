"""Branches and tags by the ten thousand: what a page shows of them, and what is read for it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from muse.objects.ids import Kind
from muse.wire.refnames import HEADS, TAGS
from muse.wire.refs import Ref
from musehub.db.bulk import insert_ignore
from musehub.db.engine import Database
from musehub.db.history import COMMIT_COLUMNS
from musehub.db.instants import from_micros
from musehub.db.ref_pages import (
    COUNTED_MAX,
    RefAt,
    RefCounts,
    count_refs,
    list_annotated_tags,
    list_names,
    list_refs_at,
    list_refs_page,
)
from musehub.db.refs import find_refs, replace_refs
from musehub.db.tables import commits

FEW, MANY = 1, 2
"""Ids of repositories."""
SIZES = {FEW: 300, MANY: 20_000}
COMMITS = 200
"""Every one was made a microsecond after the one before."""


def commit_id(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def tag_id(number: int) -> bytes:
    return hashlib.sha256(b"tag %d" % number).digest()


async def make_repository(conn: AsyncConnection, repository_id: int) -> None:
    await conn.exec_driver_sql(
        "INSERT INTO users (id, name, created_at) VALUES (1, 'ada', 0) ON CONFLICT DO NOTHING"
    )
    await conn.exec_driver_sql(
        "INSERT INTO repositories (id, owner_id, name, created_at, updated_at) "
        f"VALUES ({repository_id}, 1, 'r{repository_id}', 0, 0)"
    )
    who = ("Ada", "ada@example.com")
    nothing = (None, None, None, "", None)
    rows = [
        (repository_id, commit_id(n), bytes(32), n + 1, *who, n, *who, n, "human", *nothing)
        for n in range(COMMITS)
    ]
    await insert_ignore(conn, commits, COMMIT_COLUMNS, rows)


def make_refs(count: int) -> dict[str, Ref | None]:
    """Three branches to two tags, a few of them annotated: one at each commit, and the rest at the first."""
    found: dict[str, Ref | None] = {HEADS + "main": Ref(commit_id(1))}
    for number in range(count):
        target = commit_id(number if number < COMMITS else 0)
        if number % 5 < 3:
            found[f"{HEADS}b{number:05}"] = Ref(target)
        elif number % 100 == 99:
            found[f"{TAGS}a{number:05}"] = Ref(tag_id(number), Kind.TAG)
        else:
            found[f"{TAGS}t{number:05}"] = Ref(target)
    return found


@pytest.fixture
async def filled(database: Database) -> Database:
    """A repository with few branches and tags, and one with many."""
    async with database.transaction("fill") as conn:
        for repository_id, count in SIZES.items():
            await make_repository(conn, repository_id)
            await replace_refs(conn, repository_id, make_refs(count), from_micros(5))
        await conn.exec_driver_sql("ANALYZE refs")
    return database


class Effort:
    """What a database did: rows read on PostgreSQL, hundreds of steps of its machine on SQLite."""

    def __init__(self) -> None:
        self.spent = 0

    def step(self) -> int:
        self.spent += 1
        return 0


@asynccontextmanager
async def watched(database: Database, conn: AsyncConnection) -> AsyncIterator[Effort]:
    effort = Effort()
    if database.is_postgresql:
        query = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'refs'"
        before = (await conn.exec_driver_sql(query)).scalar_one()
        yield effort
        effort.spent = (await conn.exec_driver_sql(query)).scalar_one() - before
        return
    driver: Any = (await conn.get_raw_connection()).driver_connection
    await driver.set_progress_handler(effort.step, 100)
    yield effort
    await driver.set_progress_handler(None, 0)


QUERIES: dict[str, Callable[[AsyncConnection, int], Awaitable[Any]]] = {
    "the first branches by name": lambda conn, of: list_names(conn, of, HEADS, 30),
    "the last tags by name": lambda conn, of: list_names(conn, of, TAGS, 30, last=True),
    "the newest branches": lambda conn, of: list_refs_page(conn, of, HEADS, first=HEADS + "main", limit=101),
    "the newest tags": lambda conn, of: list_refs_page(conn, of, TAGS, limit=101),
    "the second page of tags": lambda conn, of: list_refs_page(conn, of, TAGS, limit=10, offset=50),
    "branches at a commit": lambda conn, of: list_refs_page(conn, of, HEADS, target=commit_id(197), limit=10),
    "some branches by name": lambda conn, of: find_refs(conn, of, [HEADS + "main", HEADS + "none"]),
    "annotated tags": lambda conn, of: list_annotated_tags(conn, of, 3),
    "labels of commits": lambda conn, of: list_refs_at(conn, of, [commit_id(199 - n) for n in range(50)], 1),
}


async def test_a_page_reads_no_more_where_there_are_many(filled: Database) -> None:
    too_much = {}
    for name, query in QUERIES.items():
        spent = {}
        for repository_id in SIZES:
            async with filled.read("page") as conn:
                await query(conn, repository_id)  # whatever a connection does only once
                async with watched(filled, conn) as effort:
                    assert await query(conn, repository_id), name
            spent[repository_id] = effort.spent
        if spent[MANY] > 2 * spent[FEW] + 50:
            too_much[name] = spent
    assert not too_much


async def test_very_many_are_not_counted(filled: Database) -> None:
    async with filled.read("count") as conn:
        assert await count_refs(conn, FEW) == RefCounts(181, 120)
        assert await count_refs(conn, MANY) == RefCounts(COUNTED_MAX + 1, 8_000)
        assert await list_refs_at(conn, MANY, [commit_id(197), commit_id(0), commit_id(199)], 1) == [
            RefAt(commit_id(197), "heads/b00197", RefCounts(1, 0)),
            RefAt(commit_id(0), "heads/b00000", RefCounts(COUNTED_MAX + 1, 7_722)),
        ]


async def test_pages_begin_with_the_newest_and_follow_each_other(filled: Database) -> None:
    async def page(prefix: str, offset: int, **asked: Any) -> list[str]:
        async with filled.read("page") as conn:
            found = await list_refs_page(conn, FEW, prefix, limit=3, offset=offset, **asked)
        return [name.removeprefix(prefix) for name, _ref in found]

    assert await page(HEADS, 0) == ["b00197", "b00196", "b00195"]
    assert await page(HEADS, 0, first="heads/main") == ["main", "b00197", "b00196"]
    assert await page(HEADS, 3, first="heads/main") == ["b00195", "b00192", "b00191"]
    assert await page(HEADS, 0, first="heads/none") == ["b00197", "b00196", "b00195"]
    assert await page(HEADS, 180, first="heads/main") == ["b00297"]
    assert await page(TAGS, 0) == ["t00198", "t00194", "t00193"]
    # Annotated ones come last, as long as nobody looks for what they name.
    assert await page(TAGS, 117) == ["a00099", "a00199", "a00299"]
    assert await page(HEADS, 0, first="heads/main", search="B0019") == ["b00197", "b00196", "b00195"]
    assert await page(HEADS, 0, first="heads/main", search="a") == ["main"]
    assert await page(HEADS, 1, target=commit_id(0)) == ["b00200", "b00201", "b00202"]
    assert await page(TAGS, 0, target=commit_id(198)) == ["t00198"]


async def test_a_ref_that_moves_takes_its_place(filled: Database) -> None:
    async with filled.transaction("move") as conn:
        moved = {
            "heads/b00002": Ref(commit_id(199)),
            "heads/b00197": None,
            "tags/a00099": Ref(commit_id(199)),
        }
        await replace_refs(conn, FEW, moved, from_micros(6))
        await replace_refs(conn, FEW, {"tags/t00198": Ref(tag_id(0), Kind.TAG)}, from_micros(7))
    async with filled.read("page") as conn:
        branches = await list_refs_page(conn, FEW, HEADS, limit=2)
        tags = await list_refs_page(conn, FEW, TAGS, limit=1)
        others = await list_refs_page(conn, FEW, TAGS, limit=3, offset=117)
    assert [name for name, _ref in branches + tags] == ["heads/b00002", "heads/b00196", "tags/a00099"]
    assert [name for name, _ref in others] == ["tags/t00198", "tags/a00199", "tags/a00299"]
