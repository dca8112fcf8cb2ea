"""What an object names: the edges of the object graph, for closure, negotiation and clean-up."""

from __future__ import annotations

from collections.abc import Iterator

from muse.objects.chunks import decode_chunks
from muse.objects.commit import decode_commit, decode_tag
from muse.objects.ids import Kind
from muse.objects.tree import BLOB_KINDS, CHUNKED_KINDS, DIRECTORY, Entry, decode_columns

KIND_OF_ENTRY = {
    **dict.fromkeys(BLOB_KINDS, Kind.BLOB),
    **dict.fromkeys(CHUNKED_KINDS, Kind.CHUNKS),
    DIRECTORY: Kind.TREE,
}
"""What each kind of tree entry names; a submodule names nothing here."""


def target_kind(entry: Entry) -> Kind | None:
    """Return the kind of the object that a tree entry names; None for a submodule."""
    return KIND_OF_ENTRY.get(entry.kind)


def iter_references(kind: Kind, data: bytes) -> Iterator[tuple[Kind, bytes]]:
    """Yield (kind, id) of everything the object names directly; raises `bad-object`, `bad-path`."""
    for target, ids in group_references(kind, data).items():
        for object_id in ids:
            yield target, object_id


def group_references(kind: Kind, data: bytes) -> dict[Kind, list[bytes]]:
    """Return the ids of everything the object names directly, by kind; raises `bad-object`, `bad-path`."""
    if kind is Kind.TREE:
        level, kinds, ids, _ = decode_columns(data)
        if level:
            return {Kind.TREE: ids}
        targets = {KIND_OF_ENTRY.get(entry_kind) for entry_kind in set(kinds)}
        groups: dict[Kind, list[bytes]] = {}
        for target in targets:
            if target is None:  # a submodule names nothing
                continue
            if len(targets) == 1:
                return {target: ids}
            groups[target] = [i for i, k in zip(ids, kinds, strict=True) if KIND_OF_ENTRY.get(k) is target]
        return groups
    if kind is Kind.COMMIT:
        commit = decode_commit(data)
        return {Kind.TREE: [commit.tree], Kind.COMMIT: list(commit.parents)}
    if kind is Kind.TAG:
        tag = decode_tag(data)
        return {tag.target_kind: [tag.target]}
    if kind is Kind.CHUNKS:
        node = decode_chunks(data)
        return {Kind.CHUNKS if node.level else Kind.BLOB: [chunk.id for chunk in node.chunks]}
    return {}
