"""Which files of the embedded store this process wrote, and hashed meanwhile."""

from __future__ import annotations

import os
import threading

MAX_ARRIVALS = 1000
"""Remembered; of older ones the bytes are hashed again."""


class Arrivals:
    """Knows a file by its number, its size and when it was written last: what another process, or an upload
    in parts, puts under the same key is another file.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[int, int, int]] = {}

    def note(self, descriptor: int, sha256: bytes) -> None:
        """Remember an open file that was written to its end with these bytes."""
        with self._lock:
            self._known.pop(sha256, None)
            self._known[sha256] = _identify(descriptor)
            if len(self._known) > MAX_ARRIVALS:
                del self._known[next(iter(self._known))]

    def knows(self, descriptor: int, sha256: bytes) -> bool:
        """Whether an open file is one that was noted with this hash."""
        return self._known.get(sha256) == _identify(descriptor)


def _identify(descriptor: int) -> tuple[int, int, int]:
    status = os.fstat(descriptor)
    return status.st_ino, status.st_size, status.st_mtime_ns
