"""`/health` and `/ready` tell the truth when the database or the store is taken away."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.musehub.hub import RunningHub

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


def test_the_database_goes_and_comes_back(start_hub: Start, database_kind: str, tmp_path: Path) -> None:
    if database_kind == "postgresql":
        pytest.skip("the server is shared; the faults take it away")
    hub = start_hub()
    file, away = tmp_path / "hub.sqlite", tmp_path / "away.sqlite"
    hub.call(hub.database.close())
    file.rename(away)
    file.mkdir()
    status, found = parts(hub)
    assert status == 503
    assert found["database"] != "ok"
    assert found["store"] == "ok"
    assert hub.nobody().request("GET", "/health").status == 200
    assert "musehub_database_up 0" in hub.nobody().request("GET", "/metrics").body.decode()
    file.rmdir()
    away.rename(file)
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
