"""Reads directories of one repository: one query for all nodes of a level, never one per name.

What was pushed may name one small directory a thousand times, and again on the next level: whoever follows
directories says how many at most, and what a tree claims of its own size is never believed.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from muse.errors import InvalidData, LimitReached
from muse.history.treediff import Change
from muse.objects.ids import Kind
from muse.objects.tree import DIRECTORY, MAX_LEVEL, Entry, Page, Tree, decode_tree
from musehub.repos.objects import ObjectReader

MAX_DEPTH = 256
"""Directories within one another that are followed; each costs a query, and no file system has more."""
MAX_NAMES = 1_200_000
"""Of one directory; decoded they take some 300 MB."""
NAMES_PER_DIRECTORY = 40
"""Whoever follows so many directories looks at so many names for each of them, on average."""
_NODES_AT_ONCE = 2_000
_NODE_BYTES_AT_ONCE = 32 << 20
_DIRECTORIES_AT_ONCE = 200
_NAMES_AT_ONCE = 250_000
_PATH_STEP = 64
"""A path counts as one more directory for each so many characters: they are what waiting takes up."""
_MAX_INTEGER = (1 << 63) - 1


class Totals(NamedTuple):
    """What a directory holds, everything below it included."""

    files: int
    size_bytes: int


class Difference(NamedTuple):
    """What differs; `has_more` if not everything was looked at or listed."""

    changes: list[Change]
    has_more: bool


async def load_nodes(
    reader: ObjectReader, ids: Iterable[bytes], max_names: int = MAX_NAMES
) -> dict[bytes, Tree]:
    """Decode these tree nodes; each is read once. Raises LimitReached when they have more names than that."""
    wanted = dict.fromkeys(ids)
    found: dict[bytes, Tree] = {}
    names = 0
    while wanted:
        some = list(islice(wanted, _NODES_AT_ONCE))
        part = await asyncio.to_thread(
            _decode, await reader.load_many(Kind.TREE, some, max_bytes=_NODE_BYTES_AT_ONCE)
        )
        found |= part
        for node_id, node in part.items():
            del wanted[node_id]
            names += len(node.entries) + len(node.pages)
        if names > max_names:
            raise _too_large("a directory has more names than this hub looks at")
    return found


def _decode(nodes: dict[bytes, bytes]) -> dict[bytes, Tree]:
    """A directory of 100,000 files takes 50 ms: not for the event loop."""
    return {node_id: decode_tree(data) for node_id, data in nodes.items()}


async def load_entries(reader: ObjectReader, tree_id: bytes) -> list[Entry]:
    """All entries of a directory by name; a directory of many pages costs a query for each level of them."""
    return (await _load_all_entries(reader, [[tree_id]], MAX_NAMES))[0]


async def load_totals(reader: ObjectReader, tree_id: bytes) -> Totals:
    """What a directory says of itself; reads its root node only. A forged one may say anything."""
    node = (await load_nodes(reader, [tree_id]))[tree_id]
    items: list[Entry] | list[Page] = node.pages if node.level else node.entries
    files, size_bytes = sum(item.files for item in items), sum(item.size_bytes for item in items)
    return Totals(min(files, _MAX_INTEGER), min(size_bytes, _MAX_INTEGER))


async def find_entry(reader: ObjectReader, root: bytes, path: str) -> Entry | None:
    """The entry at a slash path, None when there is none; the root itself has no entry.

    Raises LimitReached("too-large") for a path of too many parts.
    """
    tree_id = root
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        raise _too_large(f"a path has more than {MAX_DEPTH} parts")
    for depth, name in enumerate(parts):
        node = (await load_nodes(reader, [tree_id]))[tree_id]
        while node.level:
            position = bisect_left(node.pages, name, key=lambda page: page.last_name)
            if position == len(node.pages):
                return None
            page_id, level = node.pages[position].id, node.level
            node = (await load_nodes(reader, [page_id]))[page_id]
            if node.level != level - 1:
                raise _bad_pages()
        position = bisect_left(node.entries, name, key=lambda entry: entry.name)
        if position == len(node.entries) or node.entries[position].name != name:
            return None
        entry = node.entries[position]
        if depth == len(parts) - 1:
            return entry
        if entry.kind != DIRECTORY:
            return None
        tree_id = entry.id
    return None


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
    at_once, start = _DIRECTORIES_AT_ONCE, 0
    while start < len(level):
        part = [
            item
            for item in level[start : start + at_once]
            if item[2] != item[3] and not found[item[0]].is_over
        ]
        max_names = _NAMES_AT_ONCE if len(part) > 1 else MAX_NAMES
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


async def iter_files(
    reader: ObjectReader, root: bytes, max_directories: int
) -> AsyncIterator[list[tuple[str, Entry]]]:
    """Everything below a directory that is no directory, in batches, as (path, entry); in no order.

    Raises LimitReached("too-large") when there is more than `max_directories` allows.
    """
    waiting = [("", root)]
    at_once, left, names_left = _DIRECTORIES_AT_ONCE, max_directories, max_directories * NAMES_PER_DIRECTORY
    while waiting:
        part = waiting[-at_once:]
        max_names = _NAMES_AT_ONCE if len(part) > 1 else MAX_NAMES
        try:
            loaded = await _load_all_entries(reader, [[tree_id] for _prefix, tree_id in part], max_names)
        except LimitReached:
            if len(part) == 1:
                raise
            at_once = max(1, len(part) // 8)
            continue
        del waiting[-len(part) :]
        files, below = await asyncio.to_thread(_split, part, loaded)
        waiting += below
        names_left -= len(files) + len(below)
        left -= sum(_cost(path) for path, _tree_id in below)
        if left < 0 or names_left < 0:
            raise _too_large("there are more directories than this hub looks into")
        if any(path.count("/") >= MAX_DEPTH for path, _tree_id in below):
            raise _too_large(f"directories are nested more than {MAX_DEPTH} deep")
        yield files


def _split(
    part: list[tuple[str, bytes]], loaded: list[list[Entry]]
) -> tuple[list[tuple[str, Entry]], list[tuple[str, bytes]]]:
    files: list[tuple[str, Entry]] = []
    below: list[tuple[str, bytes]] = []
    for (prefix, _id), entries in zip(part, loaded, strict=True):
        for entry in entries:
            if entry.kind == DIRECTORY:
                below.append((f"{prefix}{entry.name}/", entry.id))
            else:
                files.append((prefix + entry.name, entry))
    return files, below


def _cost(path: str) -> int:
    return 1 + len(path) // _PATH_STEP


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
            found.directories_left -= _cost(path)
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
    loaded = await _load_all_entries(reader, sides, max_names, others)
    entries = await asyncio.to_thread(lambda: [{entry.name: entry for entry in some} for some in loaded])
    return entries[:count], entries[count:]


async def _load_all_entries(
    reader: ObjectReader, directories: list[list[bytes]], max_names: int, others: list[int] | None = None
) -> list[list[Entry]]:
    """The entries of several directories, each given as its nodes; a level of index nodes is one query.

    With `others`, the number of the directory that each is compared with, nodes which that one has, too, are
    left out. Raises LimitReached when all of them have more than `max_names` names.
    """
    leaves: list[list[bytes]] = [[] for _ in directories]
    found: dict[bytes, Tree] = {}
    open_nodes = directories
    names = 0
    for _level in range(MAX_LEVEL + 1):
        if not any(open_nodes):
            break
        if others is not None:
            sets = [set(nodes) for nodes in open_nodes]
            open_nodes = [
                [node for node in nodes if node not in sets[other]]
                for nodes, other in zip(open_nodes, others, strict=True)
            ]
        ids = {node for nodes in open_nodes for node in nodes}
        found |= await load_nodes(reader, ids - found.keys(), max_names)
        below: list[list[bytes]] = []
        for number, nodes in enumerate(open_nodes):
            names += sum(len(found[node].entries) + len(found[node].pages) for node in nodes)
            if names > max_names:
                raise _too_large("a directory has more names than this hub looks at")
            leaves[number] += [node for node in nodes if found[node].level == 0]
            below.append([page.id for node in nodes for page in found[node].pages])
        open_nodes = below
    if any(open_nodes):
        raise _bad_pages()
    return await asyncio.to_thread(
        lambda: [[entry for leaf in some for entry in found[leaf].entries] for some in leaves]
    )


def _too_large(message: str) -> LimitReached:
    return LimitReached("too-large", message, hint="clone the repository instead")


def _bad_pages() -> InvalidData:
    return InvalidData("bad-object", "a page of a directory is of another level than its place")
