"""Counts what a piece of work asks of the store, as `musehub.db.transaction` does for the database."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

from muse.wire.messages import SignedRequest
from musehub.storage.port import Store, StoredObject, UnfinishedUpload


class StoreMeter:
    """Calls, bytes moved and seconds waited; presigning asks the store nothing and is not counted."""

    __slots__ = ("bytes", "calls", "waited_s")

    def __init__(self) -> None:
        self.calls = 0
        self.bytes = 0
        self.waited_s = 0.0


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


@contextmanager
def _call(size_bytes: int = 0) -> Iterator[list[int]]:
    started = time.perf_counter()
    moved = [size_bytes]
    try:
        yield moved
    finally:
        elapsed = time.perf_counter() - started
        for meter in _meters.get():
            meter.calls += 1
            meter.bytes += sum(moved)
            meter.waited_s += elapsed


class MeteredStore:
    """A `Store` that passes everything on and counts it."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    async def put(self, key: str, parts: Sequence[bytes | memoryview], sha256: bytes) -> None:
        with _call(sum(map(len, parts))):
            await self.inner.put(key, parts, sha256)

    @asynccontextmanager
    async def open(self, key: str) -> AsyncIterator[memoryview]:
        opening = self.inner.open(key)
        with _call() as moved:
            view = await opening.__aenter__()
            moved.append(len(view))
        try:
            yield view
        finally:
            await opening.__aexit__(None, None, None)

    async def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        with _call(sum(size for _start, size in ranges)):
            return await self.inner.get_ranges(key, ranges)

    async def head(self, key: str) -> StoredObject | None:
        with _call():
            return await self.inner.head(key)

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        with _call():
            found = self.inner.list(prefix)
        async for item in found:
            yield item

    async def delete(self, keys: Iterable[str]) -> None:
        with _call():
            await self.inner.delete(keys)

    async def presign_put(self, key: str, size_bytes: int, sha256: bytes, ttl_s: int) -> SignedRequest:
        return await self.inner.presign_put(key, size_bytes, sha256, ttl_s)

    async def presign_get(self, key: str, ttl_s: int) -> SignedRequest:
        return await self.inner.presign_get(key, ttl_s)

    async def open_upload(self, key: str) -> str:
        with _call():
            return await self.inner.open_upload(key)

    async def list_parts(self, key: str, upload: str) -> dict[int, int]:
        with _call():
            return await self.inner.list_parts(key, upload)

    async def presign_part(
        self, key: str, upload: str, number: int, size_bytes: int, sha256: bytes, ttl_s: int
    ) -> SignedRequest:
        return await self.inner.presign_part(key, upload, number, size_bytes, sha256, ttl_s)

    async def finish_upload(self, key: str, upload: str, parts: Sequence[bytes]) -> None:
        with _call():
            await self.inner.finish_upload(key, upload, parts)

    async def abort_upload(self, key: str, upload: str) -> None:
        with _call():
            await self.inner.abort_upload(key, upload)

    async def list_uploads(self, prefix: str) -> AsyncIterator[UnfinishedUpload]:
        with _call():
            found = self.inner.list_uploads(prefix)
        async for item in found:
            yield item

    async def close(self) -> None:
        await self.inner.close()
