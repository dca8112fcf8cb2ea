"""Where records lie in segments, and in which order to read many of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from muse.objects.ids import ID_BYTES
from muse.packs.record import HEADER

READ_BYTES = 1 << 20
READ_GAP_BYTES = 16 << 10
"""Records this close are read in one call: reading on costs less than asking again."""

LOCATION_COLUMNS = "segment, offset, encoding, raw_size, stored_size, base, depth"
RECORD_BYTES = f"(stored_size + {HEADER.size} + CASE WHEN base IS NULL THEN 0 ELSE {ID_BYTES} END)"
"""The size of a whole record, as SQL over the table `objects`; `Location.size_bytes` is the same."""
PLACE_COLUMNS = f"segment, offset, offset + {RECORD_BYTES}, kind, objects.id, base, depth"


class Location(NamedTuple):
    """Where a record lies and what its header says; `depth` counts the bases below it."""

    segment: int
    offset: int
    encoding: int
    raw_size: int
    stored_size: int
    base: bytes | None
    depth: int

    @property
    def size_bytes(self) -> int:
        return HEADER.size + (ID_BYTES if self.base else 0) + self.stored_size


class Place(NamedTuple):
    """Where the record of one object lies, to read many. `end` is behind its last byte."""

    segment: int
    offset: int
    end: int
    kind: int
    id: bytes
    base: bytes | None
    depth: int


def place_of(kind: int, object_id: bytes, at: Location) -> Place:
    return Place(at.segment, at.offset, at.offset + at.size_bytes, kind, object_id, at.base, at.depth)


def bases_first(places: list[Place]) -> list[Place]:
    """Keep the order of places; where two writers made a base lie behind what is based on it, by depth."""
    if all(place.base is None for place in places):
        return places
    behind = {(place.kind, place.id) for place in places}
    for place in places:
        behind.discard((place.kind, place.id))
        if place.base is not None and (place.kind, place.base) in behind:
            return sorted(places, key=lambda place: (place.depth, place))
    return places


class Extent(NamedTuple):
    """Neighbours in a segment: the bytes of `places[first:stop]` of some sequence."""

    segment: int
    offset: int
    end: int
    first: int
    stop: int


def join_neighbours(places: Iterable[Place], max_bytes: int) -> list[Extent]:
    """Join what lies side by side and comes one after the other, up to `max_bytes` unless one is larger."""
    extents: list[Extent] = []
    at_segment = start = at_end = -1
    first = number = 0
    for number, place in enumerate(places):
        segment, offset, end, _, _, _, _ = place
        if offset != at_end or segment != at_segment or end - start > max_bytes:
            if number > first:
                extents.append(Extent(at_segment, start, at_end, first, number))
            first, at_segment, start = number, segment, offset
        at_end = end
    if at_end >= 0:
        extents.append(Extent(at_segment, start, at_end, first, number + 1))
    return extents


def iter_runs(parts: Sequence[Place | Extent]) -> Iterator[tuple[int, int, int, int, int]]:
    """Group what lies close together, in at most `READ_BYTES` unless one is larger.

    Yields (first, stop, segment, offset, end) of `parts[first:stop]`.
    """
    at_segment = start = at_end = -1
    first = number = 0
    for number, part in enumerate(parts):
        segment, offset, end = part.segment, part.offset, part.end
        if (
            segment != at_segment
            or not at_end <= offset <= at_end + READ_GAP_BYTES
            or end - start > READ_BYTES
        ):
            if number > first:
                yield first, number, at_segment, start, at_end
            first, at_segment, start = number, segment, offset
        at_end = end
    if at_end >= 0:
        yield first, number + 1, at_segment, start, at_end
