"""An answer of frames: progress from a clock of its own, and an error frame for whatever goes wrong."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from muse.errors import MuseError
from muse.wire.frames import END, MEDIA_TYPE, PROGRESS, RESULT, encode_error, encode_json
from muse.wire.stream import End, Progress
from musehub.push.stream import ClientGone
from musehub.telemetry.incidents import report_defect
from musehub.wire_http.exchange import Exchange

TICK_S = 1.0
"""Progress that changed is shown this often; what hangs is reported every `heartbeat_s`."""


class FrameAnswer:
    """Sends frames as the body of one answer; the answer starts with the first of them."""

    def __init__(self, exchange: Exchange, heartbeat_s: float) -> None:
        self._exchange = exchange
        self._heartbeat_s = heartbeat_s
        self._lock = asyncio.Lock()
        self._hash = hashlib.sha256()
        self._closed = False
        self._last_sent = time.monotonic()
        self.started = False

    async def send(self, frame: bytes) -> None:
        """Send one encoded frame; waits while the client does not take it."""
        async with self._lock:
            await self._write(frame)

    async def send_end(self, counts: Mapping[str, int]) -> None:
        """Send E over everything sent so far; nothing follows it."""
        async with self._lock:
            self._closed = True
            await self._write(encode_json(END, End(counts, self._hash.digest()).to_json()))

    async def finish(self) -> None:
        await self._exchange.write(b"", more=False)

    @asynccontextmanager
    async def heartbeat(self, progress: Callable[[], Progress]) -> AsyncIterator[None]:
        """Send P frames while the block runs, whatever it waits for."""
        task = asyncio.create_task(self._beat(progress))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def run(self, work: Callable[[], Any], progress: Callable[[], Progress]) -> None:
        """Send what `work` returns as R, or what it raises as X, and finish the answer.

        The rest of the request is read and dropped after X.
        """
        try:
            async with self.heartbeat(progress):
                result = await work()
            await self._send_last(encode_json(RESULT, result))
        except ClientGone:
            return
        except Exception as error:
            await self._send_error(error)
        await self._exchange.drain()
        await self.finish()

    async def fail(self, error: Exception) -> None:
        """End an answer that has begun with X."""
        await self._send_error(error)
        await self.finish()

    async def _send_error(self, error: Exception) -> None:
        """Send X with what the client may know; a defect is logged under an incident number."""
        known = error
        if not isinstance(known, MuseError):
            known = report_defect(error, str(self._exchange.scope["path"]))
        await self._send_last(encode_error(known))

    async def _send_last(self, frame: bytes) -> None:
        async with self._lock:
            self._closed = True
            await self._write(frame)

    async def _write(self, frame: bytes) -> None:
        if not self.started:
            self.started = True
            await self._exchange.start(200, {"content-type": MEDIA_TYPE, "cache-control": "no-store"})
        self._hash.update(frame)
        await self._exchange.write(frame, more=True)
        self._last_sent = time.monotonic()

    async def _beat(self, progress: Callable[[], Progress]) -> None:
        tick = min(TICK_S, self._heartbeat_s / 2)
        shown: Progress | None = None
        while True:
            await asyncio.sleep(tick)
            now = progress()
            silent_s = time.monotonic() - self._last_sent
            if now == shown and silent_s < self._heartbeat_s - tick:
                continue
            shown = now
            async with self._lock:
                if self._closed:
                    return
                await self._write(encode_json(PROGRESS, now.to_json()))
