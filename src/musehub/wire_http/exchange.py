"""One HTTP request and its answer, over the ASGI channels themselves."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

from litestar.types import Receive, Scope, Send

from muse.errors import MuseError
from musehub.push.stream import ClientGone

T = TypeVar("T")

DRAIN_BYTES = 64 << 20
"""So much of a refused request is read and dropped: a client that is still sending must see the answer."""
DRAIN_S = 20.0


class Exchange:
    """Reads the request piece by piece and writes the answer, at the same time if need be."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope: Mapping[str, Any] = scope
        self._receive = receive
        self._send = send
        self._read_all = False

    async def read_chunk(self) -> bytes | None:
        """The next bytes of the request, None at its end; raises ClientGone."""
        while not self._read_all:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientGone
            self._read_all = not message.get("more_body", False)
            if body := message.get("body", b""):
                return body
        return None

    async def admit(self, check: Awaitable[T]) -> T:
        """What `check` finds; where it refuses the request, the rest of that is read and dropped first."""
        try:
            return await check
        except MuseError as error:
            if error.code != "truncated":  # then there is nobody who still sends
                await self.drain()
            raise

    @property
    def announced_bytes(self) -> int | None:
        """The length of the request if its head tells it."""
        length = self.header(b"content-length") or ""
        return int(length) if length.isascii() and length.isdigit() else None

    async def drain(self) -> None:
        """Read and drop the rest of the request, within bounds."""
        deadline = time.monotonic() + DRAIN_S
        dropped = 0
        try:
            while dropped <= DRAIN_BYTES and (left := deadline - time.monotonic()) > 0:
                chunk = await asyncio.wait_for(self.read_chunk(), left)
                if chunk is None:
                    return
                dropped += len(chunk)
        except (TimeoutError, ClientGone):
            return

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def write(self, body: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def send_file(self, path: str) -> None:
        """Let the server send a file by itself, where it can: `can_send_files`."""
        await self._send({"type": "http.response.pathsend", "path": path})  # type: ignore[arg-type]

    @property
    def can_send_files(self) -> bool:
        return "http.response.pathsend" in (self.scope.get("extensions") or {})

    async def answer(self, body: bytes, content_type: str) -> None:
        await self.start(200, {"content-type": content_type, "content-length": str(len(body))})
        await self.write(body, more=False)

    async def answer_json(self, value: Any) -> None:
        await self.answer(json.dumps(value, ensure_ascii=False).encode(), "application/json")

    def header(self, name: bytes) -> str | None:
        for key, value in self.scope["headers"]:
            if key.lower() == name:
                return str(value.decode("latin-1"))
        return None
