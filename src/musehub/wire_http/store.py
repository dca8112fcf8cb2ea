"""Uploads to and downloads from the embedded store, under addresses that the hub has signed."""

from __future__ import annotations

import asyncio
import contextlib
import re
from urllib.parse import parse_qsl

from litestar.types import Receive, Scope, Send

from muse.errors import InvalidData, MuseError
from musehub.push.stream import ClientGone
from musehub.settings import Settings
from musehub.storage.disk import DiskStore, Upload
from musehub.wire_http.exchange import Exchange
from musehub.wire_http.route import RawRoute

BLOCK_BYTES = 1 << 20
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?")


class StoreEndpoints:
    def __init__(self, store: DiskStore, settings: Settings) -> None:
        self._store = store
        self._idle_timeout_s = settings.push_idle_timeout_s

    def routes(self) -> list[RawRoute]:
        return [
            RawRoute("PUT", "/store/{key:path}", self.put),
            RawRoute("GET", "/store/{key:path}", self.get),
        ]

    async def put(self, scope: Scope, receive: Receive, send: Send, parts: dict[str, str]) -> None:
        exchange = Exchange(scope, receive, send)
        try:
            permit = await self._store.signer.check("PUT", parts["key"], _query(exchange))
            assert permit.size_bytes is not None
            assert permit.sha256 is not None
            length = exchange.header(b"content-length")
            if length is not None and length != str(permit.size_bytes):
                raise InvalidData("wrong-hash", f"the upload has {length} bytes, not {permit.size_bytes}")
            upload = await asyncio.to_thread(self._store.begin, permit.key, permit.size_bytes, permit.sha256)
            try:
                await self._receive(exchange, upload)
                await asyncio.to_thread(upload.finish)
            finally:
                await asyncio.to_thread(upload.close)
        except MuseError:
            await exchange.drain()
            raise
        await exchange.answer_json({})

    async def _receive(self, exchange: Exchange, upload: Upload) -> None:
        """Hash and write one block while the next one arrives."""
        writing: asyncio.Future[None] | None = None
        block: list[bytes] = []
        size = 0
        try:
            while True:
                chunk = await asyncio.wait_for(exchange.read_chunk(), self._idle_timeout_s)
                if chunk is not None:
                    block.append(chunk)
                    size += len(chunk)
                    if size < BLOCK_BYTES:
                        continue
                if writing is not None:
                    await writing
                    writing = None
                if block:
                    writing = asyncio.ensure_future(asyncio.to_thread(upload.write, block))
                    block, size = [], 0
                if chunk is None:
                    break
            if writing is not None:
                await writing
                writing = None
        except (TimeoutError, ClientGone):
            raise InvalidData("truncated", "the upload ended too early", retry=True) from None
        finally:
            if writing is not None:
                with contextlib.suppress(Exception):
                    await writing

    async def get(self, scope: Scope, receive: Receive, send: Send, parts: dict[str, str]) -> None:
        exchange = Exchange(scope, receive, send)
        permit = await self._store.signer.check("GET", parts["key"], _query(exchange))
        path = self._store.path_of(permit.key)
        found = await self._store.head(permit.key)
        wanted = _RANGE.fullmatch(exchange.header(b"range") or "")
        size = found.size_bytes if found is not None else 0
        headers = {"content-type": "application/octet-stream", "accept-ranges": "bytes"}
        if wanted is None and found is not None and exchange.can_send_files:
            await exchange.start(200, headers | {"content-length": str(size)})
            await exchange.send_file(str(path))
            return
        async with self._store.open(permit.key) as view:
            start, end = _clip(wanted, len(view))
            if start >= end:
                await exchange.start(416, {"content-range": f"bytes */{len(view)}", "content-length": "0"})
                await exchange.write(b"", more=False)
                return
            status = 200 if wanted is None else 206
            headers["content-length"] = str(end - start)
            if wanted is not None:
                headers["content-range"] = f"bytes {start}-{end - 1}/{len(view)}"
            await exchange.start(status, headers)
            for at in range(start, end, BLOCK_BYTES):
                block = await asyncio.to_thread(bytes, view[at : min(at + BLOCK_BYTES, end)])
                await exchange.write(block, more=True)
            await exchange.write(b"", more=False)


def _clip(wanted: re.Match[str] | None, size: int) -> tuple[int, int]:
    if wanted is None:
        return 0, size
    last = int(wanted[2]) if wanted[2] else size - 1
    return int(wanted[1]), min(last + 1, size)


def _query(exchange: Exchange) -> dict[str, str]:
    return dict(parse_qsl(exchange.scope["query_string"].decode("latin-1")))
