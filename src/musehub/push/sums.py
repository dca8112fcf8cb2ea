"""Checks the sizes and counts that trees give, where what they are about came with the same push.

Those of blobs are always checked: `Recorder` looks up the sizes of blobs that were recorded before. Totals of
a directory, chunk list or page that is recorded already are believed: whoever sent it sent its parent, too.
"""

from __future__ import annotations

from typing import NamedTuple

from muse.errors import InvalidData
from muse.objects.chunks import ChunkList
from muse.objects.tree import BLOB_KINDS, CHUNKED_KINDS, DIRECTORY, Tree, decode_tree, read_numbers

MAX_TOTAL = 1 << 63
"""Databases and many readers of JSON count no further."""


class _Node(NamedTuple):
    """What a tree adds up to; `first` and `last` are names, `entries` counts them through all pages."""

    level: int
    size_bytes: int
    files: int
    entries: int
    first: str
    last: str


class Sums:
    """What the objects of one push add up to."""

    def __init__(self) -> None:
        self.blobs: dict[bytes, int] = {}
        self._chunks: dict[bytes, int] = {}
        self._trees: dict[bytes, _Node] = {}

    def clear(self) -> None:
        self.blobs.clear()
        self._chunks.clear()
        self._trees.clear()

    def check_blobs(self, claims: set[tuple[bytes, int]]) -> None:
        """Raise `bad-object` unless all these blobs have these sizes; none may be unknown."""
        for object_id, size_bytes in claims - self.blobs.items():
            raise InvalidData(
                "bad-object",
                f"a tree or chunk list says that blob {object_id.hex()} has {size_bytes} bytes, "
                f"it has {self.blobs[object_id]}",
            )

    def add_chunks(self, object_id: bytes, node: ChunkList, claims: set[tuple[bytes, int]]) -> None:
        if node.level:
            for size_bytes, child in node.chunks:
                if self._chunks.get(child, size_bytes) != size_bytes:
                    raise _wrong("chunk list", object_id)
        else:
            claims.update((child, size_bytes) for size_bytes, child in node.chunks)
        self._chunks[object_id] = node.size_bytes

    def add_tree(self, object_id: bytes, data: bytes, claims: set[tuple[bytes, int]]) -> None:
        """Check a validated node; raises `bad-object`, and adds to `claims` what it says of blobs."""
        level, kinds, ids, names, sizes, files = read_numbers(data)
        size_bytes, count = sum(sizes), sum(files)
        if size_bytes >= MAX_TOTAL or count >= MAX_TOTAL:
            raise _wrong("tree", object_id)
        if BLOB_KINDS.issuperset(kinds) and not level:
            if count != len(ids) or (files and max(files) > 1):
                raise _wrong("tree", object_id)
            claims.update(zip(ids, sizes, strict=True))
            entries = len(ids)
        elif level:
            entries = self._check_pages(object_id, decode_tree(data))
        else:
            entries = len(ids)
            for kind, child, size, below in zip(kinds, ids, sizes, files, strict=True):
                self._check_entry(object_id, kind, child, size, below)
                if kind in BLOB_KINDS:
                    claims.add((child, size))
        first, last = (names[0], names[-1]) if names else ("", "")
        if level and (page := self._trees.get(ids[0])) is not None:
            first = page.first
        self._trees[object_id] = _Node(level, size_bytes, count, entries, first, last)

    def _check_entry(self, object_id: bytes, kind: str, child: bytes, size: int, files: int) -> None:
        if kind == DIRECTORY:
            node = self._trees.get(child)
            if node is not None and (node.size_bytes, node.files) != (size, files):
                raise _wrong("tree", object_id)
        elif files != 1 or (kind in CHUNKED_KINDS and self._chunks.get(child, size) != size):
            raise _wrong("tree", object_id)

    def _check_pages(self, object_id: bytes, tree: Tree) -> int:
        before = ""
        for page in tree.pages:
            node = self._trees.get(page.id)
            if node is not None:
                found = (node.level + 1, node.size_bytes, node.files, node.entries, node.last)
                told = (tree.level, page.size_bytes, page.files, page.entries, page.last_name)
                if found != told or node.first <= before:
                    raise _wrong("tree", object_id)
            before = page.last_name
        return sum(page.entries for page in tree.pages)


def _wrong(what: str, object_id: bytes) -> InvalidData:
    return InvalidData(
        "bad-object", f"{what} {object_id.hex()} gives sizes, counts or pages that what it names has not"
    )
