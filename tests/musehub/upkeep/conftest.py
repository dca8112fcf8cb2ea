"""A running hub and the upkeep that is done on it, at any time that a test wants it to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.musehub.hub import HubUser, RunningHub
from tests.musehub.seaweedfs import SeaweedFS

from muse.remote.address import parse_hub_url
from muse.remote.client import HubClient
from musehub.app.opening import open_hub_store
from musehub.db.instants import utc_now
from musehub.db.packs import list_packs
from musehub.db.repositories import RepositoryRow, find_owner_and_repository
from musehub.settings import Settings
from musehub.storage.port import pack_key
from musehub.upkeep.fsck import Problem, check_hub
from musehub.upkeep.gc import GcReport, collect_garbage


class Upkeep:
    """What an operator does to a hub that is running."""

    def __init__(self, hub: RunningHub) -> None:
        self.hub = hub
        self.settings = hub.settings
        self.database = hub.database
        self.store = open_hub_store(hub.settings, hub.database)

    def call(self, awaitable: Any) -> Any:
        return self.hub.call(awaitable)

    def gc(self, *, days_later: float = 0, **options: Any) -> GcReport:
        def later() -> datetime:
            return utc_now() + timedelta(days=days_later)

        report: GcReport = self.call(
            collect_garbage(self.database, self.store, self.settings, later, **options)
        )
        return report

    def fsck(self, **options: Any) -> list[Problem]:
        """Problems of all repositories."""
        checked = self.call(check_hub(self.database, self.store, utc_now, **options))
        return [problem for each in checked for problem in each.problems]

    def repository(self, name: str, owner: str = "ada") -> RepositoryRow:
        async def find() -> RepositoryRow | None:
            async with self.database.read("test") as conn:
                return (await find_owner_and_repository(conn, owner, name, None))[1]

        found = self.call(find())
        assert found is not None
        return found

    def keys(self) -> set[str]:
        async def collect() -> set[str]:
            return {item.key async for item in self.store.list("packs/")}

        found: set[str] = self.call(collect())
        return found

    def pack_keys(self, name: str) -> list[str]:
        """Keys of the packs that the database names, oldest first."""
        number = self.repository(name).id

        async def load() -> list[str]:
            async with self.database.read("test") as conn:
                return [pack_key(number, pack.digest) for pack in await list_packs(conn, number)]

        found: list[str] = self.call(load())
        return found

    def client(self, user: HubUser) -> HubClient:
        """A real client for a user of the hub."""
        return HubClient(parse_hub_url(self.hub.url), user._token or "")


@pytest.fixture
def upkeep(hub: RunningHub) -> Upkeep:
    return Upkeep(hub)


@pytest.fixture
def upkeep_on_s3(
    start_hub: Callable[..., RunningHub], settings: Settings, seaweedfs: SeaweedFS
) -> Iterator[Upkeep]:
    access_key, secret_key = seaweedfs.keys
    found = Upkeep(
        start_hub(
            store_url=seaweedfs.create_bucket(), store_access_key=access_key, store_secret_key=secret_key
        )
    )
    yield found
    found.call(found.store.close())
