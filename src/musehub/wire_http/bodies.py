"""Reads the bodies of requests within bounds: on one request, and on all that a process reads at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from muse.errors import InvalidData, LimitReached
from muse.objects.ids import ID_BYTES, Kind
from muse.wire.frames import decode_json
from muse.wire.uploads import MAX_MISSING_IDS, parse_missing
from musehub.accounts.actor import Actor
from musehub.push.stream import LONG_JSON_BYTES, MAX_JSON_VALUES, ClientGone
from musehub.settings import Settings
from musehub.wire_http.exchange import Exchange

T = TypeVar("T")

UNCHECKED_BYTES = 128 << 10
"""So little is read before anybody asks whether the sender may do that: asking costs more."""
_RETRY_AFTER_S = 5


class Room:
    """What one request holds of `body_buffers_max_bytes`."""

    def __init__(self, bodies: Bodies, limit: int) -> None:
        self._bodies = bodies
        self._limit = limit
        self._held = 0

    def hold(self, size_bytes: int) -> None:
        """Say that so many bytes are held now; raises `busy` when all requests together hold too much."""
        more = size_bytes - self._held
        if more > 0 and self._bodies.held_bytes + more > self._limit:
            raise LimitReached(
                "busy",
                "the hub reads too many requests at once",
                hint="try again",
                retry=True,
                details={"retry_after_s": _RETRY_AFTER_S},
            )
        self._held = size_bytes
        self._bodies.held_bytes += more


class Bodies:
    """Of one hub process."""

    def __init__(self, settings: Settings) -> None:
        self._max_bytes = settings.body_buffers_max_bytes
        self._idle_timeout_s = settings.push_idle_timeout_s
        self.held_bytes = 0

    @contextmanager
    def room(self, actor: Actor) -> Iterator[Room]:
        """Given back at the end; nobody in particular gets half of it, so that they cannot shut out users."""
        room = Room(self, self._max_bytes // 2 if actor.is_anonymous else self._max_bytes)
        try:
            yield room
        finally:
            room.hold(0)

    async def read_json(
        self, exchange: Exchange, actor: Actor, max_bytes: int, parse: Callable[[Any], T]
    ) -> T:
        """What `parse` makes of a JSON body, in a thread if that is long; raises `too-large`, `bad-frame`."""
        with self.room(actor) as room:
            body = await self._read(exchange, room, max_bytes)

            def decode() -> T:
                try:
                    value = decode_json(body, MAX_JSON_VALUES)
                except (ValueError, RecursionError):
                    raise InvalidData("bad-frame", "the request is not JSON of this protocol") from None
                return parse(value)

            return await asyncio.to_thread(decode) if len(body) > LONG_JSON_BYTES else decode()

    async def read_missing(self, exchange: Exchange, room: Room) -> tuple[Kind, list[bytes]]:
        """The ids of a `push/missing`; raises `bad-frame`, `too-large`."""
        return parse_missing(await self._read(exchange, room, 1 + ID_BYTES * MAX_MISSING_IDS))

    async def _read(self, exchange: Exchange, room: Room, max_bytes: int) -> bytes:
        body = bytearray()
        async for chunk in self._iter_chunks(exchange, max_bytes):
            room.hold(len(body) + len(chunk))
            body += chunk
        return bytes(body)

    async def _iter_chunks(self, exchange: Exchange, max_bytes: int) -> AsyncIterator[bytes]:
        size = 0
        while True:
            try:
                chunk = await asyncio.wait_for(exchange.read_chunk(), self._idle_timeout_s)
            except TimeoutError:
                reason = f"nothing arrived for {self._idle_timeout_s:g} s"
                raise InvalidData("truncated", f"the request was given up: {reason}", retry=True) from None
            except ClientGone:
                raise InvalidData("truncated", "the client went away", retry=True) from None
            if chunk is None:
                return
            size += len(chunk)
            if size > max_bytes:
                raise LimitReached("too-large", f"the request is longer than {max_bytes} bytes")
            yield chunk
