"""The homes of a hub that are measured: embedded, and PostgreSQL with SeaweedFS."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.musehub.postgresql import PostgreSQL
from tests.musehub.seaweedfs import SeaweedFS

from benchmarks import copies, ours
from benchmarks.measure import Watch

EMBEDDED = "embedded"
SERVERS = "PostgreSQL + S3"


class Home(NamedTuple):
    """A running hub and what stands behind it.

    `put_raw` gives the seconds in which the hub's own store takes so many bytes.
    """

    name: str
    hub: ours.Hub
    behind: tuple[int, ...] = ()
    put_raw: Callable[[int], float] | None = None

    def watch(self) -> Watch:
        return Watch(self.hub.pid, self.behind)


@contextmanager
def embedded(folder: Path) -> Iterator[Home]:
    """SQLite and a folder."""
    with ours.serve(folder) as hub:
        yield Home(EMBEDDED, hub)


@contextmanager
def on_servers(folder: Path) -> Iterator[Home]:
    """A real PostgreSQL that waits for its disk as by default, and a real S3 server."""
    folder.mkdir(parents=True)
    postgresql, seaweedfs = PostgreSQL(folder / "pg"), SeaweedFS(folder / "s3")
    try:
        asyncio.run(_run_sql(postgresql.admin_url, "ALTER SYSTEM RESET fsync", "SELECT pg_reload_conf()"))
        environment = {
            "MUSEHUB_DATABASE_URL": postgresql.url(asyncio.run(postgresql.create_database())),
            "MUSEHUB_STORE_URL": seaweedfs.create_bucket(),
            "MUSEHUB_STORE_ACCESS_KEY": seaweedfs.keys[0],
            "MUSEHUB_STORE_SECRET_KEY": seaweedfs.keys[1],
        }
        variables = ours.client_environment(folder) | environment
        subprocess.run([ours.BIN / "musehub", "migrate"], env=variables, check=True, capture_output=True)

        def put_raw(size_bytes: int) -> float:
            return copies.put_raw(seaweedfs.create_bucket(), seaweedfs.keys, size_bytes)

        with ours.serve(folder / "hub", environment=environment) as hub:
            yield Home(SERVERS, hub, tuple(_find_pids(folder, seaweedfs)), put_raw)
    finally:
        seaweedfs.stop()
        postgresql.stop()


def _find_pids(folder: Path, seaweedfs: SeaweedFS) -> Iterator[int]:
    """The servers' own processes; none where somebody else provides a server."""
    if seaweedfs.pid is not None:
        yield seaweedfs.pid
    postmaster = folder / "pg" / "postmaster.pid"
    if postmaster.exists():
        yield int(postmaster.read_text().splitlines()[0])


async def _run_sql(url: str, *statements: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
