"""What somebody lacks who has some commits and wants others: the plan of a push or a fetch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from muse.history.directory import Load, Nodes
from muse.history.walk import Graph, iter_commits
from muse.objects.chunks import decode_chunks
from muse.objects.ids import Kind
from muse.objects.references import target_kind
from muse.objects.tree import DIRECTORY, Entry


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
    return NewObjects([node.id for node in nodes], search.metadata, search.blobs, search.had)


class _Search:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._seen: set[tuple[Kind, bytes]] = set()
        self.metadata: list[tuple[Kind, bytes]] = []
        self.blobs: list[bytes] = []
        self.had: set[tuple[Kind, bytes]] = set()

    def _is_new(self, kind: Kind, object_id: bytes) -> bool:
        key = (kind, object_id)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _note_had(self, keys: Iterable[tuple[Kind, bytes]]) -> None:
        """Note what parents have: what is not new among it is in the `haves`."""
        self.had.update(key for key in keys if key not in self._seen)

    def visit_directory(self, tree_id: bytes, old_ids: list[bytes]) -> None:
        if tree_id in old_ids or (Kind.TREE, tree_id) in self._seen:
            return
        nodes = Nodes(self._load, tree_id)
        olds = [Nodes(self._load, old) for old in old_ids]
        known = {page.id for old in olds for level in (old.leaves, *old.levels) for page in level}
        self._note_had((Kind.TREE, page) for page in known)
        before = _entries_gone(nodes, olds)
        beside = {(target_kind(entry), entry.id) for entries in before.values() for entry in entries}
        for leaf in nodes.leaves:
            if leaf.id in known or (Kind.TREE, leaf.id) in self._seen:
                continue
            for entry in nodes.entries(leaf):
                if (target_kind(entry), entry.id) not in beside:
                    self._visit_entry(entry, before.get(entry.name, []))
            self._add_tree(leaf.id)
        for level in nodes.levels:
            for page in level:
                if page.id not in known:
                    self._add_tree(page.id)
        if not nodes.leaves:
            self._add_tree(tree_id)

    def _add_tree(self, tree_id: bytes) -> None:
        if self._is_new(Kind.TREE, tree_id):
            self.metadata.append((Kind.TREE, tree_id))

    def _visit_entry(self, entry: Entry, before: list[Entry]) -> None:
        kind = target_kind(entry)
        if entry.kind == DIRECTORY:
            self.visit_directory(entry.id, [old.id for old in before if old.kind == DIRECTORY])
        elif kind is Kind.CHUNKS:
            self._visit_chunks(entry.id, [old.id for old in before if target_kind(old) is Kind.CHUNKS])
        elif kind is Kind.BLOB and self._is_new(Kind.BLOB, entry.id):
            self._note_had((Kind.BLOB, old.id) for old in before if target_kind(old) is Kind.BLOB)
            self.blobs.append(entry.id)

    def _visit_chunks(self, root: bytes, old_roots: list[bytes]) -> None:
        known = {key for old in old_roots for key in ((Kind.CHUNKS, old), *self._iter_chunk_keys(old))}
        self._note_had(key for key in known if key[0] is Kind.CHUNKS)
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
        if (Kind.CHUNKS, node_id) in known or not self._is_new(Kind.CHUNKS, node_id):
            return
        node = decode_chunks(self._load(Kind.CHUNKS, node_id))
        for chunk in node.chunks:
            if node.level:
                self._visit_chunk_node(chunk.id, known)
            elif (Kind.BLOB, chunk.id) not in known and self._is_new(Kind.BLOB, chunk.id):
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
