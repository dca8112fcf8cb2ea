"""Counts what a piece of work asks of the store, as `musehub.db.transaction` does for the database."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from muse.wire.uploads import SignedRequest
from musehub.storage.port import Store, StoredObject, UnfinishedUpload


class StoreMeter:
    """Calls and bytes moved; presigning asks the store nothing and is not counted."""

    __slots__ = ("bytes", "calls")

    def __init__(self) -> None:
        self.calls = 0
        self.bytes = 0


_meters: ContextVar[tuple[StoreMeter, ...]] = ContextVar("store_meters", default=())


@contextmanager
def store_metered() -> Iterator[StoreMeter]:
    """Collect what this task and those it starts ask of the store inside the block; may be nested."""
    meter = StoreMeter()
    reset = _meters.set((*_meters.get(), meter))
    try:
        yield meter
    finally:
        _meters.reset(reset)


class StoreCall(NamedTuple):
    """One call, as metrics see it."""

    method: str
    seconds: float
    size_bytes: int
    failed: bool


class MeteredStore:
    """A `Store` that passes everything on and counts it; `observers` are told of every call."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.observers: list[Callable[[StoreCall], None]] = []

    @contextmanager
    def _call(self, method: str, size_bytes: int = 0) -> Iterator[list[int]]:
        started = time.perf_counter()
        moved = [size_bytes]
        failed = True
        try:
            yield moved
            failed = False
        finally:
            call = StoreCall(method, time.perf_counter() - started, sum(moved), failed)
            for meter in _meters.get():
                meter.calls += 1
                meter.bytes += call.size_bytes
            for observe in self.observers:
                observe(call)

    async def put(self, key: str, parts: Sequence[bytes | memoryview], sha256: bytes) -> None:
        with self._call("put", sum(map(len, parts))):
            await self.inner.put(key, parts, sha256)

    @asynccontextmanager
    async def open(self, key: str, sha256: bytes | None = None) -> AsyncIterator[memoryview]:
        async with AsyncExitStack() as stack:
            with self._call("open") as moved:  # reading it is counted, what is done with it is not
                view = await stack.enter_async_context(self.inner.open(key, sha256))
                moved.append(len(view))
            yield view

    async def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        with self._call("get_ranges", sum(size for _start, size in ranges)):
            return await self.inner.get_ranges(key, ranges)

    async def head(self, key: str) -> StoredObject | None:
        with self._call("head"):
            return await self.inner.head(key)

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        with self._call("list"):
            found = self.inner.list(prefix)
        async for item in found:
            yield item

    async def delete(self, keys: Iterable[str]) -> None:
        with self._call("delete"):
            await self.inner.delete(keys)

    async def presign_put(self, key: str, size_bytes: int, sha256: bytes, ttl_s: int) -> SignedRequest:
        return await self.inner.presign_put(key, size_bytes, sha256, ttl_s)

    async def presign_get(self, key: str, ttl_s: int) -> SignedRequest:
        return await self.inner.presign_get(key, ttl_s)

    async def open_upload(self, key: str) -> str:
        with self._call("open_upload"):
            return await self.inner.open_upload(key)

    async def list_parts(self, key: str, upload: str) -> dict[int, int]:
        with self._call("list_parts"):
            return await self.inner.list_parts(key, upload)

    async def presign_part(
        self, key: str, upload: str, number: int, size_bytes: int, sha256: bytes, ttl_s: int
    ) -> SignedRequest:
        return await self.inner.presign_part(key, upload, number, size_bytes, sha256, ttl_s)

    async def finish_upload(self, key: str, upload: str, parts: Sequence[bytes]) -> None:
        with self._call("finish_upload"):
            await self.inner.finish_upload(key, upload, parts)

    async def abort_upload(self, key: str, upload: str) -> None:
        with self._call("abort_upload"):
            await self.inner.abort_upload(key, upload)

    async def list_uploads(self, prefix: str) -> AsyncIterator[UnfinishedUpload]:
        with self._call("list_uploads"):
            found = self.inner.list_uploads(prefix)
        async for item in found:
            yield item

    async def close(self) -> None:
        await self.inner.close()
