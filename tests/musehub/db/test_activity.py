"""The feed of a repository, page by page."""

from __future__ import annotations

import pytest

from musehub.db.activity import insert_activity, list_activity
from musehub.db.engine import Database
from musehub.db.instants import from_micros
from musehub.db.tables import users


async def test_pages_follow_each_other_and_hold_what_is_of_the_repository(database: Database) -> None:
    async with database.transaction("fill") as conn:
        made = await conn.execute(users.insert().values(name="ada", created_at=from_micros(1)))
        key = made.inserted_primary_key
        assert key is not None
        for number in range(10):
            # Two at the same time; every other one is another repository's.
            subject, now = bytes([number]) * 16, from_micros(number // 4)
            await insert_activity(conn, number % 2, "push", subject, key[0], {"number": number}, now)
    found: list[int] = []
    before: int | None = None
    async with database.read("list") as conn:
        while page := await list_activity(conn, 1, limit=2, before=before):
            found += [row.value["number"] for row in page]
            before = page[-1].id
    assert found == [9, 7, 5, 3, 1]


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_a_quiet_repository_reads_nothing_of_a_busy_one(database: Database) -> None:
    async with database.transaction("fill") as conn:
        await conn.execute(users.insert().values(name="ada", created_at=from_micros(1)))
        for repository, count, first in ((1, 20_000, 0), (2, 20_000, 100_000)):
            await conn.exec_driver_sql(
                "INSERT INTO activity (repository_id, kind, subject, user_id, value, created_at) "
                f"SELECT {repository}, 'push', sha256(i::text::bytea), id, '{{}}', {first} + i "
                f"FROM generate_series(1, {count}) i, users"
            )
        await conn.exec_driver_sql("ANALYZE activity")
    async with database.read("explain") as conn:
        assert len(await list_activity(conn, 1, limit=50, before=None)) == 50
        read = await conn.exec_driver_sql(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'activity'"
        )
        assert read.scalar_one() < 500
