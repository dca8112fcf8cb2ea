"""Which earlier version of a thing an object is stored against.

Each against the one before would be smallest, but a chain of bases may not be long, and starting over
costs a whole copy. So every sixth version goes against the one six before, every 36th against the one 36
before, and only every 216th starts over: a chain is as long as the sum of the digits of its number in base
six, at most 15.
(Subversion calls this skip deltas.)
"""

from __future__ import annotations

from typing import NamedTuple

from muse.git.forgetting import forget_oldest
from muse.objects.ids import Kind
from muse.store.transaction import Transaction

RADIX = 6
LEVELS = 3
MAX_OBJECTS = 50_000
"""About 300 bytes each."""


class _Lineage(NamedTuple):
    """The number of a version, and for each level the newest one up to it that begins a run of that level."""

    number: int
    heads: tuple[bytes, ...]


class VersionWriter:
    """Puts objects into a transaction; remembers what the next version of each is to be stored against."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._lineages: dict[bytes, _Lineage] = {}

    def put(self, kind: Kind, data: bytes, previous: bytes | None) -> bytes:
        """Store an object of which `previous` is the version before, and return its id."""
        before = self._lineages.get(previous) if previous is not None else None
        number = before.number + 1 if before is not None else RADIX**LEVELS
        if before is None or number == RADIX**LEVELS:
            # The first, or one whose previous version is from another time.
            object_id = self._transaction.put(kind, data, previous if before is None else None)
            lineage = _Lineage(0, (object_id,) * LEVELS)
        else:
            level = _level(number)
            object_id = self._transaction.put(kind, data, before.heads[level])
            lineage = _Lineage(number, (object_id,) * (level + 1) + before.heads[level + 1 :])
        if object_id not in self._lineages:
            self._lineages[object_id] = lineage
        return object_id

    def trim(self) -> None:
        """Forget the oldest, down to half of what may be kept, if there are more."""
        forget_oldest(self._lineages, MAX_OBJECTS)


def _level(number: int) -> int:
    """Return how many zeros `number` ends in, in base `RADIX`."""
    level = 0
    while number % RADIX == 0:
        number //= RADIX
        level += 1
    return level
