"""What is known of a push between its requests: what its packs have cost, and that it is being received."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from muse.errors import Conflict
from musehub.db.transaction import Meter
from musehub.push.timeline import Timeline
from musehub.storage.metering import StoreMeter

Key = tuple[int, bytes]
"""Repository and push id."""


class Uploads:
    """Sums over the confirmed packs of one push, whichever process confirmed them; kept in its row."""

    def __init__(self) -> None:
        self.packs = 0
        self.bytes = 0
        self.objects = 0
        self.seconds = 0.0
        self.statements = 0
        self.transactions = 0
        self.store_calls = 0
        self.longest_transaction_s = 0.0
        self.phases: dict[str, float] = {}

    @classmethod
    def of(cls, timeline: Mapping[str, Any] | None) -> Uploads:
        """The sums so far, out of the timeline of a push."""
        uploads = cls()
        kept = (timeline or {}).get("uploads") or {}
        for name in ("packs", "bytes", "objects", "statements", "transactions", "store_calls"):
            setattr(uploads, name, int(kept.get(name, 0)))
        uploads.seconds = float(kept.get("s", 0.0))
        uploads.longest_transaction_s = float(kept.get("longest_transaction_s", 0.0))
        uploads.phases = {phase["name"]: phase["s"] for phase in kept.get("phases", [])}
        return uploads

    def add(
        self, size_bytes: int, objects: int, timeline: Timeline, meter: Meter, store_meter: StoreMeter
    ) -> None:
        self.packs += 1
        self.bytes += size_bytes
        self.objects += objects
        self.seconds += timeline.total_s
        self.statements += meter.statements
        self.transactions += meter.transactions
        self.store_calls += store_meter.calls
        self.longest_transaction_s = max(self.longest_transaction_s, meter.longest_transaction_s)
        for phase in timeline.phases():
            self.phases[phase["name"]] = self.phases.get(phase["name"], 0.0) + phase["s"]

    def to_json(self) -> dict[str, Any]:
        return {
            "packs": self.packs,
            "bytes": self.bytes,
            "objects": self.objects,
            "s": round(self.seconds, 6),
            "statements": self.statements,
            "transactions": self.transactions,
            "store_calls": self.store_calls,
            "phases": [{"name": name, "s": round(s, 6)} for name, s in self.phases.items()],
            "longest_transaction_s": round(self.longest_transaction_s, 6),
        }


class Ledger:
    """Pushes that this process receives. A second process may receive the same push: that costs work, but
    everything is idempotent and the last transaction finds the other's receipt.
    """

    def __init__(self) -> None:
        self._receiving: set[Key] = set()

    @contextmanager
    def receiving(self, key: Key) -> Iterator[None]:
        """Mark a push as being received; raises `push-in-progress` if it is already."""
        if key in self._receiving:
            raise Conflict(
                "push-in-progress",
                "this very push is being received in another request",
                hint="wait for it, then ask for its receipt",
                retry=True,
            )
        self._receiving.add(key)
        try:
            yield
        finally:
            self._receiving.discard(key)


class InFlight:
    """Packs that have an address and are not confirmed yet, by repository; of one hub process.

    Only lets a quota refuse early: what counts is checked again when a pack is recorded.
    """

    def __init__(self, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._packs: dict[int, dict[bytes, tuple[float, int]]] = {}

    def of(self, repository_id: int, besides: bytes) -> int:
        """Bytes under way to a repository, the pack `besides` left out."""
        packs = self._packs.get(repository_id, {})
        oldest = self._clock() - self._ttl_s
        for digest in [digest for digest, (since, _size) in packs.items() if since < oldest]:
            del packs[digest]
        return sum(size for digest, (_since, size) in packs.items() if digest != besides)

    def add(self, repository_id: int, digest: bytes, size_bytes: int) -> None:
        self._packs.setdefault(repository_id, {})[digest] = (self._clock(), size_bytes)

    def remove(self, repository_id: int, digest: bytes) -> None:
        packs = self._packs.get(repository_id)
        if packs is not None:
            packs.pop(digest, None)
            if not packs:
                del self._packs[repository_id]
