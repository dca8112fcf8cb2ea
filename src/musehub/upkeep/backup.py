"""Backups: the database as files that either database can take back, and the packs beside it.

    DIR/backup.json                     the newest backup: format, revision, tables (docs/operations.md)
    DIR/database-<time>/<table>.zst     rows as lines of JSON, compressed
    DIR/packs/<repository>/<digest>     shared by all backups in DIR

Tables are read in one transaction, so they fit each other, while the hub goes on working. Packs are
immutable: what lies in DIR already is not copied again. `backup.json` is written last.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

import muse
from muse.errors import Conflict, CorruptStore, Environment, InvalidData, MuseError, NotFound, UsageError
from musehub.db import migrate
from musehub.db.bulk import insert_ignore
from musehub.db.engine import Database
from musehub.db.instants import Clock
from musehub.db.tables import metadata, packs, users
from musehub.storage.port import Store, pack_key
from musehub.upkeep.compressed import open_reader, open_writer

FORMAT = 1
MANIFEST = "backup.json"
ROWS_AT_ONCE = 2_000
COPIES_AT_ONCE = 4
BATCH_BYTES = 8 << 20


class TableFile(NamedTuple):
    """A table in a backup: rows, and the SHA-256 of the file."""

    rows: int
    sha256: str


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


Report = Callable[[str], None]


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
    revision = await migrate.find_revision(database)
    tables: dict[str, TableFile] = {}
    wanted: list[tuple[int, bytes, int]] = []
    async with database.read("back up") as conn:
        for table in metadata.sorted_tables:
            report(f"table {table.name}")
            tables[table.name] = await _write_table(conn, table, target)
        rows = await conn.execute(sa.select(packs.c.repository_id, packs.c.digest, packs.c.size_bytes))
        wanted = [(row[0], row[1], row[2]) for row in rows]
    copied: list[int] = []
    missing: list[str] = []
    if not database_only:
        copied, missing = await _copy_packs(store, folder, wanted, report)
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
    await asyncio.to_thread(_write_manifest, folder, target, manifest)
    await asyncio.to_thread(_drop_old, folder, keep)
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
    report: Report = _silent,
) -> RestoreReport:
    """Put a backup into an empty hub: database first, then packs; every hash is checked.

    Raises `already-exists` unless the database is empty, `corrupt-segment` for a damaged backup,
    `bad-setting` for one of another version. A restore that died is begun again with an empty database.
    """
    manifest = await asyncio.to_thread(_read_manifest, folder)
    await migrate.upgrade(database)
    if manifest["revision"] != await migrate.find_revision(database):
        raise UsageError(
            "bad-setting",
            f'the backup has revision "{manifest["revision"]}", not "{migrate.newest_revision()}"',
            hint=f"restore it with musehub {manifest['version']}, then migrate",
        )
    source = folder / manifest["database"]
    files = {name: TableFile(**each) for name, each in manifest["tables"].items()}
    if set(files) != set(metadata.tables):
        raise CorruptStore("corrupt-segment", "the backup does not hold the tables of this version")
    for name, each in files.items():
        await asyncio.to_thread(_check_table, source, name, each)
    async with database.transaction("restore") as conn:
        if await conn.scalar(sa.select(sa.func.count()).select_from(users)):
            raise Conflict(
                "already-exists", "this hub has users already", hint="restore into an empty database"
            )
        for table in metadata.sorted_tables:
            report(f"table {table.name}")
            await conn.execute(table.delete())
            await _read_table(conn, table, source)
            await _set_sequence(conn, table)
    async with database.read("list packs") as conn:
        rows = await conn.execute(sa.select(packs.c.repository_id, packs.c.digest))
        wanted = [(row[0], row[1]) for row in rows]
    missing: list[str] = []
    if not database_only:
        for number, (repository_id, digest) in enumerate(wanted, start=1):
            key = pack_key(repository_id, digest)
            report(f"pack {number} of {len(wanted)}")
            if not await _put_pack(store, key, folder / key, digest):
                missing.append(key)
    return RestoreReport(len(files), sum(each.rows for each in files.values()), len(wanted), missing)


# ---- tables


async def _write_table(conn: AsyncConnection, table: sa.Table, target: Path) -> TableFile:
    """Stream a table into its file."""
    columns = [sa.type_coerce(column, _plain(column)).label(column.name) for column in table.columns]
    path = target / f"{table.name}.zst"
    count = 0
    with _translated(path), path.open("xb") as file:
        hashed = _Hashing(file)
        with open_writer(hashed) as out:
            header = {"table": table.name, "columns": [column.name for column in table.columns]}
            out.write(json.dumps(header).encode() + b"\n")
            query = sa.select(*columns).order_by(*table.primary_key.columns)
            async with conn.stream(query.execution_options(yield_per=ROWS_AT_ONCE)) as result:
                async for rows in result.partitions(ROWS_AT_ONCE):
                    lines = await asyncio.to_thread(_encode_rows, rows)
                    await asyncio.to_thread(out.write, lines)
                    count += len(rows)
        file.flush()
        os.fsync(file.fileno())
    return TableFile(count, hashed.sha256)


def _plain(column: sa.Column[Any]) -> sa.types.TypeEngine[Any]:
    """The type below ours: instants stay numbers, JSON stays what it is."""
    kind = column.type
    return kind.impl_instance if isinstance(kind, sa.types.TypeDecorator) else kind


def _encode_rows(rows: Sequence[Sequence[Any]]) -> bytes:
    return b"".join(json.dumps(list(map(_encode, row)), ensure_ascii=False).encode() + b"\n" for row in rows)


def _encode(value: Any) -> Any:
    """Bytes become `{"b": base64}`, JSON values `{"j": …}`, all else stays."""
    if isinstance(value, (bytes, memoryview)):
        return {"b": base64.b64encode(value).decode()}
    if isinstance(value, (dict, list)):
        return {"j": value}
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        return base64.b64decode(value["b"]) if "b" in value else json.dumps(value["j"])
    return value


def _check_table(source: Path, name: str, expected: TableFile) -> None:
    path = source / f"{name}.zst"
    with _translated(path), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != expected.sha256:
        raise CorruptStore("corrupt-segment", f'"{path}" is damaged: its SHA-256 is another one')


async def _read_table(conn: AsyncConnection, table: sa.Table, source: Path) -> None:
    path = source / f"{table.name}.zst"
    with _translated(path), open_reader(path) as lines:
        columns = json.loads(next(lines))["columns"]
        kinds = [_JSON if isinstance(table.c[name].type, sa.JSON) else None for name in columns]
        while batch := await asyncio.to_thread(_take_rows, lines, kinds):
            await insert_ignore(conn, table, columns, batch)


_JSON = object()


def _take_rows(lines: Iterator[bytes], kinds: Sequence[object]) -> list[list[Any]]:
    rows = []
    size = 0
    for line in lines:
        size += len(line)
        values = [
            # A column of JSON holds text or numbers as JSON, too.
            json.dumps(value)
            if kind is _JSON and not isinstance(value, (dict, type(None)))
            else _decode(value)
            for value, kind in zip(json.loads(line), kinds, strict=True)
        ]
        rows.append(values)
        if len(rows) == ROWS_AT_ONCE or size > BATCH_BYTES:
            break
    return rows


async def _set_sequence(conn: AsyncConnection, table: sa.Table) -> None:
    """Let PostgreSQL number new rows after those that were restored."""
    column = table.autoincrement_column
    if conn.dialect.name != "postgresql" or column is None:
        return
    largest = await conn.scalar(sa.select(sa.func.max(column)))
    if largest is not None:
        await conn.execute(
            sa.text("SELECT setval(pg_get_serial_sequence(:table, :column), :value)"),
            {"table": table.name, "column": column.name, "value": largest},
        )


# ---- packs


async def _copy_packs(
    store: Store, folder: Path, wanted: list[tuple[int, bytes, int]], report: Report
) -> tuple[list[int], list[str]]:
    """Copy those that are not there; returns their sizes, and the keys of those the store does not have."""
    copied: list[int] = []
    missing: list[str] = []
    fresh = [item for item in wanted if not _lies(folder / pack_key(item[0], item[1]), item[2])]
    gate = asyncio.Semaphore(COPIES_AT_ONCE)

    async def copy(repository_id: int, digest: bytes) -> None:
        key = pack_key(repository_id, digest)
        async with gate:
            try:
                async with store.open(key) as view:
                    await asyncio.to_thread(_write_pack, view, folder / key, digest)
                    copied.append(len(view))
            except NotFound:
                missing.append(key)
            except InvalidData as error:
                missing.append(f"{key} ({error.message})")
            report(f"pack {len(copied)} of {len(fresh)}")

    await asyncio.gather(*(copy(repository_id, digest) for repository_id, digest, _size in fresh))
    return copied, missing


def _lies(path: Path, size_bytes: int) -> bool:
    with contextlib.suppress(OSError):
        return path.stat().st_size == size_bytes
    return False


def _write_pack(view: memoryview, path: Path, digest: bytes) -> None:
    if hashlib.sha256(view).digest() != digest:
        raise InvalidData("wrong-hash", "damaged in the store")
    with _translated(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(view)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


async def _put_pack(store: Store, key: str, path: Path, digest: bytes) -> bool:
    """Bring a pack into the store unless it lies there; the store checks the hash. False if it is nowhere."""
    lying = await store.head(key)
    try:
        data = await asyncio.to_thread(path.read_bytes)
    except OSError:
        return lying is not None
    if lying is not None and lying.size_bytes == len(data):
        return True
    try:
        await store.put(key, [data], digest)
    except InvalidData:
        return False
    return True


# ---- the manifest


def _write_manifest(folder: Path, target: Path, manifest: Mapping[str, Any]) -> None:
    text = json.dumps(manifest, indent=1)
    with _translated(target):
        (target / MANIFEST).write_text(text + "\n")
        part = folder / (MANIFEST + ".part")
        with part.open("w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / MANIFEST)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise NotFound("unknown-path", f'there is no backup in "{folder}"') from None
    except (OSError, ValueError) as error:
        raise CorruptStore("corrupt-segment", f'"{path}" cannot be read: {error}') from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UsageError("unsupported-version", f'"{path}" is of another format than {FORMAT}')
    return manifest


def _drop_old(folder: Path, keep: int) -> None:
    """Remove all but the newest databases, and packs that none of those names."""
    kept = sorted(path for path in folder.glob("database-*") if path.is_dir())
    for path in kept[: -max(1, keep)]:
        shutil.rmtree(path)
    named: set[str] = set()
    for path in kept[-max(1, keep) :]:
        try:
            named |= _named_packs(path)
        except (OSError, ValueError, MuseError):
            return  # unfinished or damaged: keep every pack
    for path in folder.glob("packs/*/*"):
        if path.relative_to(folder).as_posix() not in named:
            path.unlink()


def _named_packs(source: Path) -> set[str]:
    with open_reader(source / "packs.zst") as lines:
        columns = json.loads(next(lines))["columns"]
        repository, digest = columns.index("repository_id"), columns.index("digest")
        rows = (json.loads(line) for line in lines)
        return {pack_key(row[repository], _decode(row[digest])) for row in rows}


class _Hashing:
    """A file that remembers the SHA-256 of what was written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._file.write(data)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        code = "disk-full" if error.errno == 28 else "io-error"
        raise Environment(code, f'"{path}": {error.strerror}') from error
