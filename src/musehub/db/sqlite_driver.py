"""Connections to SQLite which visit their thread once for each statement.

A connection of aiosqlite lives in a thread of its own. SQLAlchemy makes a cursor, executes, fetches and
closes: four visits, each two switches of threads that wait for the interpreter while other threads compute.
Here the cursor is made, and the first rows are fetched, where the statement is executed, and a cursor that
has no rows left has nothing to close.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import aiosqlite

FIRST_ROWS = 1000
"""Rows that come with the statement; the rest of them, where there are more, in other visits."""


def make_connector(database: str, timeout_s: float) -> Callable[[], Awaitable[aiosqlite.Connection]]:
    """Return what opens a connection that begins no transactions by itself."""

    def connect_in_thread() -> sqlite3.Connection:
        return sqlite3.connect(database, timeout=timeout_s, isolation_level=None)

    async def connect() -> aiosqlite.Connection:
        connection = _Connection(connect_in_thread, iter_chunk_size=FIRST_ROWS)
        connection._thread.daemon = True  # or a process that is told to end waits for it
        return await connection

    return connect


class _Connection(aiosqlite.Connection):
    def cursor(self) -> _Cursor:  # type: ignore[override]
        return _Cursor(self)


class _Cursor(aiosqlite.Cursor):
    def __init__(self, connection: _Connection) -> None:
        super().__init__(connection, None)  # type: ignore[arg-type]
        self._rows: list[Any] = []
        self._has_more = False

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> _Cursor:
        await self._visit(self._execute_in_thread, sql, () if parameters is None else parameters)
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> _Cursor:
        await self._visit(self._executemany_in_thread, sql, parameters)
        return self

    async def _visit(self, work: Callable[[str, Any], None], sql: str, parameters: Any) -> None:
        await self._execute(work, sql, parameters)  # type: ignore[no-untyped-call]

    def _execute_in_thread(self, sql: str, parameters: Any) -> None:
        self._cursor = self._conn._conn.execute(sql, parameters)
        if self._cursor.description is not None:
            self._rows = self._cursor.fetchmany(FIRST_ROWS)
            self._has_more = len(self._rows) == FIRST_ROWS

    def _executemany_in_thread(self, sql: str, parameters: Any) -> None:
        self._cursor = self._conn._conn.executemany(sql, parameters)

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        if self._has_more:
            rows += await super().fetchall()
            self._has_more = False
        return rows

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        size = FIRST_ROWS if size is None else size
        rows, self._rows = self._rows[:size], self._rows[size:]
        if self._has_more and len(rows) < size:
            more = list(await super().fetchmany(size - len(rows)))
            self._has_more = len(more) == size - len(rows)
            rows += more
        return rows

    async def fetchone(self) -> Any:
        return next(iter(await self.fetchmany(1)), None)

    async def close(self) -> None:
        self._rows = []
        if self._has_more:
            self._has_more = False
            await super().close()
