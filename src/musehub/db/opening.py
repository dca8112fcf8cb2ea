"""Opens the database that the settings name, and sets its connections up: SQLite or PostgreSQL."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from muse.errors import Environment, UsageError
from musehub.db.engine import Database, count_statements
from musehub.db.sqlite_driver import make_connector
from musehub.db.turns import Turns
from musehub.settings import Settings


def open_database(settings: Settings) -> Database:
    """The database that the settings name; connects on first use.

    Creates the folder of an embedded database, not its tables: `migrate.upgrade` does that.
    """
    url = _parse_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        return _open_sqlite(settings, url)
    return _open_postgresql(settings, url)


def _parse_url(database_url: str) -> sa.URL:
    """The SQLAlchemy URL, with the asynchronous driver filled in."""
    try:
        url = sa.make_url(database_url.replace("postgres://", "postgresql://", 1))
    except exc.ArgumentError:
        raise UsageError("bad-setting", 'setting "database_url" is not a URL') from None
    driver = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}[url.get_backend_name()]
    return url.set(drivername=driver)


# ---- SQLite

_WRITER_CACHE_KIB = 16 << 10
_READER_CACHE_KIB = 2 << 10
"""For each of `database_pool_size` connections; the system caches the file for all of them."""
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
)


def _open_sqlite(settings: Settings, url: sa.URL) -> Database:
    if not url.database or url.database == ":memory:":
        raise UsageError("bad-setting", 'setting "database_url" must name a file for SQLite')
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Environment(
            "read-only", f'cannot create the folder of "{url.database}": {error.strerror}'
        ) from error
    # One writer: whoever wants to write waits for its connection, in order, so no turns are needed.
    writer = _make_sqlite_engine(
        settings,
        url,
        pool_size=1,
        pool_timeout_s=settings.busy_timeout_s,
        begin="BEGIN IMMEDIATE",
        pragmas=(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}",),
    )
    reader = _make_sqlite_engine(
        settings,
        url,
        pool_size=settings.database_pool_size,
        pool_timeout_s=settings.database_acquire_timeout_s,
        begin="BEGIN",
        pragmas=("PRAGMA query_only = ON", f"PRAGMA cache_size = -{_READER_CACHE_KIB}"),
    )
    return Database(writer, reader, url, turns=None)


def _make_sqlite_engine(
    settings: Settings,
    url: sa.URL,
    *,
    pool_size: int,
    pool_timeout_s: float,
    begin: str,
    pragmas: tuple[str, ...],
) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
        pool_timeout=pool_timeout_s,
        pool_use_lifo=True,  # few connections stay warm; each that was ever used keeps its cache
        async_creator=make_connector(str(url.database), settings.busy_timeout_s),
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(dbapi_connection: Any, _record: Any) -> None:
        cursor = dbapi_connection.cursor()
        for pragma in (*_PRAGMAS, *pragmas):
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin_transaction(conn: sa.Connection) -> None:
        conn.exec_driver_sql(begin)

    count_statements(engine)
    return engine


# ---- PostgreSQL


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

    count_statements(engine)
    return Database(engine, engine, url, turns=Turns(settings.database_acquire_timeout_s))


def _keep_socket_alive(driver_connection: Any, idle_s: int) -> None:
    transport = getattr(driver_connection, "_transport", None)
    found = transport.get_extra_info("socket") if transport is not None else None
    if found is None or found.family not in (socket.AF_INET, socket.AF_INET6):
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle_s)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, idle_s // 3))
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
