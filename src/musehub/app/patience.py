"""Gives up requests whose bodies do not come: a thousand of them would take all connections of the hub."""

from __future__ import annotations

import asyncio

from litestar.types import HTTPReceiveMessage, Receive

from muse.errors import InvalidData


def with_patience(receive: Receive, idle_timeout_s: float) -> Receive:
    """A `receive` that raises `truncated` after so much silence inside a body; after it, it just waits."""
    ended = False

    async def receive_in_time() -> HTTPReceiveMessage:
        nonlocal ended
        if ended:
            return await receive()  # type: ignore[return-value]
        try:
            message = await asyncio.wait_for(receive(), idle_timeout_s)
        except TimeoutError:
            raise InvalidData(
                "truncated", f"nothing of the request arrived for {idle_timeout_s:g} s", retry=True
            ) from None
        ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message  # type: ignore[return-value]

    return receive_in_time
