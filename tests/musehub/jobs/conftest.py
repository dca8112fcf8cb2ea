"""A repository that was pushed to, and a worker that runs what is due when a test says so."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.musehub.hub import RunningHub

from musehub.app.opening import open_hub_store
from musehub.db.insights import list_insights
from musehub.db.instants import Clock, utc_now
from musehub.db.outbox import enqueue
from musehub.jobs.work import Kind, Parts
from musehub.jobs.worker import Worker


class Jobs:
    """The jobs of a running hub; the hub itself runs none."""

    def __init__(self, hub: RunningHub) -> None:
        self.hub = hub
        self.clock: Clock = utc_now
        self.store = open_hub_store(hub.settings, hub.database)

    def parts(self, **settings: object) -> Parts:
        settings_now = msgspec.structs.replace(self.hub.settings, **settings)
        return Parts(self.hub.database, self.store, settings_now, self.clock)

    def worker(self, kinds: dict[str, Kind] | None = None, **settings: object) -> Worker:
        return Worker(self.parts(**settings), **({"kinds": kinds} if kinds else {}))

    def run(self, **settings: object) -> int:
        """Run all jobs that nobody has tried yet; returns how many that were."""
        self.make_due()
        return int(self.hub.call(self.worker(**settings).run_due()))

    def insights(self) -> dict[str, Any]:
        """Those of the only repository."""

        async def load() -> dict[str, Any]:
            async with self.hub.database.read("test") as conn:
                query = "SELECT id FROM repositories"
                repository_id = (await conn.exec_driver_sql(query)).scalar_one()
                return {k: i.value for k, i in (await list_insights(conn, repository_id)).items()}

        return self.hub.call(load())

    def make_due(self) -> None:
        """The clock of the jobs may stand long before that of the hub."""
        self.execute("UPDATE outbox SET run_after = 0 WHERE done_at IS NULL AND attempts = 0")

    def enqueue(self, *kinds: str, **payload: object) -> None:
        """Put jobs for the only repository into the outbox."""

        async def put() -> None:
            async with self.hub.database.transaction("test") as conn:
                found = await conn.exec_driver_sql("SELECT id FROM repositories")
                await enqueue(conn, kinds, found.scalar_one(), payload, self.clock())

        self.hub.call(put())

    def execute(self, statement: str) -> None:
        async def execute() -> None:
            async with self.hub.database.transaction("test") as conn:
                await conn.exec_driver_sql(statement)

        self.hub.call(execute())

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        async def load() -> list[tuple[Any, ...]]:
            async with self.hub.database.read("test") as conn:
                return [tuple(row) for row in await conn.exec_driver_sql(statement)]

        return self.hub.call(load())


@pytest.fixture
def jobs(hub: RunningHub) -> Jobs:
    return Jobs(hub)
