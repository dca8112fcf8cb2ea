"""Analyses wait until nobody pushes or fetches: in one process they take turns with requests."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager


class Traffic:
    """The pushes and fetches that this process serves, as far as jobs must know."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._in_flight = 0
        self._last_ended = float("-inf")

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request for as long as the block runs."""
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self._last_ended = self.clock()

    def find_wait_s(self, quiet_s: float) -> float:
        """How long it takes at least until there was nothing for `quiet_s`; 0 if that is so now."""
        if self._in_flight:
            return quiet_s
        return max(0.0, self._last_ended + quiet_s - self.clock())


class Patience:
    """Lets jobs that run together wait for quiet, before and between their steps, `longest_s` in all."""

    def __init__(
        self,
        traffic: Traffic,
        quiet_s: float,
        longest_s: float,
        sleep: Callable[[float], Awaitable[bool]],
    ) -> None:
        """`sleep` says whether to wait no longer, because the worker stops."""
        self._traffic = traffic
        self._quiet_s = quiet_s
        self._left_s = longest_s
        self._sleep = sleep

    async def wait(self) -> None:
        """Return when it is quiet, or when there was enough waiting."""
        clock = self._traffic.clock
        while self._left_s > 0 and (wait_s := self._traffic.find_wait_s(self._quiet_s)) > 0:
            started = clock()
            stopped = await self._sleep(min(wait_s, self._left_s))
            self._left_s = 0.0 if stopped else self._left_s - (clock() - started)
