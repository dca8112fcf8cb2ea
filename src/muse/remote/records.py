"""The records that go to the hub: copied as they are stored, unless the hub would lack their base."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from muse.objects.ids import Kind
from muse.packs.record import Record, encode_object

if TYPE_CHECKING:
    from muse.store.objects import ObjectStore

Key = tuple[Kind, bytes]
ORDERED_BATCH = 512
"""Records of metadata held at once to bring them into order: a few kilobytes each."""


class Outgoing:
    """Reads the records of one push and remembers what the hub will have of them.

    `had` is what it has already. A record whose base it will not have by then is encoded anew, without base:
    the base may belong to a commit that was given up and never pushed.
    """

    def __init__(self, objects: ObjectStore, had: Iterable[Key]) -> None:
        self._objects = objects
        self._there = set(had)
        self._sent: dict[Kind, set[bytes]] = {kind: set() for kind in Kind}

    def iter_blobs(self, ids: Iterable[bytes]) -> Iterator[tuple[bytes, Record]]:
        """Yield (id, record) of blobs in the order in which they are stored, bases first."""
        for kind, object_id, record in self._objects.iter_records((Kind.BLOB, blob) for blob in ids):
            yield object_id, self._prepare(kind, object_id, record)

    def iter_ordered(self, keys: Iterable[Key]) -> Iterator[Record]:
        """Yield the records of `keys` in their order."""
        iterator = iter(keys)
        while batch := list(islice(iterator, ORDERED_BATCH)):
            records = {
                (kind, object_id): record for kind, object_id, record in self._objects.iter_records(batch)
            }
            for key in batch:
                yield self._prepare(*key, records[key])

    def was_sent(self, kind: Kind, object_id: bytes) -> bool:
        """Say whether the object was handed out, rather than had before."""
        return object_id in self._sent[kind]

    def _prepare(self, kind: Kind, object_id: bytes, record: Record) -> Record:
        base = record.base
        if base is not None and base not in self._sent[kind] and (kind, base) not in self._there:
            record = encode_object(kind, self._objects.load(kind, object_id))
        self._sent[kind].add(object_id)
        return record
