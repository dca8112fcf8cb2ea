"""One directory: read, build and edit it, whatever number of pages it has (docs/formats/objects.md,
"Pages")."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from muse.errors import InvalidData
from muse.objects.ids import Kind
from muse.objects.paging import SMALL_DIRECTORY, ends_page, split_pages
from muse.objects.tree import (
    DIRECTORY,
    Entry,
    Page,
    Tree,
    decode_tree,
    encode_entries,
    encode_pages,
)

Load = Callable[[Kind, bytes], bytes]
"""Returns the bytes of an object, or raises when there is none."""

Put = Callable[[Kind, bytes, bytes | None], bytes]
"""Stores an object and returns its id; the last argument is the id of a similar object, or None."""


class Directory(NamedTuple):
    """A stored directory: the id of its root node and totals of everything below it."""

    id: bytes
    size_bytes: int
    files: int
    entries: int

    def as_entry(self, name: str) -> Entry:
        return Entry(name, DIRECTORY, self.id, self.size_bytes, self.files)


class Nodes:
    """The pages of a directory: reads its index nodes (1 % of it), and leaves only when asked.

    `leaves` are all pages in order; `levels[k]` are the index nodes of level k + 1 as pages, the root last.
    """

    def __init__(self, load: Load, tree_id: bytes) -> None:
        self._load = load
        root = decode_tree(load(Kind.TREE, tree_id))
        self._root = root
        self.levels: list[list[Page]] = []
        self.leaves: list[Page] = []
        if root.level == 0:
            self.leaves = [_page(tree_id, root.entries)] if root.entries else []
            return
        pages = root.pages
        upper: list[list[Page]] = [[_index_page(tree_id, pages)]]
        for level in range(root.level - 1, 0, -1):
            upper.append(pages)
            pages = [page for node in pages for page in self._node(node, level).pages]
        self.leaves = pages
        self.levels = upper[::-1]

    def _node(self, page: Page, level: int) -> Tree:
        node = decode_tree(self._load(Kind.TREE, page.id))
        items: list[Entry] | list[Page] = node.pages if level else node.entries
        if node.level != level or not items or _name_of(items[-1]) != page.last_name:
            raise InvalidData("bad-object", "a page of a directory is not what its index says")
        return node

    def entries(self, leaf: Page) -> list[Entry]:
        """Read one of `leaves`."""
        return self._root.entries if self._root.level == 0 else self._node(leaf, 0).entries

    def find_leaf(self, name: str) -> Page | None:
        """Return the page that holds `name` if the directory does."""
        position = bisect_left(self.leaves, name, key=_name_of)
        return self.leaves[position] if position < len(self.leaves) else None

    def find_base(self, level: int, last_name: str) -> bytes | None:
        """Return the node of `level` that a new node ending in `last_name` most resembles."""
        nodes = self.leaves if level == 0 else self.levels[level - 1] if level <= len(self.levels) else []
        position = bisect_left(nodes, last_name, key=_name_of)
        return nodes[min(position, len(nodes) - 1)].id if nodes else None


def _name_of(item: Entry | Page) -> str:
    return item[0]


def _page(node_id: bytes, entries: list[Entry]) -> Page:
    return Page(
        entries[-1].name,
        node_id,
        sum(entry.size_bytes for entry in entries),
        sum(entry.files for entry in entries),
        len(entries),
    )


def _index_page(node_id: bytes, pages: list[Page]) -> Page:
    return Page(
        pages[-1].last_name,
        node_id,
        sum(page.size_bytes for page in pages),
        sum(page.files for page in pages),
        sum(page.entries for page in pages),
    )


def build_directory(entries: list[Entry], put: Put, old: Nodes | None = None) -> Directory:
    """Store a directory with these entries, sorted by name; `old` is its previous version, for deltas.

    The same entries give the same id whatever was there before. The empty directory has an id, too.
    """
    if len(entries) <= SMALL_DIRECTORY:
        base = old.find_base(0, entries[-1].name) if old is not None and entries else None
        root = put(Kind.TREE, encode_entries(entries), base)
        size_bytes = sum(entry.size_bytes for entry in entries)
        return Directory(root, size_bytes, sum(entry.files for entry in entries), len(entries))
    return _build_index([_put_leaf(page, put, old) for page in split_pages(entries, 0, _name_of)], put, old)


def _put_leaf(entries: list[Entry], put: Put, old: Nodes | None) -> Page:
    base = old.find_base(0, entries[-1].name) if old is not None else None
    return _page(put(Kind.TREE, encode_entries(entries), base), entries)


def _build_index(pages: list[Page], put: Put, old: Nodes | None) -> Directory:
    level = 1
    while len(pages) > 1:
        nodes = []
        for node in split_pages(pages, level, _name_of):
            base = old.find_base(level, node[-1].last_name) if old is not None else None
            nodes.append(_index_page(put(Kind.TREE, encode_pages(level, node), base), node))
        pages = nodes
        level += 1
    root = pages[0]
    return Directory(root.id, root.size_bytes, root.files, root.entries)


def _apply(entries: Iterable[Entry], changes: Mapping[str, Entry | None]) -> list[Entry]:
    by_name = {entry.name: entry for entry in entries}
    for name, entry in changes.items():
        if entry is None:
            by_name.pop(name, None)
        else:
            by_name[name] = entry._replace(name=name)
    return [by_name[name] for name in sorted(by_name)]


def edit_directory(
    load: Load, tree_id: bytes | None, changes: Mapping[str, Entry | None], put: Put
) -> Directory:
    """Store the directory that `tree_id` becomes when `changes` are applied; None removes a name.

    Reads and writes the index nodes and the pages that hold a changed name; equals `build_directory` of the
    result.
    """
    if tree_id is None:
        return build_directory(_apply((), changes), put)
    old = Nodes(load, tree_id)
    if not old.levels:
        entries = old.entries(old.leaves[0]) if old.leaves else []
        return build_directory(_apply(entries, changes), put, old)
    by_leaf: dict[int, dict[str, Entry | None]] = {}
    for name, entry in changes.items():
        position = min(bisect_left(old.leaves, name, key=_name_of), len(old.leaves) - 1)
        by_leaf.setdefault(position, {})[name] = entry
    pages: list[Page] = []
    run: list[Entry] = []
    for position, leaf in enumerate(old.leaves):
        if position not in by_leaf and not run:
            pages.append(leaf)
            continue
        run += _apply(old.entries(leaf), by_leaf.get(position, {}))
        pieces = list(split_pages(run, 0, _name_of))
        # What does not end at a cut goes on into the next page.
        run = pieces.pop() if pieces and not ends_page(pieces[-1][-1].name, 0) else []
        pages += [_put_leaf(piece, put, old) for piece in pieces]
    if run:
        pages.append(_put_leaf(run, put, old))
    if sum(page.entries for page in pages) <= SMALL_DIRECTORY:
        return build_directory(_apply(iter_entries(load, tree_id), changes), put, old)
    return _build_index(pages, put, old)


def iter_entries(load: Load, tree_id: bytes) -> Iterator[Entry]:
    """Yield all entries of a directory in order of their names, page by page."""
    nodes = Nodes(load, tree_id)
    for leaf in nodes.leaves:
        yield from nodes.entries(leaf)


def find_entries(load: Load, tree_id: bytes, names: Iterable[str]) -> dict[str, Entry]:
    """Return those of `names` that the directory has; reads each page it needs once."""
    nodes = Nodes(load, tree_id)
    wanted: dict[Page, set[str]] = {}
    for name in names:
        leaf = nodes.find_leaf(name)
        if leaf is not None:
            wanted.setdefault(leaf, set()).add(name)
    return {
        entry.name: entry
        for leaf, some in wanted.items()
        for entry in nodes.entries(leaf)
        if entry.name in some
    }


def find_entry(load: Load, tree_id: bytes, name: str) -> Entry | None:
    return find_entries(load, tree_id, (name,)).get(name)
