"""What this process remembers of pushes between their requests: uploads so far, and who is at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from muse.errors import Conflict
from musehub.db.transaction import Meter
from musehub.push.timeline import Timeline

MAX_PUSHES = 1_000

Key = tuple[int, bytes]
"""Repository and push id."""


class Uploads:
    """Sums over the confirmed packs of one push."""

    def __init__(self) -> None:
        self.packs = 0
        self.bytes = 0
        self.objects = 0
        self.seconds = 0.0
        self.longest_transaction_s = 0.0
        self.phases: dict[str, float] = {}

    def add(self, size_bytes: int, objects: int, timeline: Timeline, meter: Meter) -> None:
        self.packs += 1
        self.bytes += size_bytes
        self.objects += objects
        self.seconds += timeline.total_s
        self.longest_transaction_s = max(self.longest_transaction_s, meter.longest_transaction_s)
        for phase in timeline.phases():
            self.phases[phase["name"]] = self.phases.get(phase["name"], 0.0) + phase["s"]

    def to_json(self) -> dict[str, Any]:
        return {
            "packs": self.packs,
            "bytes": self.bytes,
            "objects": self.objects,
            "s": round(self.seconds, 6),
            "phases": [{"name": name, "s": round(s, 6)} for name, s in self.phases.items()],
            "longest_transaction_s": round(self.longest_transaction_s, 6),
        }


class Ledger:
    """Of one hub process. Losing it loses figures of the timeline, nothing else."""

    def __init__(self) -> None:
        self._uploads: dict[Key, Uploads] = {}
        self._receiving: set[Key] = set()

    def uploads_of(self, key: Key) -> Uploads:
        found = self._uploads.setdefault(key, Uploads())
        while len(self._uploads) > MAX_PUSHES:
            del self._uploads[next(iter(self._uploads))]
        return found

    def take_uploads(self, key: Key) -> Uploads | None:
        return self._uploads.pop(key, None)

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
