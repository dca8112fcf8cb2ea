"""A store that is slow, broken or watched: wraps a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from muse.errors import RemoteFailure
from muse.wire.uploads import SignedRequest
from musehub.storage.disk import DiskStore
from musehub.storage.port import StoredObject


class WatchedStore(DiskStore):
    """Calls `watch(name)` before every call; while `broken`, none is answered. `delay_s` slows each down."""

    broken = False
    delay_s = 0.0

    def watching(self, watch: Callable[[str], None]) -> WatchedStore:
        self.watch = watch
        return self

    async def _meet(self, name: str) -> None:
        self.watch(name)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.broken:
            raise RemoteFailure("store-unavailable", "the store does not answer", retry=True)

    async def put(self, key: str, parts: Sequence[bytes | memoryview], sha256: bytes) -> None:
        await self._meet("put")
        await super().put(key, parts, sha256)

    @asynccontextmanager
    async def open(self, key: str, sha256: bytes | None = None) -> AsyncIterator[memoryview]:
        await self._meet("open")
        async with super().open(key, sha256) as view:
            yield view

    async def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        await self._meet("get_ranges")
        return await super().get_ranges(key, ranges)

    async def head(self, key: str) -> StoredObject | None:
        await self._meet("head")
        return await super().head(key)

    async def delete(self, keys: Iterable[str]) -> None:
        await self._meet("delete")
        await super().delete(keys)

    async def presign_put(self, key: str, size_bytes: int, sha256: bytes, ttl_s: int) -> SignedRequest:
        return await super().presign_put(key, size_bytes, sha256, ttl_s)
