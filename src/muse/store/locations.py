"""Where records lie in segments, and in which order to read many of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from muse.objects.ids import ID_BYTES
from muse.packs.record import HEADER
from muse.store.cache import Key

READ_BYTES = 1 << 20
READ_GAP_BYTES = 16 << 10
"""Records this close are read in one call: reading on costs less than asking again."""


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


def bases_first(located: list[tuple[Key, Location]]) -> list[tuple[Key, Location]]:
    """Sort by place; where two writers made a base lie behind what is based on it, by depth."""
    located.sort(key=lambda item: item[1][:2])
    if all(location.base is None for _, location in located):
        return located
    behind = {key for key, _ in located}
    for key, location in located:
        behind.discard(key)
        if location.base is not None and (key[0], location.base) in behind:
            return sorted(located, key=lambda item: (item[1].depth, item[1][:2]))
    return located


def chain_by_chain(located: list[tuple[Key, Location]]) -> list[tuple[Key, Location]]:
    """Put everything behind its base, chains in the order of their first objects' places."""
    located.sort(key=lambda item: item[1][:2])
    keys = {key for key, _ in located}
    above: dict[Key, list[tuple[Key, Location]]] = {}
    stack = []
    for item in reversed(located):
        base = item[1].base
        if base is not None and (item[0][0], base) in keys:
            above.setdefault((item[0][0], base), []).append(item)
        else:
            stack.append(item)
    ordered = []
    while stack:
        item = stack.pop()
        ordered.append(item)
        stack += above.get(item[0], ())
    return ordered


def iter_runs(located: list[tuple[Key, Location]]) -> Iterator[list[tuple[Key, Location]]]:
    """Group records that lie close together, in at most `READ_BYTES` unless one is larger."""
    run: list[tuple[Key, Location]] = []
    start = end = segment = -1
    for item in located:
        location = item[1]
        stop = location.offset + location.size_bytes
        if run and (
            location.segment != segment
            or not end <= location.offset <= end + READ_GAP_BYTES
            or stop - start > READ_BYTES
        ):
            yield run
            run = []
        if not run:
            segment, start = location.segment, location.offset
        run.append(item)
        end = stop
    if run:
        yield run


def split_ids(joined: bytes) -> tuple[bytes, ...]:
    return tuple(joined[i : i + ID_BYTES] for i in range(0, len(joined), ID_BYTES))
