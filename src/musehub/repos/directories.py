"""Reads directories of one repository: one query for all nodes of a level, never one per name."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple

from muse.errors import CorruptStore
from muse.history.treediff import Change
from muse.objects.ids import Kind
from muse.objects.tree import DIRECTORY, Entry, Page, Tree, decode_tree
from musehub.repos.objects import ObjectReader

_NODES_AT_ONCE = 2_000
_DIRECTORIES_AT_ONCE = 200


class Totals(NamedTuple):
    """What a directory holds, everything below it included."""

    files: int
    size_bytes: int


async def load_nodes(reader: ObjectReader, ids: Iterable[bytes]) -> dict[bytes, Tree]:
    """Decode these tree nodes; each is read once."""
    wanted = list(dict.fromkeys(ids))
    found: dict[bytes, Tree] = {}
    for start in range(0, len(wanted), _NODES_AT_ONCE):
        part = await reader.load_many(Kind.TREE, wanted[start : start + _NODES_AT_ONCE])
        found |= await asyncio.to_thread(_decode, part)
    return found


def _decode(nodes: dict[bytes, bytes]) -> dict[bytes, Tree]:
    """A directory of 100,000 files takes 50 ms: not for the event loop."""
    return {node_id: decode_tree(data) for node_id, data in nodes.items()}


async def load_entries(reader: ObjectReader, tree_id: bytes) -> list[Entry]:
    """All entries of a directory by name; a directory of many pages costs a query for each level of them."""
    return (await _load_all_entries(reader, [[tree_id]]))[0]


async def load_totals(reader: ObjectReader, tree_id: bytes) -> Totals:
    """The totals of a directory; reads its root node only."""
    node = (await load_nodes(reader, [tree_id]))[tree_id]
    items: list[Entry] | list[Page] = node.pages if node.level else node.entries
    return Totals(sum(item.files for item in items), sum(item.size_bytes for item in items))


async def find_entry(reader: ObjectReader, root: bytes, path: str) -> Entry | None:
    """The entry at a slash path, None when there is none; the root itself has no entry."""
    tree_id = root
    parts = path.split("/")
    for depth, name in enumerate(parts):
        node = (await load_nodes(reader, [tree_id]))[tree_id]
        while node.level:
            position = bisect_left(node.pages, name, key=lambda page: page.last_name)
            if position == len(node.pages):
                return None
            page_id = node.pages[position].id
            node = (await load_nodes(reader, [page_id]))[page_id]
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
    reader: ObjectReader, old: bytes | None, new: bytes | None, limit: int
) -> tuple[list[Change], bool]:
    """The paths that differ, sorted, and whether there are more than `limit` of them.

    Equal directories, and pages that both sides share, are not read.
    """
    return (await diff_many_trees(reader, [(old, new)], limit))[0]


async def diff_many_trees(
    reader: ObjectReader, pairs: Sequence[tuple[bytes | None, bytes | None]], limit: int
) -> list[tuple[list[Change], bool]]:
    """What `diff_trees` says of each pair; one level of all of them costs as many queries as of one."""
    found: list[list[Change]] = [[] for _ in pairs]
    level: list[_Pair] = [(number, "", old, new) for number, (old, new) in enumerate(pairs)]
    while True:
        level = [item for item in level if item[2] != item[3] and len(found[item[0]]) <= limit]
        if not level:
            break
        befores, afters = await _load_differing(reader, [(old, new) for _number, _path, old, new in level])
        level = await asyncio.to_thread(_compare_level, level, befores, afters, found)
    for changes in found:
        changes.sort(key=lambda change: change.path)
    return [(changes[:limit], len(changes) > limit) for changes in found]


_Pair = tuple[int, str, bytes | None, bytes | None]
"""Which comparison, a path that ends with a slash, and the directory there before and after."""


def _compare_level(
    level: list[_Pair],
    befores: list[dict[str, Entry]],
    afters: list[dict[str, Entry]],
    found: list[list[Change]],
) -> list[_Pair]:
    """Add the files that differ to what was found; returns the directories to look into next."""
    below: list[_Pair] = []
    for (number, prefix, _old, _new), before, after in zip(level, befores, afters, strict=True):
        _compare(number, prefix, before, after, found[number], below)
    return below


async def iter_files(reader: ObjectReader, root: bytes) -> AsyncIterator[list[tuple[str, Entry]]]:
    """Everything below a directory that is no directory, in batches, as (path, entry); in no order."""
    waiting = [("", root)]
    while waiting:
        waiting, part = waiting[:-_DIRECTORIES_AT_ONCE], waiting[-_DIRECTORIES_AT_ONCE:]
        files: list[tuple[str, Entry]] = []
        for (prefix, _id), entries in zip(
            part, await _load_all_entries(reader, [[tree_id] for _prefix, tree_id in part]), strict=True
        ):
            for entry in entries:
                if entry.kind == DIRECTORY:
                    waiting.append((f"{prefix}{entry.name}/", entry.id))
                else:
                    files.append((prefix + entry.name, entry))
        yield files


def _compare(
    number: int,
    prefix: str,
    before: dict[str, Entry],
    after: dict[str, Entry],
    changes: list[Change],
    below: list[_Pair],
) -> None:
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        path = f"{prefix}{name}"
        old_tree = old.id if old is not None and old.kind == DIRECTORY else None
        new_tree = new.id if new is not None and new.kind == DIRECTORY else None
        if old_tree is not None or new_tree is not None:
            below.append((number, f"{path}/", old_tree, new_tree))
        old_file = old if old_tree is None else None
        new_file = new if new_tree is None else None
        if old_file != new_file:
            changes.append(Change(path, old_file, new_file))


async def _load_differing(
    reader: ObjectReader, pairs: list[tuple[bytes | None, bytes | None]]
) -> tuple[list[dict[str, Entry]], list[dict[str, Entry]]]:
    """For each pair of directories the entries of those pages that the other side lacks."""
    sides = [[old] if old is not None else [] for old, _new in pairs]
    sides += [[new] if new is not None else [] for _old, new in pairs]
    count = len(pairs)
    loaded = await _load_all_entries(reader, sides, [*range(count, 2 * count), *range(count)])
    entries = [{entry.name: entry for entry in some} for some in loaded]
    return entries[:count], entries[count:]


async def _load_all_entries(
    reader: ObjectReader, directories: list[list[bytes]], others: list[int] | None = None
) -> list[list[Entry]]:
    """The entries of several directories, each given as its nodes; a level of index nodes is one query.

    With `others`, the number of the directory that each is compared with, nodes which that one has, too, are
    left out.
    """
    leaves: list[list[bytes]] = [[] for _ in directories]
    found: dict[bytes, Tree] = {}
    open_nodes = directories
    while any(open_nodes):
        if others is not None:
            sets = [set(nodes) for nodes in open_nodes]
            open_nodes = [
                [node for node in nodes if node not in sets[other]]
                for nodes, other in zip(open_nodes, others, strict=True)
            ]
        ids = {node for nodes in open_nodes for node in nodes}
        found |= await load_nodes(reader, ids - found.keys())
        below: list[list[bytes]] = []
        for number, nodes in enumerate(open_nodes):
            leaves[number] += [node for node in nodes if found[node].level == 0]
            below.append([page.id for node in nodes for page in found[node].pages])
        open_nodes = below
    try:
        return [[entry for leaf in some for entry in found[leaf].entries] for some in leaves]
    except KeyError:
        raise CorruptStore("missing-object", "a page of a directory is not there") from None
