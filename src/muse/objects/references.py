"""What an object names: the edges of the object graph, for closure, negotiation and clean-up."""

from __future__ import annotations

from collections.abc import Iterator

from muse.objects.chunks import decode_chunks
from muse.objects.commit import decode_commit, decode_tag
from muse.objects.ids import Kind
from muse.objects.tree import BLOB_KINDS, CHUNKED_KINDS, DIRECTORY, Entry, decode_tree

_KIND_OF = {
    **dict.fromkeys(BLOB_KINDS, Kind.BLOB),
    **dict.fromkeys(CHUNKED_KINDS, Kind.CHUNKS),
    DIRECTORY: Kind.TREE,
}


def target_kind(entry: Entry) -> Kind | None:
    """Return the kind of the object that a tree entry names; None for a submodule."""
    return _KIND_OF.get(entry.kind)


def iter_references(kind: Kind, data: bytes) -> Iterator[tuple[Kind, bytes]]:
    """Yield (kind, id) of everything the object names directly; raises `bad-object`, `bad-path`."""
    if kind is Kind.TREE:
        tree = decode_tree(data)
        for page in tree.pages:
            yield Kind.TREE, page.id
        for entry in tree.entries:
            target = _KIND_OF.get(entry.kind)
            if target is not None:
                yield target, entry.id
    elif kind is Kind.COMMIT:
        commit = decode_commit(data)
        yield Kind.TREE, commit.tree
        for parent in commit.parents:
            yield Kind.COMMIT, parent
    elif kind is Kind.TAG:
        tag = decode_tag(data)
        yield tag.target_kind, tag.target
    elif kind is Kind.CHUNKS:
        node = decode_chunks(data)
        for chunk in node.chunks:
            yield (Kind.CHUNKS if node.level else Kind.BLOB), chunk.id
