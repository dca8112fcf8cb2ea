"""The outermost ASGI application: raw routes first, everything else to Litestar.

The push endpoints read their request while they write their response. Litestar's own ASGI handlers
take no path parameters and its responses read the request channel to notice a disconnect, so these
routes are matched here. It also counts requests, so that the hub can finish them before it stops.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from muse.errors import LimitReached
from musehub.app.errors import send_error, to_muse_error
from musehub.app.head import as_get
from musehub.app.patience import with_patience
from musehub.wire_http.route import RawHandler, RawRoute

_CANCEL_S = 2.0
"""How long a cancelled request may take to give back what it holds."""

Lifespan = Callable[[], AbstractAsyncContextManager[None]]
Counted = Callable[[], AbstractContextManager[None]]


class HubApp:
    """An ASGI application; `drain` makes it refuse new requests and waits for the running ones."""

    def __init__(
        self,
        inner: ASGIApp,
        routes: Iterable[RawRoute] = (),
        lifespan: Lifespan = nullcontext,
        counted: Counted = nullcontext,
        body_idle_timeout_s: float = 60.0,
    ) -> None:
        """Every request to one of `routes` happens inside a block of `counted`.

        Those read their bodies with a time-out of their own; all others with `body_idle_timeout_s`.
        """
        self._body_idle_timeout_s = body_idle_timeout_s
        self._inner = inner
        self._counted = counted
        self.lifespan = lifespan
        """Opens and closes what the application needs; whoever serves it enters this."""
        self._routes: dict[str, list[tuple[re.Pattern[str], RawHandler]]] = {}
        for route in routes:
            pattern = compile_path(route.path)
            self._routes.setdefault(route.method.upper(), []).append((pattern, route.handler))
        self._running: set[asyncio.Task[object] | None] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False
        self.warmed = asyncio.Event()
        """Set once everything that requests need is imported."""
        self.observers: list[Callable[[Scope, int, float], None]] = []
        """Told of every request: its scope, the status (0: none was sent) and the seconds it took."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if str(scope["type"]) != "http":
            await self._inner(scope, receive, send)
            return
        task = asyncio.current_task()
        self._running.add(task)
        self._idle.clear()
        started = time.perf_counter()
        status = 0

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if self.draining:
                stopping = LimitReached("busy", "the hub is stopping", hint="try again", retry=True)
                await send_error(watched_send, stopping, status=503)
                return
            if scope["method"] == "HEAD":  # type: ignore[typeddict-item]
                await self._handle(*as_get(scope, watched_send))
            else:
                await self._handle(scope, receive, watched_send)
        finally:
            for observe in self.observers:
                observe(scope, status, time.perf_counter() - started)
            self._running.discard(task)
            if not self._running:
                self._idle.set()

    async def drain(self, grace_s: float) -> bool:
        """Refuse new requests; whether the running ones ended within `grace_s`. Those that did not
        are cancelled, and have ended when this returns."""
        self.draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), grace_s)
        except TimeoutError:
            left = {task for task in self._running if task is not None}
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=_CANCEL_S)
            return False
        return True

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._find(scope)
        if found is None:
            await self._inner(scope, with_patience(receive, self._body_idle_timeout_s), send)
            return
        handler, parts = found
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            with self._counted():
                await handler(scope, receive, watched_send, parts)
        except Exception as error:
            known = to_muse_error(error, where=f"{scope['method']} {scope['path']}")  # type: ignore[typeddict-item]
            if started:
                raise  # the connection is cut: the client must not take half an answer for a whole one
            await send_error(send, known)

    def _find(self, scope: Scope) -> tuple[RawHandler, dict[str, str]] | None:
        for pattern, handler in self._routes.get(scope["method"], ()):  # type: ignore[typeddict-item]
            if match := pattern.fullmatch(scope["path"]):
                return handler, match.groupdict()
        return None


def compile_path(template: str) -> re.Pattern[str]:
    """The pattern of a path template; see `RawRoute`."""
    pattern = ""
    for literal, name, rest in re.findall(r"([^{]*)(?:\{(\w+)(:path)?\})?", template):
        pattern += re.escape(literal)
        if name:
            pattern += f"(?P<{name}>.+)" if rest else f"(?P<{name}>[^/]+)"
    return re.compile(pattern)
