"""A small load balancer for `make cluster`: spreads connections over hubs, past those that do not answer.

A real installation uses a real one (docs/deployment.md); this one needs nothing installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from typing import NamedTuple

_PIECE_BYTES = 1 << 16
_CHECK_EVERY_S = 0.3
_CHECK_TIMEOUT_S = 1.0


class Backend(NamedTuple):
    host: str
    port: int


class Balancer:
    """Listens on loopback in a thread of its own; `served` counts the connections of each backend."""

    def __init__(self, backends: list[Backend]) -> None:
        self._backends = backends
        self._turns = itertools.count()
        self.healthy = dict.fromkeys(backends, True)
        self.served = dict.fromkeys(backends, 0)
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stopped: asyncio.Event | None = None
        self._thread = threading.Thread(
            target=lambda: self._loop.run_until_complete(self._run()), daemon=True
        )
        self._thread.start()
        self._ready.wait(10)

    def close(self) -> None:
        if self._stopped is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    async def _run(self) -> None:
        self._stopped = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        checks = [asyncio.create_task(self._watch(backend)) for backend in self._backends]
        self._ready.set()
        await self._stopped.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.gather(*checks, return_exceptions=True)

    async def _watch(self, backend: Backend) -> None:
        while True:
            self.healthy[backend] = await self._answers(backend)
            await asyncio.sleep(_CHECK_EVERY_S)

    async def _answers(self, backend: Backend) -> bool:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(*backend)
                writer.write(b"GET /health HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")
                line = await reader.readline()
                writer.close()
                return b" 200 " in line
        except (OSError, TimeoutError):
            return False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await self._connect()
            if upstream is not None:
                backend_reader, backend_writer = upstream
                up = asyncio.create_task(_pump(reader, backend_writer))
                down = asyncio.create_task(_pump(backend_reader, writer))
                await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
                for task in (up, down):
                    task.cancel()
                backend_writer.close()
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the next hub whose turn it is; None when none of them answers."""
        turn = next(self._turns)
        order = [self._backends[(turn + n) % len(self._backends)] for n in range(len(self._backends))]
        for backend in sorted(order, key=lambda one: not self.healthy[one]):
            try:
                connection = await asyncio.open_connection(*backend)
            except OSError:
                self.healthy[backend] = False
                continue
            self.served[backend] += 1
            return connection
        return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_PIECE_BYTES):
            writer.write(data)
            await writer.drain()
