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
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from muse.errors import CorruptStore, Environment, LimitReached, MuseError, RemoteFailure, UsageError
from musehub.db.sqlite_driver import make_connector
from musehub.db.transaction import TransactionRecord, report
from musehub.db.turns import Turns
from musehub.settings import Settings


class Database:
    """Two ways in: `transaction` may write, `read` may not.

    On SQLite writers form one orderly queue in this process (a pool of one connection whose
    transactions begin with BEGIN IMMEDIATE), readers have connections of their own and see the last
    commit. On PostgreSQL both share one pool.
    """

    def __init__(self, writer: AsyncEngine, reader: AsyncEngine, url: sa.URL, turns: Turns | None) -> None:
        self._writer = writer
        self._reader = reader
        self._turns = turns
        self.url = url
        self.is_postgresql = url.get_backend_name() == "postgresql"
        self.observers: list[Callable[[TransactionRecord], None]] = []

    @asynccontextmanager
    async def transaction(self, name: str, *, turn: int | None = None) -> AsyncIterator[AsyncConnection]:
        """One transaction that may write; `name` says what for, in meters and metrics.

        Those of one `turn`, the id of a repository that all of them lock, go one after the other: on
        PostgreSQL they would wait for its row with a connection each.

        Raises LimitReached("busy") when no connection is free in time or another writer keeps the
        lock, RemoteFailure("database-unavailable") when the database went away; both may be retried.
        """
        asked = time.perf_counter()
        async with AsyncExitStack() as stack:
            if turn is not None and self._turns is not None:
                try:
                    await stack.enter_async_context(self._turns.take(turn))
                except TimeoutError:
                    raise _busy("others were busy with the same repository") from None
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
            raise _translate(error) from error
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


_STATEMENTS = "musehub.statements"
BUSY_RETRY_AFTER_S = 2
"""What a client is asked to wait: transactions are short, so many end in that time."""


def open_database(settings: Settings) -> Database:
    """The database that the settings name; connects on first use.

    Creates the folder of an embedded database, not its tables: `migrations.upgrade` does that.
    """
    url = parse_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        return _open_sqlite(settings, url)
    return _open_postgresql(settings, url)


def parse_url(database_url: str) -> sa.URL:
    """The SQLAlchemy URL, with the asynchronous driver filled in."""
    try:
        url = sa.make_url(database_url.replace("postgres://", "postgresql://", 1))
    except exc.ArgumentError:
        raise UsageError("bad-setting", 'setting "database_url" is not a URL') from None
    driver = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}[url.get_backend_name()]
    return url.set(drivername=driver)


_WRITER_CACHE_KIB = 16 << 10
_READER_CACHE_KIB = 2 << 10
"""For each of `database_pool_size` connections; the system caches the file for all of them."""


