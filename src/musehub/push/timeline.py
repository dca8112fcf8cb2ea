"""Where the time of a push went: disjoint phases whose sum is the whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from muse.wire.stream import Progress
from musehub.db.transaction import Meter
from musehub.storage.metering import StoreMeter

AUTHENTICATE = "authenticate"
WAIT = "wait for client"
HEADS = "check heads"
DECODE = "decode"
CLOSURE = "closure"
RECORD = "record"
STORE = "store"
FINALISE = "finalise"
OTHER = "other"


class Timeline:
    """Adds every moment since it was made to exactly one phase; a phase inside another interrupts it.

    Also says what is going on right now, for progress frames. For one task.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = {OTHER: 0.0}
        self._entered: dict[str, int] = {OTHER: 1}
        self._current = OTHER
        self._started = self._since = clock()
        self.done = 0
        self.total: int | None = None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        outer = self._current
        self._entered[name] = self._entered.get(name, 0) + 1
        self._switch(name)
        try:
            yield
        finally:
            self._switch(outer)

    @property
    def progress(self) -> Progress:
        return Progress(self._current, self.done, self.total)

    @property
    def total_s(self) -> float:
        return self._clock() - self._started

    def phases(self) -> list[dict[str, Any]]:
        self._switch(self._current)
        return [
            {"name": name, "s": round(seconds, 6), "count": self._entered[name]}
            for name, seconds in self._seconds.items()
        ]

    def to_json(
        self,
        meter: Meter,
        store: StoreMeter,
        *,
        finalise_transaction_s: float | None = None,
        uploads: dict[str, Any] | None = None,
        parts: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The TIMELINE of docs/formats/wire.md."""
        phases = self.phases()
        return {
            "total_s": round(self.total_s, 6),
            "phases": phases,
            "statements": meter.statements,
            "transactions": meter.transactions,
            "connection_held_s": round(meter.held_s, 6),
            "connection_waited_s": round(meter.waited_s, 6),
            "longest_transaction_s": round(meter.longest_transaction_s, 6),
            "longest_transaction": meter.longest_transaction_name,
            "finalise_transaction_s": finalise_transaction_s,
            "store_calls": store.calls,
            "store_bytes": store.bytes,
            "uploads": uploads,
            "parts": parts,
        }

    def _switch(self, name: str) -> None:
        now = self._clock()
        self._seconds[self._current] = self._seconds.get(self._current, 0.0) + now - self._since
        self._current = name
        self._since = now
