"""The packs of a push: which blob goes into which, and what is at the hub once some of them are."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from muse.objects.ids import Key, Kind
from muse.packs.pack import TARGET_BYTES, PackWriter
from muse.remote.records import encode_anew, order_chains
from muse.wire.refs import Limits

if TYPE_CHECKING:
    from muse.remote.plan import Plan
    from muse.store.locations import Place
    from muse.store.objects import ObjectStore

Ask = Callable[[Collection[bytes]], Iterable[bytes]]
"""Returns those of some blobs that the hub has by now."""

CHAINED_BLOBS = 32_768
"""Blobs that are sorted into chains at once: 10 MB of places."""
FEW_BLOBS = 2048
"""Places are sought for so many at a time where some of them fill a pack."""
MAX_PACK_OBJECTS = 16_384
"""The hub holds some hundred bytes for each object of every pack that it verifies, several at once."""
INDEX_RESERVE_BYTES = 64 << 10
FIRST_PACK_BYTES = 4 << 20
"""Each that follows is twice as large until they have `TARGET_BYTES`: the hub has work sooner, and trees that
name only blobs of these can follow at once."""
MANY_BYTES = 128 << 20
LARGE_PACK_BYTES = 24 << 20
"""What packs come to after `MANY_BYTES`: each costs the hub 12 ms, whatever is in it. Smaller ones before
let client and hub work at once, and keep a push of some 100 MB from ending with a long wait. With 32 MiB
client and hub needed 30 and 15 MiB more at the peak, and were no faster."""


class Pack(NamedTuple):
    """A sealed pack. With this one and all before it, the hub has the first `reached` blobs of the plan.

    `following` blobs come in later packs; None while not all is planned.
    """

    digest: bytes
    parts: Sequence[bytes | memoryview]
    size_bytes: int
    objects: int
    reached: int = 0
    following: int | None = None


def iter_packs(
    objects: ObjectStore, plan: Plan, limits: Limits, ask: Ask = lambda blobs: ()
) -> Iterator[Pack]:
    """Seal the blobs of a plan into packs of `FIRST_PACK_BYTES` growing to `TARGET_BYTES`, after `MANY_BYTES`
    to `LARGE_PACK_BYTES`, fewer where the hub takes less.

    Packs may be confirmed in any order: they lean on what the plan says the hub had, or what `ask` says it
    has by now, and not on each other. The first is sealed as soon as enough is planned to fill it, and so is
    each that follows, until blobs based on others appear: versions that belong together are then sought in
    much more of the plan, before these are sealed.
    """
    most = limits.pack_max_bytes - INDEX_RESERVE_BYTES
    target = min(FIRST_PACK_BYTES, most)
    start = sealed_bytes = 0
    is_chained = False
    while places := _find_places(objects, plan, start, sys.maxsize if is_chained else target):
        bases = {place.base for place in places if place.base is not None}
        if bases and not is_chained:
            is_chained = True
            continue  # or the hub would have to read these again for each pack that leans on them
        had = plan.had
        if start and (elsewhere := bases.difference(place.id for place in places)):
            had = had.union((Kind.BLOB, base) for base in ask(elsewhere))
        end = start + len(places)
        numbers = dict(zip(plan.blobs[start:end], range(start, end), strict=True))
        places = order_chains(places)
        # Up to the first blob of the plan that comes after a place, all are sent with it.
        reached = [end] * len(places)
        for number in range(len(places) - 1, 0, -1):
            reached[number - 1] = min(reached[number], numbers[places[number].id])
        del numbers
        begin = 0
        while begin < len(places):
            packing = _Packing(objects, had, target)
            begin = packing.fill(places, begin)
            following = len(plan.blobs) - start - begin if plan.is_whole else None
            pack = packing.seal(reached[begin - 1], following)
            yield pack
            sealed_bytes += pack.size_bytes
            largest = TARGET_BYTES if sealed_bytes < MANY_BYTES else LARGE_PACK_BYTES
            target = min(2 * target, largest, most)
        start = end


def _find_places(objects: ObjectStore, plan: Plan, start: int, enough_bytes: int) -> Sequence[Place]:
    """Find the blobs of the plan from `start` on that come to so many bytes, and at most `CHAINED_BLOBS`."""
    end = start + CHAINED_BLOBS
    is_all = enough_bytes == sys.maxsize
    if is_all:
        plan.find_blobs(end)
    at_once = CHAINED_BLOBS if is_all else FEW_BLOBS
    places: list[Place] = []
    size = 0
    while size <= enough_bytes and (at := start + len(places)) < end and plan.find_blobs(at + 1):
        more = objects.find_places(Kind.BLOB, plan.blobs[at : min(at + at_once, end)])
        size += sum(place.end - place.offset for place in more)
        places += more
    if size > enough_bytes:
        sizes = {place.id: place.end - place.offset for place in places}
        sums = accumulate(sizes[blob] for blob in plan.blobs[start : start + len(places)])
        count = max(1, bisect_right(list(sums), enough_bytes))
        fitting = set(plan.blobs[start : start + count])
        places = [place for place in places if place.id in fitting]
    return places


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
        last = min(len(places), begin + MAX_PACK_OBJECTS)
        for number in range(begin, last):
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
        return last

    def seal(self, reached: int, following: int | None) -> Pack:
        writer = PackWriter()
        for object_id, data in self._encoded:  # they lean on nothing, and others may lean on them
            writer.add_encoded([(object_id, 0)], data)
        for group, view in self._objects.iter_copies(self._copied):
            start = group[0].offset
            writer.add_encoded([(place.id, place.offset - start) for place in group], view)
        digest, parts = writer.seal()
        return Pack(digest, parts, sum(map(len, parts)), len(writer), reached, following)
