"""The records that go to the hub: copied as they are stored, unless the hub would lack their base."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from muse.objects.ids import Key, Kind
from muse.packs.record import encode_object, encode_record

if TYPE_CHECKING:
    from muse.store.locations import Place
    from muse.store.objects import ObjectStore

ORDERED_BATCH = 2048
"""Records of metadata that are held at once: a few hundred bytes each."""


class Piece(NamedTuple):
    """Whole records that go out side by side."""

    records: int
    data: bytes | memoryview


class Outgoing:
    """Reads the records of one push and remembers what the hub will have of them.

    `had` is what it has already. A record whose base it will not have by then is encoded anew, without base:
    the base may belong to a commit that was given up and never pushed.
    """

    def __init__(self, objects: ObjectStore, had: Iterable[Key]) -> None:
        self._objects = objects
        self._had = set(had)
        self._sent: dict[Kind, set[bytes]] = {kind: set() for kind in Kind}

    def iter_blobs(self, places: Sequence[Place]) -> Iterator[Piece]:
        """Yield the records of blobs, each after its base where both are among them."""
        yield from self._iter_pieces(order_chains(places))

    def iter_ordered(self, keys: Iterable[Key]) -> Iterator[Piece]:
        """Yield the records of `keys` in their order."""
        iterator = iter(keys)
        while batch := list(islice(iterator, ORDERED_BATCH)):
            places: dict[tuple[int, bytes], Place] = {}
            for kind in dict.fromkeys(kind for kind, _ in batch):
                found = self._objects.find_places(kind, [one for other, one in batch if other is kind])
                places |= {(kind, place.id): place for place in found}
            yield from self._iter_pieces([places[key] for key in batch])

    def _iter_pieces(self, places: Sequence[Place]) -> Iterator[Piece]:
        copied: list[Place] = []
        for place in places:
            kind, base = Kind(place.kind), place.base
            if base is None or base in self._sent[kind] or (kind, base) in self._had:
                copied.append(place)
            else:
                yield from self._iter_copies(copied)
                copied = []
                yield Piece(1, encode_anew(self._objects, place))
            self._sent[kind].add(place.id)
        yield from self._iter_copies(copied)

    def _iter_copies(self, places: Sequence[Place]) -> Iterator[Piece]:
        for group, data in self._objects.iter_copies(places):
            yield Piece(len(group), data)


def encode_anew(objects: ObjectStore, place: Place) -> bytes:
    """Return a record of the object that stands on no other."""
    kind = Kind(place.kind)
    return encode_record(encode_object(kind, objects.load(kind, place.id)))


def order_chains(places: Sequence[Place]) -> Sequence[Place]:
    """Keep the order, but let everything that is based on an object follow it at once.

    Versions of one file lie far apart where commits wrote them; this way whoever decodes them one after the
    other has the base at hand.
    """
    if all(place.base is None for place in places):
        return places
    here = {place.id for place in places}
    based_on: dict[bytes, list[Place]] = {}
    first: list[Place] = []
    for place in places:
        if place.base in here:
            based_on.setdefault(place.base, []).append(place)
        else:
            first.append(place)
    ordered = []
    for top in first:
        stack = [top]
        while stack:
            place = stack.pop()
            ordered.append(place)
            stack += reversed(based_on.get(place.id, ()))
    return ordered
