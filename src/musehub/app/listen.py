"""The HTTP server: Granian inside this process's own event loop; see docs/decisions on the HTTP server."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.embed import Server

from muse.errors import Environment
from musehub.app.dispatch import HubApp

logger = logging.getLogger("musehub")
_BACKLOG = 1024
_CLOSE_S = 2.0


def open_socket(host: str, port: int) -> socket.socket:
    """A bound TCP socket; port 0 gives a free one. Raises Environment("address-in-use")."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. Without, the second small frame of an answer waits until the client has
        # acknowledged the first, which it does after 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Environment(
                "address-in-use",
                f"another program listens on {host}:{port}",
                hint="stop it, or choose another port with --port (0 picks a free one)",
            ) from None
        raise Environment(
            "io-error", f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}"
        ) from None
    listener.setblocking(False)
    return listener


def socket_url(listener: socket.socket) -> str:
    """`http://HOST:PORT` of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _ServerOnSocket(Server):
    """Granian on a socket that is bound already.

    Left to itself Granian binds with SO_REUSEPORT, so that a second hub would silently share the
    port, and cannot tell which port 0 became.
    """

    def __init__(self, app: HubApp, listener: socket.socket) -> None:
        self._listener = listener
        super().__init__(
            app,
            interface=Interfaces.ASGINL,  # `RunningServer` runs the lifespan
            http=HTTPModes.http1,
            websockets=False,
            backlog=_BACKLOG,
            log_enabled=False,
        )

    def _init_shared_socket(self) -> None:
        # A copy, because the holder closes what it is given.
        self._ssp = None
        make_holder: Any = SocketHolder
        self._shd = make_holder(os.dup(self._listener.fileno()), False, _BACKLOG)


class RunningServer:
    """Serves `app` on `listener` until `stop`."""

    def __init__(self, app: HubApp, listener: socket.socket) -> None:
        self._app = app
        self._server: Any = _ServerOnSocket(app, listener)
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Serve, inside the application's lifespan, until `stop` was called."""
        async with self._app.lifespan():
            serving = asyncio.create_task(self._server.serve())
            stopping = asyncio.create_task(self._stopped.wait())
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            # Granian waits for every connection; one whose client reads no more would keep it forever.
            await asyncio.wait({serving}, timeout=_CLOSE_S)
            if serving.done():
                serving.result()
            else:
                serving.cancel()

    async def stop(self, grace_s: float) -> None:
        """Refuse new requests, let running ones end within `grace_s`, cancel the rest, then stop."""
        if not await self._app.drain(grace_s):
            logger.warning("requests were cut off after %s s", grace_s)
        self._server.stop()
        self._stopped.set()
