"""Where the time of a push or a fetch went."""

from __future__ import annotations

import time
from typing import NamedTuple


class Phase(NamedTuple):
    name: str
    seconds: float


class Stopwatch:
    """Cuts a span of time into named phases without gaps; a name that comes back is added up."""

    def __init__(self) -> None:
        self._name = ""
        self._since = time.perf_counter()
        self._seconds: dict[str, float] = {}

    def switch(self, name: str) -> None:
        """End the phase that runs and begin `name`."""
        now = time.perf_counter()
        if self._name:
            self._seconds[self._name] = self._seconds.get(self._name, 0.0) + now - self._since
        self._name, self._since = name, now

    def stop(self) -> list[Phase]:
        """End the phase that runs and return all, in the order in which they first came."""
        self.switch("")
        return [Phase(name, seconds) for name, seconds in self._seconds.items()]
