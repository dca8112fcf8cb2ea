"""What somebody lacks who has some commits and wants others: the plan of a push or a fetch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from muse.history.directory import Load, Nodes
from muse.history.walk import Graph, iter_commits
from muse.objects.chunks import decode_chunks
from muse.objects.ids import Kind
from muse.objects.references import target_kind
from muse.objects.tree import BLOB_KINDS, CHUNKED_KINDS, DIRECTORY, PAGE, Entry, read_columns


class NewObjects(NamedTuple):
    """Objects in an order in which each may be checked against those before it.

    `metadata` are trees and chunk lists, children first; `commits` parents first. Blobs may come in any order
    before them. `had` are objects of the `haves` that stood where a new one stands now: the other side may be
    sent differences from these.
    """

    commits: list[bytes]
    metadata: list[tuple[Kind, bytes]]
    blobs: list[bytes]
    had: set[tuple[Kind, bytes]]


def find_new_objects(
    load: Load, graph: Graph, wants: Iterable[bytes], haves: Iterable[bytes] = ()
) -> NewObjects:
    """Return every object that `wants` reach and `haves` do not, each once.

    Compares each commit with its parents, so the cost is what changed. An object that the `haves` hold
    somewhere else than beside the change (a copy, a reverted edit) is listed again: harmless, and a set query
    removes it where it matters. Memory: about 200 bytes per object listed.
    """
    haves = list(haves)
    nodes = list(iter_commits(graph, wants, haves))
    nodes.reverse()
    search = _Search(load)
    for node in nodes:
        parent_trees = [graph(parent).tree for parent in node.parents] if haves else []
        search.visit_directory(node.tree, parent_trees)
    return NewObjects([node.id for node in nodes], search.metadata, search.blobs, search.find_had())


class _Search:
    """Collects what is new; one set of seen ids per kind, since most look-ups answer "seen"."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._trees: set[bytes] = set()
        self._lists: set[bytes] = set()
        self._blobs: set[bytes] = set()
        self.metadata: list[tuple[Kind, bytes]] = []
        self.blobs: list[bytes] = []
        self._beside: set[tuple[Kind, bytes]] = set()

    def find_had(self) -> set[tuple[Kind, bytes]]:
        """Return what stood beside something new and is not new itself, so the `haves` hold it."""
        new = {Kind.TREE: self._trees, Kind.CHUNKS: self._lists, Kind.BLOB: self._blobs}
        return {(kind, object_id) for kind, object_id in self._beside if object_id not in new[kind]}

    def visit_directory(self, tree_id: bytes, old_ids: list[bytes]) -> None:
        if tree_id in old_ids or tree_id in self._trees:
            return
        if not old_ids:
            self._visit_new(tree_id)
            return
        nodes = Nodes(self._load, tree_id)
        olds = [Nodes(self._load, old) for old in old_ids]
        known = {page.id for old in olds for level in (old.leaves, *old.levels) for page in level}
        before = _entries_gone(nodes, olds)
        beside = {
            (kind, entry.id)
            for entries in before.values()
            for entry in entries
            if (kind := target_kind(entry)) is not None
        }
        self._beside |= beside
        self._beside.update((Kind.TREE, page_id) for page_id in known)
        for leaf in nodes.leaves:
            if leaf.id not in known and leaf.id not in self._trees:
                entries = nodes.entries(leaf)
                if beside:
                    entries = [entry for entry in entries if (target_kind(entry), entry.id) not in beside]
                self._visit_entries(entries, before)
                self._add_tree(leaf.id)
        for level in nodes.levels:
            for page in level:
                if page.id not in known:
                    self._add_tree(page.id)
        if not nodes.leaves:
            self._add_tree(tree_id)

    def _visit_new(self, tree_id: bytes) -> None:
        """Visit a directory, or a node of one, that nothing old stands beside: only kinds and ids matter."""
        trees, blobs = self._trees, self._blobs
        _, kinds, ids, _ = read_columns(self._load(Kind.TREE, tree_id))
        for kind, object_id in zip(kinds, ids, strict=True):
            if kind in BLOB_KINDS:
                if object_id not in blobs:
                    blobs.add(object_id)
                    self.blobs.append(object_id)
            elif kind in (DIRECTORY, PAGE):
                if object_id not in trees:
                    self._visit_new(object_id)
            elif kind in CHUNKED_KINDS:
                self._visit_chunks(object_id, [])
        self._add_tree(tree_id)

    def _add_tree(self, tree_id: bytes) -> None:
        if tree_id not in self._trees:
            self._trees.add(tree_id)
            self.metadata.append((Kind.TREE, tree_id))

    def _visit_entries(self, entries: list[Entry], before: dict[str, list[Entry]]) -> None:
        trees, blobs = self._trees, self._blobs
        for entry in entries:
            kind = entry.kind
            if kind in BLOB_KINDS:
                if entry.id not in blobs:
                    blobs.add(entry.id)
                    self.blobs.append(entry.id)
            elif kind == DIRECTORY:
                if entry.id not in trees:
                    olds = before.get(entry.name, ())
                    self.visit_directory(entry.id, [old.id for old in olds if old.kind == DIRECTORY])
            elif kind in CHUNKED_KINDS:
                olds = before.get(entry.name, ())
                self._visit_chunks(entry.id, [old.id for old in olds if old.kind in CHUNKED_KINDS])

    def _visit_chunks(self, root: bytes, old_roots: list[bytes]) -> None:
        known = {key for old in old_roots for key in ((Kind.CHUNKS, old), *self._iter_chunk_keys(old))}
        self._beside |= known
        self._visit_chunk_node(root, known)

    def _iter_chunk_keys(self, root: bytes) -> list[tuple[Kind, bytes]]:
        node = decode_chunks(self._load(Kind.CHUNKS, root))
        if node.level == 0:
            return [(Kind.BLOB, chunk.id) for chunk in node.chunks]
        return [
            key
            for chunk in node.chunks
            for key in ((Kind.CHUNKS, chunk.id), *self._iter_chunk_keys(chunk.id))
        ]

    def _visit_chunk_node(self, node_id: bytes, known: set[tuple[Kind, bytes]]) -> None:
        if node_id in self._lists or (Kind.CHUNKS, node_id) in known:
            return
        self._lists.add(node_id)
        node = decode_chunks(self._load(Kind.CHUNKS, node_id))
        for chunk in node.chunks:
            if node.level:
                self._visit_chunk_node(chunk.id, known)
            elif chunk.id not in self._blobs and (Kind.BLOB, chunk.id) not in known:
                self._blobs.add(chunk.id)
                self.blobs.append(chunk.id)
        self.metadata.append((Kind.CHUNKS, node_id))


def _entries_gone(nodes: Nodes, olds: list[Nodes]) -> dict[str, list[Entry]]:
    """Return, by name, the old entries of the pages that `nodes` no longer has."""
    kept = {leaf.id for leaf in nodes.leaves}
    gone: dict[str, list[Entry]] = {}
    for old in olds:
        for leaf in old.leaves:
            if leaf.id not in kept:
                for entry in old.entries(leaf):
                    gone.setdefault(entry.name, []).append(entry)
    return gone
