"""The records that go to the hub: copied as they are stored, unless the hub would lack their base."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from muse.objects.ids import Kind
from muse.packs.record import Record, encode_object

if TYPE_CHECKING:
    from muse.store.locations import Location
    from muse.store.objects import ObjectStore

Key = tuple[Kind, bytes]
ORDERED_BATCH = 512
"""Records of metadata held at once to bring them into order: a few kilobytes each."""
CHAINED_BLOBS = 50_000
"""Blobs that are sorted into chains at once: 15 MB of places."""
READ_BYTES = 8 << 20
"""Records of blobs held at once to bring them into order."""


class Outgoing:
    """Reads the records of one push and remembers what the hub will have of them.

    `had` is what it has already. A record whose base it will not have by then is encoded anew, without base:
    the base may belong to a commit that was given up and never pushed.
    """

    def __init__(self, objects: ObjectStore, had: Iterable[Key]) -> None:
        self._objects = objects
        self._had = set(had)
        self._sent: dict[Kind, set[bytes]] = {kind: set() for kind in Kind}

    def iter_blobs(self, ids: Sequence[bytes]) -> Iterator[tuple[bytes, Record]]:
        """Yield (id, record) of blobs as stored, each right after its base where both are among them.

        Whoever decodes them one after the other then has the base at hand. To be given to `prepare`.
        """
        for start in range(0, len(ids), CHAINED_BLOBS):
            places = self._objects.find_locations(Kind.BLOB, ids[start : start + CHAINED_BLOBS])
            for batch in _split(_order_chains(places), places):
                stored = sorted(((one, places[one]) for one in batch), key=lambda item: item[1][:2])
                records = dict(self._objects.iter_places(Kind.BLOB, stored))
                for object_id in batch:
                    yield object_id, records.pop(object_id)

    def iter_ordered(self, keys: Iterable[Key]) -> Iterator[Record]:
        """Yield the records of `keys` in their order, prepared."""
        iterator = iter(keys)
        while batch := list(islice(iterator, ORDERED_BATCH)):
            records = {
                (kind, object_id): record for kind, object_id, record in self._objects.iter_records(batch)
            }
            for kind, object_id in batch:
                yield self.prepare(object_id, records[kind, object_id])

    def prepare(self, object_id: bytes, record: Record) -> Record:
        """Return the record as it may be sent now, and count the object as sent."""
        kind, base = Kind(record.kind), record.base
        if base is not None and base not in self._sent[kind] and (kind, base) not in self._had:
            record = encode_object(kind, self._objects.load(kind, object_id))
        self._sent[kind].add(object_id)
        return record

    def begin_pack(self) -> None:
        """Count nothing as sent: packs are verified in any order, so one may not be based on another."""
        self._sent[Kind.BLOB].clear()


def _order_chains(places: dict[bytes, Location]) -> Iterator[bytes]:
    """Yield every id once: as stored, but what is based on an object follows it at once."""
    based_on: dict[bytes, list[bytes]] = {}
    first: list[bytes] = []
    for object_id in sorted(places, key=lambda one: places[one][:2]):
        base = places[object_id].base
        if base in places:
            based_on.setdefault(base, []).append(object_id)
        else:
            first.append(object_id)
    for top in first:
        stack = [top]
        while stack:
            object_id = stack.pop()
            yield object_id
            stack += reversed(based_on.get(object_id, ()))


def _split(ids: Iterable[bytes], places: dict[bytes, Location]) -> Iterator[list[bytes]]:
    """Cut into batches of about `READ_BYTES` stored bytes."""
    batch: list[bytes] = []
    size = 0
    for object_id in ids:
        batch.append(object_id)
        size += places[object_id].size_bytes
        if size >= READ_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
