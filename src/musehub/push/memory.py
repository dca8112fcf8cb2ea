"""What this process knows of a push from one of its requests to the next.

It saves work, and nothing depends on it: another process, or this one when it has forgotten, asks the
database.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from musehub.push.known import Known
from musehub.repos.decoder import Decoder

MAX_KNOWN = 50_000
"""Objects kept so that they need not be looked up twice; about 25 MB."""
MAX_MEMORIES = 2
"""Of pushes that are between two requests. Each holds up to 16 MiB of decoded objects besides."""
MAX_IDLE_S = 120.0

PushKey = tuple[int, bytes]
"""Repository and push id."""


class Memory:
    """Objects of one push and what they stand on; all were there at `epoch` of the repository or later.

    To be forgotten when anything goes wrong: it may know objects that were not recorded then.
    """

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.known = Known()
        self.decoder = Decoder()


class Memories:
    """The last few memories of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[PushKey, tuple[float, Memory]] = {}

    def get(self, key: PushKey, epoch: int) -> Memory:
        """The memory of a push, a new one at `epoch` if there is none."""
        oldest = self._clock() - MAX_IDLE_S
        for old in [old for old, (used, _memory) in self._kept.items() if used < oldest]:
            del self._kept[old]
        found = self._kept.pop(key, None)
        memory = found[1] if found is not None else Memory(epoch)
        while len(self._kept) >= MAX_MEMORIES:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = self._clock(), memory
        return memory

    def forget(self, key: PushKey) -> None:
        self._kept.pop(key, None)

    def note_blobs(self, key: PushKey, epoch: int, ids: Iterable[bytes], sizes: Iterable[int]) -> None:
        """Remember blobs that were recorded at `epoch`."""
        memory = self.get(key, epoch)
        if memory.epoch == epoch and len(memory.known) < MAX_KNOWN:
            memory.known.blobs.update(zip(ids, sizes, strict=True))
