"""The drill: back up a hub that is being pushed to, restore it elsewhere, go on there."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.musehub.hub import History, RunningHub, hub_settings
from tests.musehub.postgresql import PostgreSQL
from tests.musehub.upkeep.conftest import Upkeep

from muse.errors import Conflict, CorruptStore
from muse.objects.ids import Kind
from musehub.app.opening import open_hub_store
from musehub.db.engine import Database
from musehub.db.instants import utc_now
from musehub.db.opening import open_database
from musehub.jobs.schedule import run_schedule
from musehub.jobs.work import Parts
from musehub.settings import Settings
from musehub.storage.port import Store
from musehub.upkeep.backup import BackupReport, RestoreReport, back_up, restore


def make_backup(upkeep: Upkeep, folder: Path, **options: object) -> BackupReport:
    made: BackupReport = upkeep.call(back_up(upkeep.database, upkeep.store, utc_now, folder, **options))  # type: ignore[arg-type]
    return made


@pytest.fixture
async def elsewhere(
    settings: Settings, database_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Settings]:
    """An empty hub with the other kind of database."""
    changed = hub_settings(
        settings, data_dir=tmp_path / "else", store_url=(tmp_path / "else" / "store").as_uri()
    )
    if database_kind == "postgresql":
        yield hub_settings(changed, database_url=f"sqlite:///{tmp_path / 'else.sqlite'}")
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    name = await server.create_database()
    yield hub_settings(changed, database_url=server.url(name))
    await server.drop_database(name)


@pytest.fixture
def start_elsewhere(elsewhere: Settings, anyio_backend: str) -> Iterator[Callable[[], Upkeep]]:
    started: list[RunningHub] = []

    def start() -> Upkeep:
        started.append(RunningHub(elsewhere))
        return Upkeep(started[-1])

    yield start
    for hub in started:
        hub.stop()


async def restore_elsewhere(elsewhere: Settings, folder: Path, **options: object) -> RestoreReport:
    database = open_database(elsewhere)
    store = open_hub_store(elsewhere, database)
    try:
        return await restore(database, store, folder, **options)  # type: ignore[arg-type]
    finally:
        await store.close()
        await database.close()


async def test_the_drill(
    upkeep: Upkeep, elsewhere: Settings, start_elsewhere: Callable[[], Upkeep], tmp_path: Path
) -> None:
    user = upkeep.hub.user("ada")
    ada = user.repository("notes")
    history = History()
    first = history.commit_files({"a": os.urandom(3000), "ü/b": b"two"}, message="grüße\nund mehr")
    ada.push_main(history, first)
    report = make_backup(upkeep, tmp_path / "backup")
    assert (report.packs, report.copied_packs, report.missing_packs) == (1, 1, [])

    # What is pushed while the backup runs is in it or not; the backup is whole either way.
    later = history.commit_files({"a": b"new", "c": os.urandom(100)}, first)
    pusher = threading.Thread(target=ada.push_main, args=(history, later, first))

    def push_meanwhile(text: str) -> None:
        if text == "table records":
            pusher.start()

    second = make_backup(upkeep, tmp_path / "backup", report=push_meanwhile)
    assert second.copied_packs <= 1
    pusher.join(60)
    assert not ada.missing(Kind.COMMIT, [later])

    restored = await restore_elsewhere(elsewhere, tmp_path / "backup")
    assert restored.missing_packs == []
    there = start_elsewhere()
    assert there.fsck(deep=True) == []
    user.url = there.hub.url
    there_refs = ada.refs().json()["refs"]["heads/main"]["target"]
    assert there_refs in (first.hex(), later.hex())
    assert ada.fetch().frames()[-1].type == b"E"
    # The rest is pushed again, and numbers of new rows do not collide with restored ones.
    again = History()
    again.objects.update(history.objects)
    ada.push_main(again, later, bytes.fromhex(there_refs))
    assert ada.fetch().frames()[-1].json()["counts"]["C"] == 2
    own = History()
    there.hub.user("bob").repository("own").push_main(own, own.commit_files({"mine": b"1"}))
    assert there.fsck(deep=True) == []


async def test_without_packs_a_push_brings_them(
    upkeep: Upkeep, elsewhere: Settings, start_elsewhere: Callable[[], Upkeep], tmp_path: Path
) -> None:
    user = upkeep.hub.user("ada")
    ada = user.repository("notes")
    history = History()
    ada.push_main(history, history.commit_files({"a": os.urandom(3000)}))
    make_backup(upkeep, tmp_path / "backup", database_only=True)
    restored = await restore_elsewhere(elsewhere, tmp_path / "backup")
    assert len(restored.missing_packs) == 1
    there = start_elsewhere()
    assert [problem.what for problem in there.fsck()] == ["pack-missing"]


async def test_a_restored_hub_collects_nothing_by_itself_for_a_week(
    upkeep: Upkeep, elsewhere: Settings, tmp_path: Path
) -> None:
    upkeep.hub.user("ada")

    async def schedule(database: Database, store: Store, days: int) -> int:
        """How many clean-ups wait after a look at that time."""
        parts = Parts(database, store, elsewhere, lambda: utc_now() + timedelta(days=days))
        await run_schedule(parts)
        async with database.read("test") as conn:
            query = "SELECT COUNT(*) FROM outbox WHERE kind = 'gc' AND done_at IS NULL"
            return int((await conn.exec_driver_sql(query)).scalar_one())

    # One that waits while the backup is made does not run in the restored hub, either.
    assert upkeep.call(schedule(upkeep.database, upkeep.store, 2)) == 1
    make_backup(upkeep, tmp_path / "backup")
    await restore_elsewhere(elsewhere, tmp_path / "backup")
    database = open_database(elsewhere)
    store = open_hub_store(elsewhere, database)
    try:
        assert [await schedule(database, store, days) for days in (0, 2, 6, 9)] == [0, 0, 0, 1]
    finally:
        await store.close()
        await database.close()


async def test_damaged_backups_and_full_hubs_are_refused(
    upkeep: Upkeep, elsewhere: Settings, tmp_path: Path
) -> None:
    ada = upkeep.hub.user("ada").repository("notes")
    history = History()
    ada.push_main(history, history.commit_files({"a": b"1"}))
    report = make_backup(upkeep, tmp_path / "backup")
    with pytest.raises(Conflict):
        await restore_elsewhere(upkeep.settings, tmp_path / "backup")
    path = Path(report.folder) / "records.zst"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(CorruptStore):
        await restore_elsewhere(elsewhere, tmp_path / "backup")


def test_old_backups_go_and_packs_that_only_they_name(upkeep: Upkeep, tmp_path: Path) -> None:
    ada = upkeep.hub.user("ada").repository("notes")
    history = History()
    ada.push_main(history, history.commit_files({"a": b"1"}))
    folder = tmp_path / "backup"
    for _ in range(3):
        make_backup(upkeep, folder, keep=2)
    assert len(list(folder.glob("database-*"))) == 2
    assert len(list(folder.glob("packs/*/*"))) == 1
    shutil.copyfile(next(folder.glob("packs/*/*")), folder / "packs" / "0")
    assert make_backup(upkeep, folder, keep=1).copied_packs == 0


async def test_backup_from_s3(
    upkeep_on_s3: Upkeep, elsewhere: Settings, start_elsewhere: Callable[[], Upkeep], tmp_path: Path
) -> None:
    ada = upkeep_on_s3.hub.user("ada").repository("notes")
    history = History()
    ada.push_main(history, history.commit_files({"a": os.urandom(3000)}))
    assert make_backup(upkeep_on_s3, tmp_path / "backup").copied_packs == 1
    await restore_elsewhere(elsewhere, tmp_path / "backup")
    assert start_elsewhere().fsck(deep=True) == []
