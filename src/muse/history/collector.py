"""Collects what trees reach and was not seen before, children first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from muse.history.directory import Load, Nodes
from muse.objects.chunks import decode_chunks
from muse.objects.ids import Kind
from muse.objects.references import target_kind
from muse.objects.tree import BLOB_KINDS, CHUNKED_KINDS, DIRECTORY, PAGE, Entry, read_changed_ids, read_ids

Loaded = tuple[bytes, bytes, bytes | None, bytes | None]
LoadMany = Callable[[Kind, Collection[bytes]], Iterable[Loaded]]
"""Returns (id, bytes) of many objects in any order, each with (id, bytes) of an object that it resembles or
with None; raises when one is not there."""

_BLOBS = "".join(sorted(BLOB_KINDS)).encode()
_LISTS = "".join(sorted(CHUNKED_KINDS)).encode()
_TREES = (DIRECTORY + PAGE).encode()


class Collector:
    """Collects what is new; one set of seen ids per kind, since most look-ups answer "seen"."""

    def __init__(self, load: Load, load_many: LoadMany) -> None:
        self._load = load
        self._load_many = load_many
        self._ahead: dict[bytes, Sequence[bytes]] = {}
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

    def read_ahead(self, tree_ids: Iterable[bytes]) -> None:
        """Read trees and everything new below them, level by level, and add the files that they name.

        What was read ahead before is dropped.
        """
        ahead: dict[bytes, Sequence[bytes]] = {}
        trees: Sequence[bytes]
        wave: Collection[bytes] = {tree_id for tree_id in tree_ids if tree_id not in self._trees}
        while wave:
            below: set[bytes] = set()
            for tree_id, data, base, base_data in self._load_many(Kind.TREE, wave):
                if base_data is not None and (base in self._trees or (base in ahead and not ahead[base])):
                    # All that the base names was found. Trees that it names and that were not visited
                    # yet would have to be visited before this one, and might contain it.
                    trees = self._read_names(*read_changed_ids(data, base_data))
                else:
                    trees = self._read_names(*read_ids(data))
                ahead[tree_id] = trees
                below.update(trees)
            wave = below.difference(ahead)
        self._ahead = ahead

    def _read_names(self, kinds: bytes, ids: Sequence[bytes]) -> Sequence[bytes]:
        """Add what a tree names, and return the trees among that which were not seen before."""
        if not kinds.strip(_BLOBS):
            self._add_blobs(ids)
            return ()
        seen = self._trees
        if not kinds.strip(_TREES):
            return [one for one in ids if one not in seen]
        pairs = list(zip(kinds, ids, strict=True))
        self._add_blobs([one for kind, one in pairs if kind in _BLOBS])
        for kind, root in pairs:
            if kind in _LISTS:
                self._visit_chunks(root, [])
        return [one for kind, one in pairs if kind in _TREES and one not in seen]

    def _add_blobs(self, ids: Sequence[bytes]) -> None:
        seen = self._blobs
        new = [one for one in ids if one not in seen]
        if new:
            seen.update(new)
            self.blobs += new if len(new) == 1 else dict.fromkeys(new)

    def _visit_new(self, tree_id: bytes) -> None:
        """Visit a directory, or a node of one, that nothing old stands beside: only kinds and ids matter."""
        if tree_id not in self._ahead:
            self.read_ahead([tree_id])
        seen, ahead = self._trees, self._ahead
        seen.add(tree_id)
        stack = [(tree_id, iter(ahead[tree_id]))]
        while stack:
            for below in stack[-1][1]:
                if below not in seen:
                    seen.add(below)
                    stack.append((below, iter(ahead[below])))
                    break
            else:
                self.metadata.append((Kind.TREE, stack.pop()[0]))

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
