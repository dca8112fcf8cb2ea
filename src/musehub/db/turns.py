"""Work on the same thing, one after the other within this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Turns:
    """A queue for each number that somebody waits for."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, number: int) -> AsyncIterator[None]:
        """Have the turn for the length of the block; raises TimeoutError."""
        lock = self._locks.setdefault(number, asyncio.Lock())
        async with asyncio.timeout(self._wait_s):
            await lock.acquire()
        try:
            yield
        finally:
            lock.release()
