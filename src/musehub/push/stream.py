"""The frames of a push as they arrive, whatever carries them."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable

from muse.errors import InvalidData
from muse.wire.frames import FRAME, Frame, FrameParser

LONG_JSON_BYTES = 64 << 10
"""Longer JSON is decoded in a thread: checking thousands of updates takes a while."""
MAX_JSON_VALUES = 200_000
"""10,000 updates of six values each, and commas in names."""

ReadChunk = Callable[[], Awaitable[bytes | None]]
"""Returns the next bytes of the request, None at its end; raises ClientGone when there is nobody any more."""


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class FrameReader:
    """Reads frames; `sha256` and `received_bytes` cover all those that were taken into account.

    `hold` is told how many bytes of an incomplete frame wait here, and may raise.
    """

    def __init__(
        self,
        read_chunk: ReadChunk,
        *,
        max_frame_bytes: int,
        max_json_bytes: int,
        idle_timeout_s: float,
        hold: Callable[[int], None],
    ) -> None:
        self._read_chunk = read_chunk
        self._hold = hold
        self._parser = FrameParser(max_frame_bytes, max_json_bytes)
        self._idle_timeout_s = idle_timeout_s
        self._ready: deque[Frame] = deque()
        self._at_end = False
        self._hash = hashlib.sha256()
        self.received_bytes = 0

    async def read(self) -> Frame | None:
        """Return the next frame, None at the end of the request.

        Raises `bad-frame`, and `truncated` when the client falls silent, goes away or stops inside a frame.
        """
        while not self._ready:
            if self._at_end:
                return None
            chunk = await self._next_chunk()
            if chunk is None:
                self._at_end = True
                self._parser.close()
                return None
            self.received_bytes += len(chunk)
            self._ready.extend(self._parser.feed(chunk))
            self._hold(self._parser.pending_bytes)
        return self._ready.popleft()

    def account(self, frame: Frame) -> None:
        """Add a frame to the hash. For large frames call it in a worker thread."""
        self._hash.update(FRAME.pack(frame.type, len(frame.payload)))
        self._hash.update(frame.payload)

    @property
    def sha256(self) -> bytes:
        return self._hash.digest()

    async def _next_chunk(self) -> bytes | None:
        try:
            return await asyncio.wait_for(self._read_chunk(), self._idle_timeout_s)
        except TimeoutError:
            reason = f"nothing arrived for {self._idle_timeout_s:g} s"
        except ClientGone:
            reason = "the client went away"
        self._at_end = True
        raise InvalidData(
            "truncated",
            f"the push ended too early: {reason}",
            hint="push again; only the rest is sent",
            retry=True,
        )
