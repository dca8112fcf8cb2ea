"""Tables as files that either database takes back: lines of JSON, compressed, each file with its SHA-256."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from muse.errors import CorruptStore
from musehub.db.bulk import insert_ignore
from musehub.upkeep.backup_folder import translated
from musehub.upkeep.compressed import open_reader, open_writer

ROWS_AT_ONCE = 2_000
BATCH_BYTES = 8 << 20
_JSON = object()


class TableFile(NamedTuple):
    """A table in a backup: rows, and the SHA-256 of the file."""

    rows: int
    sha256: str


async def write_table(conn: AsyncConnection, table: sa.Table, target: Path) -> TableFile:
    """Stream a table into its file."""
    columns = [sa.type_coerce(column, _plain(column)).label(column.name) for column in table.columns]
    path = target / f"{table.name}.zst"
    count = 0
    with translated(path), path.open("xb") as file:
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
    return b"".join(
        json.dumps(list(map(encode_value, row)), ensure_ascii=False).encode() + b"\n" for row in rows
    )


def encode_value(value: Any) -> Any:
    """Bytes become `{"b": base64}`, JSON values `{"j": …}`, all else stays."""
    if isinstance(value, (bytes, memoryview)):
        return {"b": base64.b64encode(value).decode()}
    if isinstance(value, (dict, list)):
        return {"j": value}
    return value


def decode_value(value: Any) -> Any:
    """The reverse of `encode_value`."""
    if isinstance(value, dict):
        return base64.b64decode(value["b"]) if "b" in value else json.dumps(value["j"])
    return value


def check_table(source: Path, name: str, expected: TableFile) -> None:
    """Raises `corrupt-segment` unless the file is the one that was written."""
    path = source / f"{name}.zst"
    with translated(path), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != expected.sha256:
        raise CorruptStore("corrupt-segment", f'"{path}" is damaged: its SHA-256 is another one')


async def read_table(conn: AsyncConnection, table: sa.Table, source: Path) -> None:
    """Put the rows of a file into an empty table."""
    path = source / f"{table.name}.zst"
    with translated(path), open_reader(path) as lines:
        columns = json.loads(next(lines))["columns"]
        kinds = [_JSON if isinstance(table.c[name].type, sa.JSON) else None for name in columns]
        while batch := await asyncio.to_thread(_take_rows, lines, kinds):
            await insert_ignore(conn, table, columns, batch)


def _take_rows(lines: Iterator[bytes], kinds: Sequence[object]) -> list[list[Any]]:
    rows = []
    size = 0
    for line in lines:
        size += len(line)
        values = [
            # A column of JSON holds text or numbers as JSON, too.
            json.dumps(value)
            if kind is _JSON and not isinstance(value, (dict, type(None)))
            else decode_value(value)
            for value, kind in zip(json.loads(line), kinds, strict=True)
        ]
        rows.append(values)
        if len(rows) == ROWS_AT_ONCE or size > BATCH_BYTES:
            break
    return rows


async def set_sequence(conn: AsyncConnection, table: sa.Table) -> None:
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