def _open_sqlite(settings: Settings, url: sa.URL) -> Database:
    if not url.database or url.database == ":memory:":
        raise UsageError("bad-setting", 'setting "database_url" must name a file for SQLite')
    database = url.database
    try:
        Path(database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Environment(
            "read-only", f'cannot create the folder of "{database}": {error.strerror}'
        ) from error

    def make(size: int, begin: str, timeout_s: float, pragmas: tuple[str, ...]) -> AsyncEngine:
        engine = create_async_engine(
            url,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=size,
            max_overflow=0,
            hide_parameters=True,
            pool_timeout=timeout_s,
            pool_use_lifo=True,  # few connections stay warm; each that was ever used keeps its cache
            async_creator=make_connector(database, settings.busy_timeout_s),
        )

        @event.listens_for(engine.sync_engine, "connect")
        def configure(dbapi_connection: Any, _record: Any) -> None:
            cursor = dbapi_connection.cursor()
            for pragma in pragmas:
                cursor.execute(pragma)
            cursor.close()

        @event.listens_for(engine.sync_engine, "begin")
        def begin_transaction(conn: sa.Connection) -> None:
            conn.exec_driver_sql(begin)

        _count_statements(engine)
        return engine

    common = (
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
        "PRAGMA temp_store = MEMORY",
    )
    writer = make(
        1, "BEGIN IMMEDIATE", settings.busy_timeout_s, (*common, f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
    )
    reader = make(
        settings.database_pool_size,
        "BEGIN",
        settings.database_acquire_timeout_s,
        (*common, "PRAGMA query_only = ON", f"PRAGMA cache_size = -{_READER_CACHE_KIB}"),
    )
    return Database(writer, reader, url, None)  # its writers wait for their one connection


def _open_postgresql(settings: Settings, url: sa.URL) -> Database:
    milliseconds = {
        "statement_timeout": settings.statement_timeout_s,
        "idle_in_transaction_session_timeout": settings.idle_transaction_timeout_s,
    }
    engine = create_async_engine(
        url,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        hide_parameters=True,  # an error message must hold neither 3 MB of ids nor a password hash
        pool_timeout=settings.database_acquire_timeout_s,
        pool_pre_ping=True,  # a look whether it is closed is not enough: a server that ends says so late
        pool_use_lifo=True,  # what was used last has prepared most statements
        pool_recycle=1800,
        connect_args={
            "timeout": settings.database_acquire_timeout_s,
            "server_settings": {
                "application_name": "musehub",
                # A plan for any repository expects an average one; of a large one it would read every row.
                "plan_cache_mode": "force_custom_plan",
                **{name: str(int(value * 1000)) for name, value in milliseconds.items()},
                # The server's side of keep-alive; the client's is set on the socket below.
                "tcp_keepalives_idle": str(settings.keepalive_s),
                "tcp_keepalives_interval": str(max(1, settings.keepalive_s // 3)),
                "tcp_keepalives_count": "3",
            },
        },
    )

    @event.listens_for(engine.sync_engine, "connect")
    def keep_alive(dbapi_connection: Any, _record: Any) -> None:
        _keep_socket_alive(dbapi_connection.driver_connection, settings.keepalive_s)

    _count_statements(engine)
    return Database(engine, engine, url, Turns(settings.database_acquire_timeout_s))


def _keep_socket_alive(driver_connection: Any, idle_s: int) -> None:
    import socket

    transport = getattr(driver_connection, "_transport", None)
    found = transport.get_extra_info("socket") if transport is not None else None
    if found is None or found.family not in (socket.AF_INET, socket.AF_INET6):
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle_s)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, idle_s // 3))
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def _count_statements(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def count(conn: sa.Connection, _c: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith("BEGIN"):
            conn.info[_STATEMENTS] = conn.info.get(_STATEMENTS, 0) + 1


def _translate(error: Exception) -> Exception:
    """The error that a caller can act on; what is a defect of ours stays as it is."""
    if isinstance(error, exc.TimeoutError):
        return _busy("no database connection became free in time")
    if isinstance(error, exc.IntegrityError):
        return error
    if isinstance(error, exc.DBAPIError):
        return _translate_driver_error(error)
    if isinstance(error, sqlite3.Error):  # while a new connection was being set up
        return _translate_driver_error(exc.DBAPIError("", None, error))
    if isinstance(error, OSError):
        return _unavailable("no connection", str(error))
    return error


def _translate_driver_error(error: exc.DBAPIError) -> Exception:
    text = str(error.orig)
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if "database is locked" in text or "table is locked" in text or state in ("40001", "40P01", "55P03"):
        return _busy("another writer kept the database busy")
    if state == "57014":
        return _unavailable("a statement took longer than the time-out allows", text)
    if "disk is full" in text or state == "53100":
        return Environment(
            "disk-full",
            "no space left for the database of the hub",
            hint="its operator has to make room; what was recorded is not sent again",
        )
    if "not a database" in text or "malformed" in text:
        return CorruptStore(
            "corrupt-database", f"the database file is damaged: {text}", hint="restore a backup"
        )
    if "readonly database" in text or state == "25006":
        return Environment("read-only", "the database may not be written")
    if "no such table" in text or state == "42P01":
        return UsageError(
            "bad-setting", "the database has no tables yet or old ones", hint="run `musehub migrate`"
        )
    if state == "22021":
        return UsageError("bad-arguments", "a text holds a NUL, which the database cannot keep")
    if state == "3D000" or state[:2] == "28":
        return _unavailable("it does not let the hub in", text)
    if error.connection_invalidated or state[:2] in ("08", "57", "53") or _is_connection_loss(error):
        return _unavailable("the connection was lost", text)
    return error


def _is_connection_loss(error: exc.DBAPIError) -> bool:
    return isinstance(error, exc.InterfaceError) or "unable to open database file" in str(error.orig)


def _busy(why: str) -> MuseError:
    return LimitReached(
        "busy",
        why,
        hint="try again in a moment",
        retry=True,
        details={"retry_after_s": BUSY_RETRY_AFTER_S},
    )


def _unavailable(why: str, cause: str) -> MuseError:
    return RemoteFailure(
        "database-unavailable",
        f"the database does not answer: {why}",
        hint="try again; what was confirmed is kept",
        retry=True,
        details={"cause": cause[:500]},
    )
