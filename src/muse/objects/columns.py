"""Reads the columns of tree nodes that are checked for the first time, many of them one after the other."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import compress, count
from operator import ne
from typing import NamedTuple

from muse.objects.ids import ID_BYTES
from muse.objects.tree import HEADER, TYPE_LINE, check_kinds, find_columns, parse_names

MAX_HELD_BYTES = 4 << 20
HELD_BESIDES = 300
"""Bytes that each column held takes besides its own."""
MAX_KEPT_WIDTH = 256
"""Larger nodes are rare: pages are smaller."""

_KIND_START = len(TYPE_LINE) + HEADER.size


class Names(NamedTuple):
    """What a column of names comes to: how many there are, the first and the last."""

    entries: int
    first: str
    last: str


class Columns(NamedTuple):
    """A node; `fresh` are the places of those entries that the tree it was compared with has not."""

    level: int
    kinds: bytes
    ids: tuple[bytes, ...]
    sizes: tuple[int, ...]
    files: tuple[int, ...]
    names: Names
    fresh: Sequence[int]


class ColumnReader:
    """Validates nodes as `decode_tree` does. Versions of a directory mostly have the same names: it remembers
    the columns of names that were found good.
    """

    def __init__(self) -> None:
        self._names: dict[bytes, Names] = {}
        self._held_bytes = 0
        self._layouts: dict[int, tuple[struct.Struct, struct.Struct]] = {}

    def read(self, data: bytes, base: bytes | None = None) -> Columns:
        """Validate one node; raises `bad-object` or `bad-path`.

        An entry is not fresh if `base`, a valid node, has one with the same kind, id, size and file count,
        whatever its name. Some that it has may be called fresh nevertheless.
        """
        level, n, kind_start, name_start = find_columns(data)
        id_start = kind_start + n
        number_start = id_start + ID_BYTES * n
        kinds = data[kind_start:id_start]
        check_kinds(level, kinds)
        column = data[name_start:]
        names = self._names.get(column)
        if names is None or names.entries != n:
            names = self._check_names(column, n)
        id_layout, number_layout = self._layouts.get(n) or self._make_layout(n)
        ids = id_layout.unpack_from(data, id_start)
        numbers = number_layout.unpack_from(data, number_start)
        fresh: Sequence[int] = range(n)
        if base is not None and not level:
            fresh = self._find_fresh(data, n, kinds, ids, base)
        return Columns(level, kinds, ids, numbers[:n], numbers[n:], names, fresh)

    def _find_fresh(
        self, data: bytes, n: int, kinds: bytes, ids: tuple[bytes, ...], base: bytes
    ) -> Sequence[int]:
        """Compare with the entries of `base` in the same places, from the front and from the back."""
        base_level, m = HEADER.unpack_from(base, len(TYPE_LINE))
        if base_level or not m:
            return range(n)
        base_ids = (self._layouts.get(m) or self._make_layout(m))[0].unpack_from(base, _KIND_START + m)
        if n == m:
            changed = list(compress(count(), map(ne, ids, base_ids)))
            return changed if _differ_only(data, base, n, kinds, changed) else range(n)
        shorter = min(n, m)
        front = next(compress(count(), map(ne, ids, base_ids)), shorter)
        back = next(compress(count(), map(ne, ids[::-1], base_ids[::-1])), shorter)
        back = min(back, shorter - front)
        if _same_rows(data, n, 0, base, m, 0, front) and _same_rows(
            data, n, n - back, base, m, m - back, back
        ):
            return range(front, n - back)
        return range(n)

    def _make_layout(self, n: int) -> tuple[struct.Struct, struct.Struct]:
        layout = struct.Struct(f"{ID_BYTES}s" * n), struct.Struct(f"<{2 * n}Q")
        if n <= MAX_KEPT_WIDTH:
            self._layouts[n] = layout
        return layout

    def _check_names(self, column: bytes, entries: int) -> Names:
        found = parse_names(column, entries)
        names = Names(entries, found[0], found[-1]) if found else Names(0, "", "")
        if len(column) > MAX_HELD_BYTES // 16:
            return names
        if self._held_bytes > MAX_HELD_BYTES:
            self._names.clear()
            self._held_bytes = 0
        self._held_bytes += len(column) + HELD_BESIDES
        self._names[column] = names
        return names


def _differ_only(data: bytes, base: bytes, n: int, kinds: bytes, changed: list[int]) -> bool:
    """Whether kinds are the same, and sizes and file counts in all other places, of two nodes as long."""
    if base[_KIND_START : _KIND_START + n] != kinds:
        return False
    start = _KIND_START + (1 + ID_BYTES) * n
    end = start + 16 * n
    if data[start:end] == base[start:end]:
        return True
    old = bytearray(base[start:end])
    for place in changed:
        for at in (8 * place, 8 * (n + place)):
            old[at : at + 8] = data[start + at : start + at + 8]
    return old == data[start:end]


def _same_rows(data: bytes, n: int, at: int, base: bytes, m: int, base_at: int, length: int) -> bool:
    """Whether so many entries have the same kinds, sizes and file counts."""
    numbers, base_numbers = _KIND_START + (1 + ID_BYTES) * n, _KIND_START + (1 + ID_BYTES) * m
    for width, start, base_start in (
        (1, _KIND_START, _KIND_START),
        (8, numbers, base_numbers),
        (8, numbers + 8 * n, base_numbers + 8 * m),
    ):
        start += width * at
        base_start += width * base_at
        if data[start : start + width * length] != base[base_start : base_start + width * length]:
            return False
    return True
