"""Backups: the database as files that either database can take back, and the packs beside it.

    DIR/backup.json                     the newest backup: format, revision, tables (docs/operations.md)
    DIR/database-<time>/<table>.zst     rows as lines of JSON, compressed
    DIR/packs/<repository>/<digest>     shared by all backups in DIR

Tables are read in one transaction, so they fit each other, while the hub goes on working. Packs are
immutable: what lies in DIR already is not copied again. `backup.json` is written last.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import muse
from muse.errors import Conflict, CorruptStore, Environment, UsageError
from musehub.db.engine import Database
from musehub.db.instants import Clock, utc_now
from musehub.db.packs import list_all_packs
from musehub.db.revision import find_revision, newest_revision
from musehub.db.schedule import hold_off
from musehub.db.tables import metadata
from musehub.db.users import count_users
from musehub.storage.port import Store, pack_key
from musehub.upkeep.backup_folder import (
    FORMAT,
    Report,
    copy_packs,
    drop_old,
    put_pack,
    read_manifest,
    write_manifest,
)
from musehub.upkeep.gc import JOB
from musehub.upkeep.table_files import TableFile, check_table, read_table, set_sequence, write_table

COLLECT_NOTHING = timedelta(days=7)
"""So long a restored hub does not clean up by itself."""


class BackupReport(NamedTuple):
    folder: str
    tables: int
    rows: int
    packs: int
    copied_packs: int
    copied_bytes: int
    missing_packs: list[str]


class RestoreReport(NamedTuple):
    tables: int
    rows: int
    packs: int
    missing_packs: list[str]


def _silent(_text: str) -> None:
    return None


async def back_up(
    database: Database,
    store: Store,
    clock: Clock,
    folder: Path,
    *,
    database_only: bool = False,
    keep: int = 7,
    report: Report = _silent,
) -> BackupReport:
    """Write a backup into `folder`, beside earlier ones; returns what it holds.

    The last `keep` databases stay, and all packs that one of them names. A pack that is not in the store is
    reported and left out. Needs no stop of the hub: a clean-up keeps keys for a grace after their rows.
    """
    now = clock()
    name = f"database-{now:%Y%m%dT%H%M%S%fZ}"
    target = folder / name
    try:
        target.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise Environment("io-error", f'cannot write a backup to "{folder}": {error.strerror}') from error
    revision = await find_revision(database)
    tables: dict[str, TableFile] = {}
    wanted: list[tuple[int, bytes, int]] = []
    async with database.read("back up") as conn:
        for table in metadata.sorted_tables:
            report(f"table {table.name}")
            tables[table.name] = await write_table(conn, table, target)
        wanted = await list_all_packs(conn)
    copied: list[int] = []
    missing: list[str] = []
    if not database_only:
        copied, missing = await copy_packs(store, folder, wanted, report)
    manifest = {
        "format": FORMAT,
        "version": muse.__version__,
        "revision": revision,
        "made_at": now.isoformat(),
        "database": name,
        "tables": {table: each._asdict() for table, each in tables.items()},
        "packs": len(wanted),
        "database_only": database_only,
        "missing_packs": missing,
    }
    await asyncio.to_thread(write_manifest, folder, target, manifest)
    await asyncio.to_thread(drop_old, folder, keep)
    return BackupReport(
        str(target),
        len(tables),
        sum(each.rows for each in tables.values()),
        len(wanted),
        len(copied),
        sum(copied),
        missing,
    )


async def restore(
    database: Database,
    store: Store,
    folder: Path,
    *,
    database_only: bool = False,
    clock: Clock = utc_now,
) -> RestoreReport:
    """Put a backup into an empty hub: database first, then packs; every hash is checked.

    For `COLLECT_NOTHING` the hub does not clean up by itself: what the store has of pushes that the backup
    does not know is taken as it is when they come again.

    Raises `already-exists` unless the database is empty, `corrupt-segment` for a damaged backup,
    `bad-setting` for one of another version. A restore that died is begun again with an empty database.
    """
    manifest = await asyncio.to_thread(read_manifest, folder)
    from musehub.db import migrate  # Alembic is for those alone who need it

    await migrate.upgrade(database)
    files = await _check_tables(database, folder, manifest)
    async with database.transaction("restore") as conn:
        if await count_users(conn):
            raise Conflict(
                "already-exists", "this hub has users already", hint="restore into an empty database"
            )
        for table in metadata.sorted_tables:
            await conn.execute(table.delete())
            await read_table(conn, table, folder / manifest["database"])
            await set_sequence(conn, table)
        now = clock()
        await hold_off(conn, JOB, now, now + COLLECT_NOTHING, "the hub was restored from a backup")
    async with database.read("list packs") as conn:
        wanted = await list_all_packs(conn)
    missing: list[str] = []
    if not database_only:
        for repository_id, digest, _size_bytes in wanted:
            key = pack_key(repository_id, digest)
            if not await put_pack(store, key, folder / key, digest):
                missing.append(key)
    return RestoreReport(len(files), sum(each.rows for each in files.values()), len(wanted), missing)


async def _check_tables(database: Database, folder: Path, manifest: dict[str, Any]) -> dict[str, TableFile]:
    """The files of a backup by table, each one whole, once they are found to be of this version."""
    if manifest["revision"] != await find_revision(database):
        raise UsageError(
            "bad-setting",
            f'the backup has revision "{manifest["revision"]}", not "{newest_revision()}"',
            hint=f"restore it with musehub {manifest['version']}, then migrate",
        )
    files = {name: TableFile(**each) for name, each in manifest["tables"].items()}
    if set(files) != set(metadata.tables):
        raise CorruptStore("corrupt-segment", "the backup does not hold the tables of this version")
    for name, each in files.items():
        await asyncio.to_thread(check_table, folder / manifest["database"], name, each)
    return files
