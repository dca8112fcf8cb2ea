"""Compares directories of one repository: a level of them at a time, and only where both sides differ."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from muse.errors import LimitReached
from muse.history.treediff import Change
from muse.objects.tree import DIRECTORY, Entry
from musehub.repos.directories import (
    DIRECTORIES_AT_ONCE,
    MAX_DEPTH,
    MAX_NAMES,
    NAMES_AT_ONCE,
    NAMES_PER_DIRECTORY,
    count_cost,
    load_all_entries,
)
from musehub.repos.objects import ObjectReader


class Difference(NamedTuple):
    """What differs; `has_more` if not everything was looked at or listed."""

    changes: list[Change]
    has_more: bool


async def diff_trees(
    reader: ObjectReader, old: bytes | None, new: bytes | None, limit: int, max_directories: int
) -> Difference:
    """The paths that differ, sorted; of no more than `limit` files, below no more than `max_directories`.

    Equal directories, and pages that both sides share, are not read.
    """
    return (await diff_many_trees(reader, [(old, new)], limit, max_directories))[0]


async def diff_many_trees(
    reader: ObjectReader,
    pairs: Sequence[tuple[bytes | None, bytes | None]],
    limit: int,
    max_directories: int,
) -> list[Difference]:
    """What `diff_trees` says of each pair; one level of all of them costs as many queries as of one.

    `max_directories` holds for each pair.
    """
    found = [_Comparison(limit, max_directories) for _ in pairs]
    level: list[_Pair] = [(number, "", old, new) for number, (old, new) in enumerate(pairs)]
    for _depth in range(MAX_DEPTH):
        level = await _compare_level(reader, level, found)
        if not level:
            break
    for number, _path, _old, _new in level:
        found[number].is_cut = True
    return [comparison.result() for comparison in found]


_Pair = tuple[int, str, bytes | None, bytes | None]
"""Which comparison, a path that ends with a slash, and the directory there before and after."""


class _Comparison:
    """What was found of one pair so far, and what it may still cost."""

    __slots__ = ("changes", "directories_left", "is_cut", "limit", "names_left")

    def __init__(self, limit: int, max_directories: int) -> None:
        self.changes: list[Change] = []
        self.limit = limit
        self.directories_left = max_directories
        self.names_left = max_directories * NAMES_PER_DIRECTORY
        self.is_cut = False

    @property
    def is_over(self) -> bool:
        return self.is_cut or len(self.changes) > self.limit

    def result(self) -> Difference:
        self.changes.sort(key=lambda change: change.path)
        return Difference(self.changes[: self.limit], self.is_over)


async def _compare_level(reader: ObjectReader, level: list[_Pair], found: list[_Comparison]) -> list[_Pair]:
    """Add the files that differ to what was found; returns the directories to look into next."""
    below: list[_Pair] = []
    at_once, start = DIRECTORIES_AT_ONCE, 0
    while start < len(level):
        part = [
            item
            for item in level[start : start + at_once]
            if item[2] != item[3] and not found[item[0]].is_over
        ]
        max_names = NAMES_AT_ONCE if len(part) > 1 else MAX_NAMES
        try:
            befores, afters = await _load_differing(reader, [item[2:] for item in part], max_names)
        except LimitReached:
            if len(part) > 1:
                at_once = max(1, at_once // 8)
                continue
            found[part[0][0]].is_cut = True
        else:
            below += await asyncio.to_thread(_compare_part, part, befores, afters, found)
        start += at_once
    return [item for item in below if not found[item[0]].is_over]


def _compare_part(
    part: list[_Pair],
    befores: list[dict[str, Entry]],
    afters: list[dict[str, Entry]],
    found: list[_Comparison],
) -> list[_Pair]:
    below: list[_Pair] = []
    for (number, prefix, _old, _new), before, after in zip(part, befores, afters, strict=True):
        if not found[number].is_over:
            _compare(number, prefix, before, after, found[number], below)
    return below


def _compare(
    number: int,
    prefix: str,
    before: dict[str, Entry],
    after: dict[str, Entry],
    found: _Comparison,
    below: list[_Pair],
) -> None:
    found.names_left -= len(before) + len(after)
    if found.names_left < 0:
        found.is_cut = True
        return
    differing = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    for name in sorted(differing):
        old, new = before.get(name), after.get(name)
        path = f"{prefix}{name}"
        old_tree = old.id if old is not None and old.kind == DIRECTORY else None
        new_tree = new.id if new is not None and new.kind == DIRECTORY else None
        if old_tree != new_tree:
            found.directories_left -= count_cost(path)
            if found.directories_left < 0:
                found.is_cut = True
                return
            below.append((number, f"{path}/", old_tree, new_tree))
        old_file = old if old_tree is None else None
        new_file = new if new_tree is None else None
        if old_file != new_file:
            found.changes.append(Change(path, old_file, new_file))


async def _load_differing(
    reader: ObjectReader, pairs: Sequence[tuple[bytes | None, bytes | None]], max_names: int
) -> tuple[list[dict[str, Entry]], list[dict[str, Entry]]]:
    """For each pair of directories the entries of those pages that the other side lacks."""
    sides = [[old] if old is not None else [] for old, _new in pairs]
    sides += [[new] if new is not None else [] for _old, new in pairs]
    count = len(pairs)
    others = [*range(count, 2 * count), *range(count)]
    loaded = await load_all_entries(reader, sides, max_names, others)
    entries = await asyncio.to_thread(lambda: [{entry.name: entry for entry in some} for some in loaded])
    return entries[:count], entries[count:]
