"""Reads directories of one repository: one query for all nodes of a level, never one per name.

What was pushed may name one small directory a thousand times, and again on the next level: whoever follows
directories says how many at most, and what a tree claims of its own size is never believed.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import NamedTuple

from muse.errors import InvalidData, LimitReached
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
DIRECTORIES_AT_ONCE = 200
NAMES_AT_ONCE = 250_000
_PATH_STEP = 64
"""A path counts as one more directory for each so many characters: they are what waiting takes up."""
_MAX_INTEGER = (1 << 63) - 1


class Totals(NamedTuple):
    """What a directory holds, everything below it included."""

    files: int
    size_bytes: int


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
    return (await load_all_entries(reader, [[tree_id]], MAX_NAMES))[0]


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


async def iter_files(
    reader: ObjectReader, root: bytes, max_directories: int
) -> AsyncIterator[list[tuple[str, Entry]]]:
    """Everything below a directory that is no directory, in batches, as (path, entry); in no order.

    Raises LimitReached("too-large") when there is more than `max_directories` allows.
    """
    waiting = [("", root)]
    at_once, left, names_left = DIRECTORIES_AT_ONCE, max_directories, max_directories * NAMES_PER_DIRECTORY
    while waiting:
        part = waiting[-at_once:]
        max_names = NAMES_AT_ONCE if len(part) > 1 else MAX_NAMES
        try:
            loaded = await load_all_entries(reader, [[tree_id] for _prefix, tree_id in part], max_names)
        except LimitReached:
            if len(part) == 1:
                raise
            at_once = max(1, len(part) // 8)
            continue
        del waiting[-len(part) :]
        files, below = await asyncio.to_thread(_split, part, loaded)
        waiting += below
        names_left -= len(files) + len(below)
        left -= sum(count_cost(path) for path, _tree_id in below)
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


def count_cost(path: str) -> int:
    """As how many directories one counts that waits to be looked into."""
    return 1 + len(path) // _PATH_STEP


async def load_all_entries(
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
