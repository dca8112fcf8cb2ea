"""Databases for the hub's tests. `async def` tests and fixtures run in an event loop of their own.

`database_url` runs a test once for SQLite and once for PostgreSQL, with all tables and no rows.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.musehub.hub import RunningHub, hub_settings
from tests.musehub.postgresql import PostgreSQL

from musehub.accounts.service import Accounts, open_accounts
from musehub.db import migrate
from musehub.db.engine import Database
from musehub.db.opening import open_database
from musehub.settings import Settings, load_settings
from musehub.storage.port import Store


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class TickingClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **spans: float) -> None:
        """Move on by `timedelta(**spans)`."""
        self.now += timedelta(**spans)


@pytest.fixture
def clock() -> TickingClock:
    return TickingClock()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def empty_database_url(
    database_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[str]:
    """A database without any table."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'hub.sqlite'}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    name = await server.create_database()
    yield server.url(name)
    await server.drop_database(name)


@pytest.fixture(scope="session")
def templates() -> dict[str, str]:
    """What was migrated once in this process: a file to copy, a database to clear."""
    return {}


@pytest.fixture
async def database_url(
    database_kind: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    templates: dict[str, str],
    request: pytest.FixtureRequest,
) -> AsyncIterator[str]:
    """A database with the tables of this version; whoever changes tables takes `empty_database_url`."""
    if database_kind == "sqlite":
        if "sqlite" not in templates:
            path = tmp_path_factory.mktemp("template") / "hub.sqlite"
            await _migrate(f"sqlite:///{path}", path.parent)
            templates["sqlite"] = str(path)
        shutil.copyfile(templates["sqlite"], tmp_path / "hub.sqlite")
        yield f"sqlite:///{tmp_path / 'hub.sqlite'}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    if "postgresql" not in templates:
        name = await server.create_database()
        await _migrate(server.url(name), tmp_path)
        templates["postgresql"] = name
    yield server.url(templates["postgresql"])
    await server.clear_database(templates["postgresql"])


async def _migrate(url: str, folder: Path) -> None:
    database = open_database(load_settings({"data_dir": folder, "database_url": url}, environ={}))
    await migrate.upgrade(database)
    await database.close()


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings for a hub in this test's folder; keyword arguments win over the defaults."""

    def make(**flags: object) -> Settings:
        # Without jobs beside the requests: tests of jobs run them when they are due.
        chosen = {"data_dir": tmp_path / "data", "public_url": "http://hub.test", "workers": 0, **flags}
        return load_settings(chosen, environ={})

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings], database_url: str) -> Settings:
    """Settings that name this test's database."""
    return make_settings(database_url=database_url)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """This test's database, opened."""
    opened = open_database(settings)
    yield opened
    assert opened.checked_out == 0, "a connection was not given back"
    await opened.close()


@pytest.fixture
def accounts(database: Database, settings: Settings, clock: TickingClock) -> Accounts:
    return open_accounts(database, settings, clock)


@pytest.fixture
def hub(settings: Settings, anyio_backend: str) -> Iterator[RunningHub]:
    """A running hub on this test's database; `start_hub` where a test wants other settings."""
    running = RunningHub(settings)
    yield running
    running.stop()


@pytest.fixture
def start_hub(settings: Settings, anyio_backend: str) -> Iterator[Callable[..., RunningHub]]:
    """Start a hub with settings changed by keyword arguments, and perhaps another `store`."""
    started: list[RunningHub] = []

    def start(store: Store | None = None, **values: object) -> RunningHub:
        started.append(RunningHub(hub_settings(settings, **values), store))
        return started[-1]

    yield start
    for running in started:
        running.stop()
