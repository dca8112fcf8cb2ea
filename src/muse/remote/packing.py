"""The packs of a push: which blob goes into which, and what is at the hub once some of them are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from muse.objects.ids import Kind
from muse.packs.pack import TARGET_BYTES, PackWriter
from muse.remote.records import Key, encode_anew, order_chains
from muse.wire.messages import Limits

if TYPE_CHECKING:
    from muse.store.locations import Place
    from muse.store.objects import ObjectStore

CHAINED_BLOBS = 50_000
"""Blobs that are sorted into chains at once: 15 MB of places."""
INDEX_RESERVE_BYTES = 64 << 10


class Pack(NamedTuple):
    """A sealed pack. With this one and all before it, the hub has the first `reached` blobs of the plan."""

    digest: bytes
    parts: Sequence[bytes | memoryview]
    size_bytes: int
    objects: int
    reached: int = 0


def iter_packs(
    objects: ObjectStore, had: Collection[Key], blobs: Sequence[bytes], limits: Limits
) -> Iterator[Pack]:
    """Seal blobs into packs of about `TARGET_BYTES`, fewer bytes where the hub takes less.

    No pack leans on another one of these, so they may be confirmed in any order; `had` is what records may
    lean on.
    """
    target = min(TARGET_BYTES, limits.pack_max_bytes - INDEX_RESERVE_BYTES)
    for start in range(0, len(blobs), CHAINED_BLOBS):
        chunk = blobs[start : start + CHAINED_BLOBS]
        numbers = dict(zip(chunk, range(start, start + len(chunk)), strict=True))
        places = order_chains(objects.find_places(Kind.BLOB, chunk))
        # Up to the first blob of the plan that comes after a place, all are sent with it.
        reached = [start + len(chunk)] * len(places)
        for number in range(len(places) - 1, 0, -1):
            reached[number - 1] = min(reached[number], numbers[places[number].id])
        del numbers
        begin = 0
        while begin < len(places):
            pack = _Packing(objects, had, target)
            end = pack.fill(places, begin)
            yield pack.seal(reached[end - 1])
            begin = end


class _Packing:
    """One pack that is being filled: what is copied as it lies, and what has to be encoded anew because the
    hub may not have its base when it verifies this pack.
    """

    def __init__(self, objects: ObjectStore, had: Collection[Key], target: int) -> None:
        self._objects = objects
        self._had = had
        self._target = target
        self._copied: list[Place] = []
        self._encoded: list[tuple[bytes, bytes]] = []

    def fill(self, places: Sequence[Place], begin: int) -> int:
        """Take places from `begin` on, one at least, and return where the next pack begins."""
        inside: set[bytes] = set()
        copied, target, had = self._copied, self._target, self._had
        size = 0
        for number in range(begin, len(places)):
            place = places[number]
            _, offset, end, _, object_id, base, _ = place
            if base is None or base in inside or (Kind.BLOB, base) in had:
                size += end - offset
                if size > target and inside:
                    return number
                copied.append(place)
            else:
                data = encode_anew(self._objects, place)
                size += len(data)
                if size > target and inside:
                    return number
                self._encoded.append((object_id, data))
            inside.add(object_id)
        return len(places)

    def seal(self, reached: int) -> Pack:
        writer = PackWriter()
        for object_id, data in self._encoded:  # they lean on nothing, and others may lean on them
            writer.add_encoded([(object_id, 0)], data)
        for group, view in self._objects.iter_copies(self._copied):
            start = group[0].offset
            writer.add_encoded([(place.id, place.offset - start) for place in group], view)
        digest, parts = writer.seal()
        return Pack(digest, parts, sum(map(len, parts)), len(writer), reached)
