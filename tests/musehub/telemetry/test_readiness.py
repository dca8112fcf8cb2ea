"""`/health` and `/ready` tell the truth when the database or the store is taken away."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.musehub.hub import RunningHub
from tests.musehub.postgresql import PostgreSQL

from musehub.telemetry import readiness

Start = Callable[..., RunningHub]


@pytest.fixture(autouse=True)
def _ask_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "REMEMBER_S", 0.0)


def parts(hub: RunningHub) -> tuple[int, dict[str, str]]:
    answer = hub.nobody().request("GET", "/ready")
    return answer.status, answer.json()["parts"]


def test_a_hub_that_lacks_nothing_is_ready(hub: RunningHub) -> None:
    assert parts(hub) == (200, {"database": "ok", "migrations": "ok", "store": "ok"})


def test_old_tables(hub: RunningHub) -> None:
    async def pretend() -> None:
        async with hub.database.transaction("test") as conn:
            await conn.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")

    async def undo(revision: str) -> None:
        async with hub.database.transaction("test") as conn:
            await conn.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")

    hub.call(pretend())
    try:
        status, found = parts(hub)
        assert status == 503
        assert found["migrations"].startswith("at 0001, not ")
        assert (found["database"], found["store"]) == ("ok", "ok")
    finally:
        hub.call(undo(readiness.newest_revision()))
    assert parts(hub)[0] == 200


@contextmanager
def no_database(hub: RunningHub, server: PostgreSQL | None, file: Path) -> Iterator[None]:
    """The database has another name for a while; nobody else uses it."""
    hub.call(hub.database.close())
    if server is None:
        away = file.with_name("away.sqlite")
        file.rename(away)
        file.mkdir()
        yield
        file.rmdir()
        away.rename(file)
        return
    name = urlsplit(hub.settings.database_url).path.strip("/")
    asyncio.run(server.rename_database(name, f"{name}_away"))
    yield
    asyncio.run(server.rename_database(f"{name}_away", name))


def test_the_database_goes_and_comes_back(
    start_hub: Start,
    database_kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = start_hub()
    server = request.getfixturevalue("postgresql") if database_kind == "postgresql" else None
    with no_database(hub, server, tmp_path / "hub.sqlite"):
        status, found = parts(hub)
        assert status == 503
        assert found["database"] != "ok"
        assert found["store"] == "ok"
        assert hub.nobody().request("GET", "/health").status == 200
        told = hub.nobody().request("GET", "/ada/notes/refs")
        assert told.error().code == "database-unavailable"
        cause = {"sqlite": "unable to open database file", "postgresql": "does not exist"}[database_kind]
        assert cause in caplog.text
        assert cause not in told.body.decode() + str(found)
        assert "musehub_database_up 0" in hub.nobody().request("GET", "/metrics").body.decode()
    assert parts(hub)[0] == 200


def test_the_store_goes_and_comes_back(hub: RunningHub) -> None:
    folder = hub.settings.data_dir / "store"
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_bytes(b"no folder")
    status, found = parts(hub)
    assert status == 503
    assert found["store"] != "ok"
    assert found["database"] == "ok"
    assert hub.nobody().request("GET", "/health").json()["status"] == "ok"
    folder.unlink()
    assert parts(hub)[0] == 200
