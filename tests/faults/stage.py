"""What scenes are played on: a hub, its servers, and a proxy on every way between them."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from tests.faults.behind import Behind
from tests.faults.processes import kill_family
from tests.faulty_proxy import FaultyProxy
from tests.histories import commit_files, commit_random, make_repository
from tests.hub_process import HubProcess
from tests.musehub.postgresql import PROVIDED as PROVIDED_POSTGRESQL
from tests.musehub.postgresql import PostgreSQL
from tests.musehub.seaweedfs import PROVIDED as PROVIDED_S3
from tests.musehub.seaweedfs import SeaweedFS

from muse.remote.address import Origin, RepositoryUrl
from muse.remote.client import HubClient
from muse.remote.push import push
from muse.remote.selection import select_refs
from muse.store.repository import Repository
from musehub.db import migrate
from musehub.db.opening import open_database
from musehub.settings import Settings, load_settings

SERVERS, EMBEDDED = "servers", "embedded"
INDEX_BYTES = 1 << 10
PACK_BYTES = (32 << 10) + INDEX_BYTES
"""No pack is larger."""
STREAMS = 5
"""Packs that a client sends at the same time, at most, in pushes as small as these."""
IDLE_S = 1.0
LIMITS = {
    "stream_max_objects": 10,
    "stream_max_size_bytes": 60_000,
    "pack_max_bytes": (32 << 10) + (64 << 10),
    "heartbeat_s": 0.3,
    "push_idle_timeout_s": IDLE_S,
    "workers": 0,
}
"""A history of a few dozen files takes several packs, and silence ends soon. Nobody works at jobs: what they
ask of the store would take the faults that are meant for a push.
"""
PACKS, SMALL = "packs", "small"


class Stage:
    """A running hub that can be killed and brought back. `ways` are the proxies by the names of steps."""

    kind = EMBEDDED

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.settings: dict[str, object] = {**LIMITS, **settings}
        self.hub = HubProcess(folder / "hub", **self.settings)
        hub = FaultyProxy(self.hub.origin)
        self.ways: dict[str, FaultyProxy] = {"hub": hub, "store": hub}
        self._lock = threading.RLock()
        self._hub_runs = True
        self._templates: dict[str, Path] = {}
        self._upload_bytes: dict[str, int] = {}
        self._behind: Behind | None = None

    @property
    def address(self) -> Origin:
        """Where clients find the hub."""
        return self.ways["hub"].origin

    def load_settings(self) -> Settings:
        """The settings of the hub, for looking behind its back."""
        return load_settings({"data_dir": self.folder / "hub" / "data", **self.settings}, environ={})

    # ---- what may happen; each may be called from any thread

    def kill_hub(self, *, back: bool) -> None:
        with self._lock:
            self._hub_runs = False
            self.hub.kill()
            if back:
                self.heal()

    def heal(self) -> None:
        """Bring back what was killed."""
        with self._lock:
            if not self._hub_runs:
                self.hub.start()
                self._hub_runs = True

    @property
    def behind(self) -> Behind:
        """Database and store of the hub, beside it."""
        if self._behind is None:
            self._behind = Behind(self.load_settings())
        return self._behind

    @property
    def sent_bytes(self) -> int:
        """What was sent to the store since `reset`, without heads of requests."""
        requests = list(self.ways["store"].requests)
        return sum(request.body_bytes_up for request in requests if request.method == "PUT")

    def reset(self) -> None:
        for proxy in self.ways.values():
            proxy.reset()

    def close(self) -> None:
        if self._behind is not None:
            self._behind.close()
        for proxy in self.ways.values():
            proxy.close()
        self.hub.kill()

    # ---- what is pushed

    def copy_template(self, shape: str, folder: Path, url: RepositoryUrl) -> None:
        """Make a local repository that always holds the same history of a shape, to be pushed to `url`."""
        if shape not in self._templates:
            path = self.folder / f"template-{shape}"
            with make_repository(path) as repository:
                rng = Random(shape)
                if shape == PACKS:
                    for number in range(3):
                        files = {f"noise/{number}/{name}": rng.randbytes(4400) for name in range(14)}
                        commit_files(repository, files)
                    commit_random(repository, rng, commits=2, files=2)
                else:
                    commit_random(repository, rng, commits=2, files=3, size=2000)
            self._templates[shape] = path
        shutil.copytree(self._templates[shape], folder)
        with Repository.open(folder) as repository:
            repository.settings.set("remote.origin.url", str(url))

    def count_upload_bytes(self, shape: str) -> int:
        """What a push of a shape that nothing strikes sends to the store."""
        if shape not in self._upload_bytes:
            folder = self.folder / f"unstruck-{shape}"
            self.copy_template(shape, folder, RepositoryUrl(self.address, self.hub.user, f"unstruck-{shape}"))
            with Repository.open(folder) as repository, HubClient(self.address, self.hub.token) as hub:
                push(repository, "origin", select_refs(repository), hub)
            self._upload_bytes[shape] = self.sent_bytes
            self.reset()
        return self._upload_bytes[shape]


class ServerStage(Stage):
    """The same with PostgreSQL and an S3 store of its own."""

    kind = SERVERS

    def __init__(self, folder: Path, **settings: object) -> None:
        with _unset(PROVIDED_POSTGRESQL), _unset(PROVIDED_S3):
            self._postgresql = PostgreSQL(folder / "pg")
            self._seaweedfs = SeaweedFS(folder / "s3")
        self._postgresql_runs = self._seaweedfs_runs = True
        store = urlsplit(self._seaweedfs.endpoint)
        origin = Origin("http", store.hostname or "", store.port or 0)
        store_proxy, back_proxy = FaultyProxy(origin), FaultyProxy(origin)
        bucket = self._seaweedfs.create_bucket().partition("?")[0]
        try:
            self._open(folder, bucket, store_proxy, back_proxy, settings)
        except BaseException:
            self._seaweedfs.stop()
            self._postgresql.stop()
            raise

    def _open(
        self,
        folder: Path,
        bucket: str,
        store_proxy: FaultyProxy,
        back_proxy: FaultyProxy,
        settings: dict[str, object],
    ) -> None:
        super().__init__(
            folder,
            database_url=asyncio.run(self._make_database(folder)),
            store_url=f"{bucket}?endpoint={back_proxy.origin}&public_endpoint={store_proxy.origin}",
            store_access_key=self._seaweedfs.keys[0],
            store_secret_key=self._seaweedfs.keys[1],
            store_idle_timeout_s=1,
            store_retry_timeout_s=2,
            database_acquire_timeout_s=2,
            **settings,
        )
        self.ways |= {"store": store_proxy, "behind": back_proxy}

    async def _make_database(self, folder: Path) -> str:
        url = self._postgresql.url(await self._postgresql.create_database())
        database = open_database(load_settings({"data_dir": folder, "database_url": url}, environ={}))
        await migrate.upgrade(database)
        await database.close()
        return url

    def kill_postgresql(self, *, back: bool) -> None:
        with self._lock:
            self._postgresql_runs = False
            server = self._postgresql._server
            kill_family(server.get_pid())
            # They may name a process that is dead and not yet waited for, which would count as a running one.
            for lock in ("postmaster.pid", ".s.PGSQL.5432.lock"):
                (server.pgdata / lock).unlink(missing_ok=True)
            if back:
                self.heal()

    def terminate_backends(self) -> None:
        """End the hub's connections as an administrator would."""
        with self._lock:
            statement = (
                "DO $$ BEGIN PERFORM pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'musehub'; END $$"
            )
            asyncio.run(self._postgresql._run(self._postgresql.admin_url, statement))

    def stop_store(self, *, back: bool) -> None:
        with self._lock:
            self._seaweedfs_runs = False
            self._seaweedfs.stop()
            self.ways["store"].disconnect()
            self.ways["behind"].disconnect()
            if back:
                self.heal()

    def heal(self) -> None:
        with self._lock:
            if not self._postgresql_runs:
                with _machine():
                    self._postgresql._server.ensure_postgres_running()
                self._postgresql_runs = True
            if not self._seaweedfs_runs:
                with _machine():
                    self._seaweedfs.start()
                self._seaweedfs_runs = True
            super().heal()

    def close(self) -> None:
        super().close()
        self.heal_servers_only()
        self._seaweedfs.stop()
        self._postgresql.stop()

    def heal_servers_only(self) -> None:
        self._hub_runs = True
        self.heal()


class ServerDidNotStart(OSError):
    """PostgreSQL or the S3 server did not come back: nothing of ours can be blamed for it."""


@contextmanager
def _machine() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise ServerDidNotStart(str(error)) from error


@contextmanager
def _unset(name: str) -> Iterator[None]:
    """What somebody provides may not be killed."""
    value = os.environ.pop(name, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[name] = value


OpenStage = Callable[[str], Stage]
"""Returns the stage of a kind; opened when it is first asked for."""


@contextmanager
def open_stages(folder: Path) -> Iterator[OpenStage]:
    stages: dict[str, Stage] = {}

    def get(kind: str) -> Stage:
        if kind not in stages:
            place = folder / kind
            place.mkdir(parents=True)
            stages[kind] = (ServerStage if kind == SERVERS else Stage)(place)
        return stages[kind]

    try:
        yield get
    finally:
        for stage in stages.values():
            stage.close()
