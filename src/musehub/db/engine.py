"""The database as the rooms above see it: `Database`, with short named transactions.

    async with database.transaction("record pack") as conn:      # may write
        await conn.execute(...)
    async with database.read("list branches") as conn:           # may not
        ...

A transaction commits at the end of the block and rolls back if the block raises. Inside a block
wait for nothing but the database: no store, no client.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from musehub.db.failures import busy, explain_failure
from musehub.db.transaction import TransactionRecord, report
from musehub.db.turns import Turns

_STATEMENTS = "musehub.statements"


class Database:
    """Two ways in: `transaction` may write, `read` may not.

    On SQLite writers form one orderly queue in this process (a pool of one connection whose
    transactions begin with BEGIN IMMEDIATE), readers have connections of their own and see the last
    commit. On PostgreSQL both share one pool.
    """

    def __init__(self, writer: AsyncEngine, reader: AsyncEngine, url: sa.URL, *, turns: Turns | None) -> None:
        self._writer = writer
        self._reader = reader
        self._turns = turns
        self.url = url
        self.is_postgresql = url.get_backend_name() == "postgresql"
        self.observers: list[Callable[[TransactionRecord], None]] = []

    @asynccontextmanager
    async def transaction(self, name: str, *, turn: int | None = None) -> AsyncIterator[AsyncConnection]:
        """One transaction that may write; `name` says what for, in meters and metrics.

        `turn` is the id of the repository whose row the block locks: blocks of one turn run one after the
        other. On PostgreSQL each would else hold a connection while it waits for that row.

        Raises LimitReached("busy") when no connection is free in time or another writer keeps the
        lock, RemoteFailure("database-unavailable") when the database went away; both may be retried.
        """
        asked = time.perf_counter()
        async with AsyncExitStack() as stack:
            if turn is not None and self._turns is not None:
                try:
                    await stack.enter_async_context(self._turns.take(turn))
                except TimeoutError:
                    raise busy("others were busy with the same repository") from None
            yield await stack.enter_async_context(self._work(self._writer, name, asked, writes=True))

    @asynccontextmanager
    async def read(self, name: str) -> AsyncIterator[AsyncConnection]:
        """One read-only transaction, whose statements all see the same state of the database."""
        async with self._work(self._reader, name, time.perf_counter(), writes=False) as conn:
            yield conn

    @property
    def checked_out(self) -> int:
        """How many connections are in use right now."""
        engines = {self._writer, self._reader}
        return sum(engine.sync_engine.pool.checkedout() for engine in engines)  # type: ignore[attr-defined]

    async def close(self) -> None:
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()

    @asynccontextmanager
    async def _work(
        self, engine: AsyncEngine, name: str, asked: float, *, writes: bool
    ) -> AsyncIterator[AsyncConnection]:
        held = asked
        conn: AsyncConnection | None = None
        counted: dict[Any, Any] = {}
        committed = False
        try:
            conn = await engine.connect()
            held = time.perf_counter()
            # Taken now, because a connection that breaks later does not give it any more.
            counted = (await conn.get_raw_connection()).info
            counted[_STATEMENTS] = 0
            if self.is_postgresql and not writes:
                # Becomes part of BEGIN; SQLite's readers are set up like this from the start.
                await conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            await conn.begin()
            yield conn
            await conn.commit()
            committed = True
        except (exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise explain_failure(error) from error
        finally:
            if conn is not None:
                statements = counted.get(_STATEMENTS, 0)  # whoever has the connection next counts from 0
                await _give_back(conn)
                now = time.perf_counter()
                record = TransactionRecord(name, writes, statements, held - asked, now - held, committed)
                report(record)
                for observe in self.observers:
                    observe(record)


async def _give_back(conn: AsyncConnection) -> None:
    """Close the connection even if the task is being cancelled, so that the pool never leaks one."""
    closing = asyncio.ensure_future(_close(conn))
    try:
        await asyncio.shield(closing)
    except asyncio.CancelledError:
        await closing
        raise


async def _close(conn: AsyncConnection) -> None:
    """Roll back and give back; a connection that cannot is thrown away, and that is no news: whatever the
    block did or raised stands.
    """
    try:
        await conn.close()
    except (exc.SQLAlchemyError, sqlite3.Error, OSError):
        with suppress(exc.SQLAlchemyError, sqlite3.Error, OSError):
            await conn.invalidate()
        with suppress(exc.SQLAlchemyError, sqlite3.Error, OSError):
            await conn.close()


def count_statements(engine: AsyncEngine) -> None:
    """Have the engine count what each connection executes, for `Database` to report by transaction."""

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def count(conn: sa.Connection, _c: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith("BEGIN"):
            conn.info[_STATEMENTS] = conn.info.get(_STATEMENTS, 0) + 1
