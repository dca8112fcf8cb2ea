"""Any number of rows or ids in one statement, on both databases.

No statement here has a bind parameter per row: PostgreSQL receives columns as arrays, SQLite rows
through one prepared statement, and sets of ids travel as one array or one blob.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

ID_BYTES = 32
_NO_ID = bytes(ID_BYTES)
_DIGITS = "%019d"
"""Any 64-bit number that is not negative."""
_ALIASES = tuple("abcdefgh")
ROWS_PER_STEP = 4096
"""SQLite keeps every page that a statement changes as it was, in memory, until the statement ends: 4 KiB for
each new id of a large table."""
_PG = postgresql.dialect()  # type: ignore[no-untyped-call]


async def insert_ignore(
    conn: AsyncConnection, table: sa.Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> int:
    """Insert rows, leaving those alone whose key exists; returns how many were new.

    `rows` hold plain driver values in the order of `columns`: instants as microseconds, ids as
    bytes. Rows sorted by key go in fastest on SQLite.
    """
    if not rows:
        return 0
    names = _names(columns)
    if conn.dialect.name == "postgresql":
        arrays = ", ".join(
            f"${position}::{table.c[column].type.compile(_PG)}[]"
            for position, column in enumerate(columns, start=1)
        )
        statement = (
            f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING"
        )
        by_column = tuple(list(column) for column in zip(*rows, strict=True))
        result = await conn.exec_driver_sql(statement, by_column)
    else:
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT OR IGNORE INTO {table.name} ({names}) VALUES ({marks})"
        result = await conn.exec_driver_sql(statement, [tuple(row) for row in rows])
    return max(result.rowcount, 0)


async def insert_columns(
    conn: AsyncConnection,
    table: sa.Table,
    constants: Mapping[str, int | bytes | None],
    columns: Mapping[str, Sequence[int] | Sequence[bytes | None]],
) -> int:
    """Insert rows of integers and 32-byte ids, column by column; otherwise as `insert_ignore`.

    On SQLite, too, thousands of rows are one step: with `insert_ignore` the driver lets the interpreter go,
    and waits for it, once a row.
    """
    count = len(next(iter(columns.values())))
    if not count:
        return 0
    # What is the same in all rows, such as the encoding and the lack of a base, need not travel for each.
    same = {name: each[0] for name, each in list(columns.items())[1:] if each.count(each[0]) == count}
    constants = {**constants, **same}
    columns = {name: each for name, each in columns.items() if name not in same}
    if conn.dialect.name == "postgresql":
        return await _insert_arrays(conn, table, constants, columns)
    return await _insert_packed(conn, table, constants, columns, count)


async def _insert_arrays(
    conn: AsyncConnection,
    table: sa.Table,
    constants: Mapping[str, int | bytes | None],
    columns: Mapping[str, Sequence[int] | Sequence[bytes | None]],
) -> int:
    """On PostgreSQL each column is one array."""
    types = [table.c[name].type.compile(_PG) for name in (*constants, *columns)]
    marks = [f"${position}::{kind}" for position, kind in enumerate(types, start=1)]
    values = [*marks[: len(constants)], *(f"u.{name}" for name in _ALIASES[: len(columns)])]
    statement = (
        f"INSERT INTO {table.name} ({_names(constants, columns)}) SELECT {', '.join(values)} "
        f"FROM unnest({', '.join(f'{mark}[]' for mark in marks[len(constants) :])}) "
        f"AS u({', '.join(_ALIASES[: len(columns)])}) ON CONFLICT DO NOTHING"
    )
    arrays = [list(column) for column in columns.values()]
    result = await conn.exec_driver_sql(statement, (*constants.values(), *arrays))
    return max(result.rowcount, 0)


async def _insert_packed(
    conn: AsyncConnection,
    table: sa.Table,
    constants: Mapping[str, int | bytes | None],
    columns: Mapping[str, Sequence[int] | Sequence[bytes | None]],
    count: int,
) -> int:
    """On SQLite each column is one blob of values of equal length, cut apart by the statement."""
    values = [f"?{position}" for position in range(3, 3 + len(constants))]
    packed: list[bytes] = []
    for position, (name, column) in enumerate(columns.items(), start=3 + len(constants)):
        if isinstance(table.c[name].type, sa.LargeBinary):
            packed.append(b"".join([value or _NO_ID for value in column]))  # type: ignore[misc]
            values.append(
                f"nullif(substr(?{position}, i * {ID_BYTES} + 1, {ID_BYTES}), zeroblob({ID_BYTES}))"
            )
        else:
            packed.append("".join(map(_DIGITS.__mod__, column)).encode())
            values.append(f"cast(cast(substr(?{position}, i * 19 + 1, 19) AS text) AS integer)")
    statement = (
        f"INSERT OR IGNORE INTO {table.name} ({_names(constants, columns)}) WITH RECURSIVE numbers (i) AS "
        f"(SELECT ?1 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < ?2) "
        f"SELECT {', '.join(values)} FROM numbers"
    )
    inserted = 0
    for start in range(0, count, ROWS_PER_STEP):
        end = min(start + ROWS_PER_STEP, count)
        result = await conn.exec_driver_sql(statement, (start, end, *constants.values(), *packed))
        inserted += max(result.rowcount, 0)
    return inserted


def _names(*groups: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for group in groups for name in group)


def ids_relation(conn: AsyncConnection, ids: Sequence[bytes], name: str = "ids") -> sa.FromClause:
    """A relation with one column `id` that holds `ids`; join it like a table.

    Any number of 32-byte ids in one bind parameter.
    """
    if conn.dialect.name == "postgresql":
        array = sa.bindparam(None, list(ids), type_=postgresql.ARRAY(sa.LargeBinary))
        unnested = sa.func.unnest(array).table_valued(sa.column("id", sa.LargeBinary), name=name)
        return unnested.render_derived()
    blob = sa.bindparam(None, b"".join(ids), type_=sa.LargeBinary)
    count = sa.bindparam(None, len(ids), type_=sa.Integer)
    start = sa.select(sa.literal_column("0", sa.Integer).label("i")).where(count > 0)
    numbers = start.cte(f"{name}_numbers", recursive=True)
    numbers = numbers.union_all(sa.select(numbers.c.i + 1).where(numbers.c.i + 1 < count))
    cut = sa.func.substr(blob, numbers.c.i * ID_BYTES + 1, ID_BYTES, type_=sa.LargeBinary)
    return sa.select(cut.label("id")).select_from(numbers).cte(name)


async def find_present(
    conn: AsyncConnection, table: sa.Table, ids: Iterable[bytes], where: Mapping[str, Any]
) -> set[bytes]:
    """Which of `ids` are in column `id` of `table`, among the rows that equal `where`; one statement."""
    wanted = list(ids)
    if not wanted:
        return set()
    relation = ids_relation(conn, wanted)
    conditions = [table.c[column] == value for column, value in where.items()]
    query = (
        sa.select(relation.c.id)
        .select_from(relation)
        .where(sa.exists(sa.select(1).where(table.c.id == relation.c.id, *conditions)))
    )
    return set((await conn.execute(query)).scalars())
