"""Looks at a hub from behind: database, store and hashes agree, and nothing is left over."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from musehub.app.opening import open_hub_store
from musehub.db.instants import utc_now
from musehub.db.opening import open_database
from musehub.db.sweep import list_pack_facts, list_repository_ids
from musehub.db.tables import commits
from musehub.settings import Settings
from musehub.upkeep.fsck import check_hub
from musehub.upkeep.gc import collect_garbage

T = TypeVar("T")

GRACE = timedelta(hours=1)
ROUNDS = 4
"""Packs leave the store a grace period after their rows; and what the hub still did for a push that was given
up may arrive between two clean-ups.
"""


class Behind:
    """The database and the store of a hub, open beside it. Close it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._runner = asyncio.Runner()
        self._database = open_database(settings)
        self._store = open_hub_store(settings, self._database)

    def close(self) -> None:
        self._runner.run(self._close())
        self._runner.close()

    async def _close(self) -> None:
        await self._store.close()
        await self._database.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Keep no connection between calls: while the loop rests, nobody notices that one ended."""

        async def run() -> T:
            try:
                return await work
            finally:
                await self._database.close()

        return self._runner.run(run())

    def sum_recorded_bytes(self, name: str) -> int:
        """Size of all packs that are recorded for a repository."""
        return self._run(self._sum_recorded_bytes(name))

    async def _sum_recorded_bytes(self, name: str) -> int:
        repository_id = await self._find_id(name)
        if repository_id is None:
            return 0
        async with self._database.read("list packs") as conn:
            return sum(pack.size_bytes for pack in await list_pack_facts(conn, repository_id))

    def count_commits(self, name: str) -> int:
        """Number of commits that are recorded for a repository, whatever reaches them."""
        return self._run(self._count_commits(name))

    async def _count_commits(self, name: str) -> int:
        repository_id = await self._find_id(name)
        async with self._database.read("count commits") as conn:
            rows = sa.select(sa.func.count()).where(commits.c.repository_id == repository_id)
            return int((await conn.execute(rows)).scalar_one())

    def execute(self, statements: str) -> None:
        """Run SQL on PostgreSQL."""
        self._run(self._execute(statements))

    async def _execute(self, statements: str) -> None:
        async with self._database.transaction("test") as conn:
            driver = await conn.get_raw_connection()
            await driver.driver_connection.execute(statements)

    def fsck(self, name: str) -> list[str]:
        """Check a repository; returns what is wrong."""
        return self._run(self._fsck(name))

    async def _fsck(self, name: str) -> list[str]:
        repository_id = await self._find_id(name)
        checked = await check_hub(self._database, self._store, utc_now, deep=True, only=repository_id)
        return [str(problem) for problem in checked[0].problems]

    def check(self, name: str) -> list[str]:
        """Check a repository, collect garbage as if the grace period were over, check again; returns what is
        wrong.
        """
        return self._run(self._check(name))

    async def _check(self, name: str) -> list[str]:
        repository_id = await self._find_id(name)
        if repository_id is None:
            return [f"{name} does not exist"]

        def later() -> datetime:
            return utc_now() + 3 * GRACE

        database, store = self._database, self._store
        problems = await self._fsck(name)
        for _ in range(ROUNDS):
            await collect_garbage(database, store, self._settings, later, grace=GRACE, only=repository_id)
            (checked,) = await check_hub(database, store, utc_now, only=repository_id)
            if not checked.orphans:
                break
        problems += [f"after the clean-up: {problem}" for problem in checked.problems]
        if checked.orphans:
            problems.append(f"{checked.orphans} orphans after the clean-up")
        return problems

    async def _find_id(self, name: str) -> int | None:
        async with self._database.read("find a repository") as conn:
            ids = {found: repository_id for repository_id, found in await list_repository_ids(conn)}
        return ids.get(name)
