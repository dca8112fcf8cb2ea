"""HEAD: what GET would answer, without the body."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar.types import Message, Receive, Scope, Send


def as_get(scope: Scope, send: Send) -> tuple[Scope, Receive, Send]:
    """The GET that a HEAD stands for: its answer ends after the headers, and it is told to stop there.

    So whatever answers GET answers HEAD, and a long body is not read to be thrown away.
    """
    answered = asyncio.Event()
    begun = False

    async def receive() -> Any:
        nonlocal begun
        if not begun:
            begun = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            answered.set()

    get: Any = {**scope, "method": "GET"}
    return get, receive, send_head
