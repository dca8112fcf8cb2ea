"""Decodes records that are deltas of others, without going anywhere for them: runs in worker threads."""

from __future__ import annotations

from collections.abc import Mapping

from muse.errors import InvalidData
from muse.objects.ids import Kind
from muse.packs.record import Encoding, Record, decode_object
from musehub.db.objects import MAX_CHAIN

DEFAULT_CACHE_BYTES = 16 << 20
HELD_BESIDES = 300
"""Bytes that each object held takes besides its own."""


class MissingBase(Exception):
    """The base of a delta is neither offered nor decoded lately."""

    def __init__(self, kind: int, base: bytes) -> None:
        super().__init__(f"{Kind(kind).name.lower()} {base.hex()}")
        self.kind = Kind(kind)
        self.base = base


class Decoder:
    """Knows the records it was offered and the objects it decoded last. Not for concurrent use.

    Memory: `max_bytes` of decoded objects, and what is offered.
    """

    def __init__(self, max_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._recent: dict[tuple[int, bytes], tuple[bytes, int]] = {}
        self._offered: dict[int, dict[bytes, Record]] = {kind: {} for kind in Kind}

    def offer(self, kind: int, records: Mapping[bytes, Record]) -> None:
        """Make records available as bases until `withdraw`."""
        self._offered[kind].update(records)

    def withdraw(self) -> None:
        """Forget everything offered."""
        for records in self._offered.values():
            records.clear()

    def knows(self, kind: int, object_id: bytes) -> bool:
        return (kind, object_id) in self._recent or object_id in self._offered[kind]

    def find_decoded(self, kind: int, object_id: bytes) -> bytes | None:
        found = self._recent.get((kind, object_id))
        return found[0] if found is not None else None

    def load(self, kind: int, object_id: bytes) -> bytes:
        """The bytes of an object that was offered or decoded lately; raises MissingBase."""
        return self._load(kind, object_id, MAX_CHAIN)[0]

    def decode(self, record: Record) -> tuple[bytes, int]:
        """Return the object's bytes and the length of its chain of bases.

        Raises MissingBase, and `bad-record` for what does not decode or has too long a chain.
        """
        if record.encoding != Encoding.PREFIX or record.base is None:
            return decode_object(record), 0
        base, depth = self._load(record.kind, record.base, MAX_CHAIN)
        if depth >= MAX_CHAIN:
            raise InvalidData("bad-record", f"a record stands on a chain of more than {MAX_CHAIN} bases")
        return decode_object(record, base), depth + 1

    def keep(self, kind: int, object_id: bytes, data: bytes, depth: int) -> None:
        """Remember a decoded object for the deltas that follow."""
        if len(data) > self._max_bytes // 4:
            return
        key = (kind, object_id)
        if key in self._recent:
            return
        self._recent[key] = (data, depth)
        self._bytes += len(data) + HELD_BESIDES
        while self._bytes > self._max_bytes:
            oldest = next(iter(self._recent))
            self._bytes -= len(self._recent.pop(oldest)[0]) + HELD_BESIDES

    def _load(self, kind: int, object_id: bytes, steps: int) -> tuple[bytes, int]:
        key = (kind, object_id)
        found = self._recent.pop(key, None)
        if found is not None:
            self._recent[key] = found  # used last: a base is likely to be used again
            return found
        record = self._offered[kind].get(object_id)
        if record is None:
            raise MissingBase(kind, object_id)
        if steps == 0:
            raise InvalidData("bad-record", f"a record stands on a chain of more than {MAX_CHAIN} bases")
        if record.encoding != Encoding.PREFIX or record.base is None:
            data, depth = decode_object(record), 0
        else:
            base, depth = self._load(kind, record.base, steps - 1)
            data, depth = decode_object(record, base), depth + 1
        self.keep(kind, object_id, data, depth)
        return data, depth
