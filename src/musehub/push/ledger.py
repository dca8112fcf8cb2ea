"""What is known of a push between its requests: what its packs and parts cost, and that it is received."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from muse.errors import Conflict
from musehub.db.transaction import Meter
from musehub.push.memory import PushKey
from musehub.push.timeline import Timeline
from musehub.storage.metering import StoreMeter


class _Work:
    """Sums over requests of one push before its last one, whichever process served them; kept in its row."""

    key: ClassVar[str]
    counted: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        self.counts = dict.fromkeys(self.counted, 0)
        self.seconds = 0.0
        self.statements = 0
        self.transactions = 0
        self.store_calls = 0
        self.longest_transaction_s = 0.0
        self.phases: dict[str, float] = {}

    @classmethod
    def of(cls, timeline: Mapping[str, Any] | None) -> Self:
        """The sums so far, out of the timeline of a push."""
        work = cls()
        work._read((timeline or {}).get(cls.key) or {})
        return work

    def _read(self, kept: Mapping[str, Any]) -> None:
        self.counts = {name: int(kept.get(name, 0)) for name in self.counted}
        self.statements = int(kept.get("statements", 0))
        self.transactions = int(kept.get("transactions", 0))
        self.store_calls = int(kept.get("store_calls", 0))
        self.seconds = float(kept.get("s", 0.0))
        self.longest_transaction_s = float(kept.get("longest_transaction_s", 0.0))
        self.phases = {phase["name"]: phase["s"] for phase in kept.get("phases", [])}

    def _spend(self, timeline: Timeline, meter: Meter, store_meter: StoreMeter) -> None:
        self.seconds += timeline.total_s
        self.statements += meter.statements
        self.transactions += meter.transactions
        self.store_calls += store_meter.calls
        self.longest_transaction_s = max(self.longest_transaction_s, meter.longest_transaction_s)
        for phase in timeline.phases():
            self.phases[phase["name"]] = self.phases.get(phase["name"], 0.0) + phase["s"]

    def to_json(self) -> dict[str, Any]:
        return {
            **self.counts,
            "s": round(self.seconds, 6),
            "statements": self.statements,
            "transactions": self.transactions,
            "store_calls": self.store_calls,
            "phases": [{"name": name, "s": round(s, 6)} for name, s in self.phases.items()],
            "longest_transaction_s": round(self.longest_transaction_s, 6),
        }

    def found(self) -> dict[str, Any] | None:
        """The member of a timeline; None when there was no such request."""
        return self.to_json() if any(self.counts.values()) else None


class Uploads(_Work):
    """Sums over the confirmed packs of one push."""

    key = "uploads"
    counted = ("packs", "bytes", "objects")

    def add(
        self, size_bytes: int, objects: int, timeline: Timeline, meter: Meter, store_meter: StoreMeter
    ) -> None:
        for name, more in zip(self.counted, (1, size_bytes, objects), strict=True):
            self.counts[name] += more
        self._spend(timeline, meter, store_meter)


class Parts(_Work):
    """Sums over the streams of one push that said that more would follow."""

    key = "parts"
    counted = ("streams", "bytes", "commits", "trees", "blobs")

    def __init__(self) -> None:
        super().__init__()
        self.last = ""

    def _read(self, kept: Mapping[str, Any]) -> None:
        super()._read(kept)
        self.last = str(kept.get("last", ""))

    def add(
        self,
        sha256: bytes,
        counts: Mapping[str, int],
        timeline: Timeline,
        meter: Meter,
        store_meter: StoreMeter,
    ) -> None:
        """Add a part; its objects count once if it is the last one again, whose answer was lost."""
        self.counts["streams"] += 1
        self.counts["bytes"] += counts["received_bytes"]
        if sha256.hex() != self.last:
            for name in ("commits", "trees", "blobs"):
                self.counts[name] += counts[name]
        self.last = sha256.hex()
        self._spend(timeline, meter, store_meter)

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"last": self.last}


class Ledger:
    """Pushes that this process receives. A second process may receive the same push: that costs work, but
    everything is idempotent and the last transaction finds the other's receipt.
    """

    def __init__(self) -> None:
        self._receiving: set[PushKey] = set()

    @contextmanager
    def receiving(self, key: PushKey) -> Iterator[None]:
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
