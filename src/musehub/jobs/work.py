"""What a job is given: the hub's parts, its repository, and what jobs that run together share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, cast

from muse.objects.ids import Kind as ObjectKind
from musehub.db.engine import Database
from musehub.db.insights import find_insight, save_insight
from musehub.db.instants import Clock
from musehub.db.repositories import RepositoryRow
from musehub.repos.objects import ObjectReader
from musehub.settings import Settings
from musehub.storage.port import Store

CACHE_BYTES = 8 << 20
_T = TypeVar("_T")


class Parts(NamedTuple):
    """What every job may use; a job holds no database connection while it waits for the store."""

    database: Database
    store: Store
    settings: Settings
    clock: Clock


class Work:
    """The jobs of one repository that a worker runs one after the other; a job of the hub has none."""

    def __init__(
        self, parts: Parts, repository: RepositoryRow | None, pause: Callable[[], Awaitable[None]]
    ) -> None:
        """`pause` is awaited between the steps of a long job; it lets pushes and fetches go first."""
        self.parts = parts
        self.pause = pause
        self._repository = repository
        self._shared: dict[Hashable, Any] = {}

    @property
    def repository(self) -> RepositoryRow:
        assert self._repository is not None, "a job of the hub has no repository"
        return self._repository

    @cached_property
    def reader(self) -> ObjectReader:
        return _PatientReader(self.parts, self.repository.id, self.pause)

    async def share(self, key: Hashable, make: Callable[[], Awaitable[_T]]) -> _T:
        """What `make` returns, made once for all jobs that run together; what it raises is not kept."""
        if key not in self._shared:
            self._shared[key] = await make()
        return cast(_T, self._shared[key])

    async def find(self, kind: str) -> dict[str, Any] | None:
        """What was saved last under that name."""
        async with self.parts.database.read("find insight") as conn:
            found = await find_insight(conn, self.repository.id, kind)
        return found.value if found is not None else None

    async def save(self, kind: str, value: dict[str, Any]) -> None:
        """Keep what pages show; a value of a few kilobytes."""
        async with self.parts.database.transaction("save insight") as conn:
            await save_insight(conn, self.repository.id, kind, value, self.parts.clock())


class _PatientReader(ObjectReader):
    """Pauses before it reads more: whatever a job does, it reads objects for it."""

    def __init__(self, parts: Parts, repository_id: int, pause: Callable[[], Awaitable[None]]) -> None:
        super().__init__(parts.database, parts.store, repository_id, cache_bytes=CACHE_BYTES)
        self._pause = pause

    async def load_many(
        self, kind: ObjectKind, ids: Sequence[bytes], *, max_bytes: int | None = None
    ) -> dict[bytes, bytes]:
        await self._pause()
        return await super().load_many(kind, ids, max_bytes=max_bytes)


Payload = Mapping[str, Any]
Run = Callable[[Work, Payload], Awaitable[None]]


class Kind(NamedTuple):
    """One kind of job.

    Running one twice must be harmless. A kind with `once` looks at the repository as it is now, so that of
    several jobs in the queue one run does for all.
    """

    name: str
    run: Run
    purpose: str
    """For docs/jobs.md."""
    once: bool = True
    after_push: bool = True
    prompt: bool = False
    """Runs at once; the others that follow a push wait until nobody pushes or fetches."""
    of_hub: bool = False
    """Its jobs name no repository, and take as long as they take."""
    give_up: Run | None = None
    """Called when the last attempt has failed."""
