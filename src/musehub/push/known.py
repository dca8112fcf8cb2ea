"""What a push knows of objects: none is looked up twice, and what trees say of sizes and counts is checked.

Sizes of blobs are always checked: `closure.py` looks up those of blobs that were recorded before. Totals of a
directory, chunk list or page that is recorded already are believed: whoever sent it sent its parent, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from muse.errors import InvalidData
from muse.objects.chunks import ChunkList
from muse.objects.columns import ColumnReader, Columns, Names
from muse.objects.ids import Kind
from muse.objects.tree import BLOB_KINDS, CHUNKED_KINDS, DIRECTORY, decode_tree

MAX_TOTAL = 1 << 63
"""Databases and many readers of JSON count no further."""
FEW_ENTRIES = 4
"""Up to here one after the other is as fast as all at once."""

_BLOBS, _CHUNKED = "".join(BLOB_KINDS).encode(), "".join(CHUNKED_KINDS).encode()
_BLOB_CODES, _CHUNKED_CODES, _DIRECTORY_CODE = frozenset(_BLOBS), frozenset(_CHUNKED), ord(DIRECTORY)
_DIRECTORY = DIRECTORY.encode()

Wanted = dict[Kind, set[bytes]]


class Claims:
    """What a batch says about objects that nobody has looked up yet."""

    def __init__(self) -> None:
        self.ids: Wanted = {kind: set() for kind in Kind}
        self.blobs: dict[bytes, int] = {}
        """Blobs and their sizes, as trees and chunk lists say."""


class Known:
    """Objects of one push, and those that it found recorded.

    An object is added before it is recorded or looked up. So after an error nothing here can be relied on:
    the push ends, and its memory is forgotten.

    `trusts_bases`: what a recorded tree names is taken to be recorded, too. That does not hold in a
    repository of which a check found objects missing.
    """

    def __init__(self) -> None:
        self.trusts_bases = True
        self.blobs: dict[bytes, int] = {}
        self.generations: dict[bytes, int] = {}
        self.tags: dict[bytes, int] = {}
        """With the tags that one has to follow from there to something else, itself included."""
        self._chunks: dict[bytes, int] = {}
        self._sizes: dict[bytes, int] = {}
        self._files: dict[bytes, int] = {}
        self._nodes: dict[bytes, tuple[int, int, Names]] = {}
        self._found: Wanted = {kind: set() for kind in Kind}
        self._columns = ColumnReader()

    def __len__(self) -> int:
        return sum(map(len, self._by_kind().values())) + sum(map(len, self._found.values()))

    def clear(self) -> None:
        for ids in self._by_kind().values():
            ids.clear()
        for found in self._found.values():
            found.clear()
        self._files.clear()
        self._nodes.clear()

    def ids(self) -> Wanted:
        return {kind: self._found[kind].union(ids) for kind, ids in self._by_kind().items()}

    def _by_kind(self) -> dict[Kind, dict[bytes, int] | set[bytes]]:
        return {
            Kind.BLOB: self.blobs,
            Kind.TREE: self._sizes,
            Kind.CHUNKS: self._chunks,
            Kind.COMMIT: self.generations,
            Kind.TAG: self.tags,
        }

    def has(self, kind: Kind, object_id: bytes) -> bool:
        return object_id in self._by_kind()[kind] or object_id in self._found[kind]

    def add_found(self, kind: Kind, ids: Iterable[bytes]) -> None:
        """Say that these are recorded, whatever they add up to."""
        self._found[kind].update(set(ids).difference(self._by_kind()[kind]))

    def add_sizes(self, claims: Mapping[bytes, int], sizes: Mapping[bytes, int]) -> None:
        """Take the sizes of recorded blobs; raises `bad-object` where a claim is another one."""
        for object_id, size_bytes in claims.items() - sizes.items():
            raise InvalidData(
                "bad-object",
                f"a tree or chunk list says that blob {object_id.hex()} has {size_bytes} bytes, "
                f"it has {sizes[object_id]}",
            )
        self.blobs |= sizes

    def add_chunks(self, object_id: bytes, node: ChunkList, claims: Claims) -> None:
        """Add a chunk list and what it says; raises `bad-object`."""
        if node.level:
            for size_bytes, child in node.chunks:
                self._claim_chunks(object_id, child, size_bytes, claims)
        else:
            sizes = tuple(size_bytes for size_bytes, _child in node.chunks)
            self._claim_blobs(object_id, [child for _size, child in node.chunks], sizes, claims)
        self._chunks[object_id] = node.size_bytes

    def add_tree(self, object_id: bytes, data: bytes, claims: Claims, base: bytes | None = None) -> None:
        """Validate a tree and add it and what it says; raises `bad-object`, `bad-path`.

        `base` is a tree of this push or a recorded one: what both say is settled.
        """
        columns = self._columns.read(data, base if self.trusts_bases else None)
        level, kinds, ids, sizes, files, names, fresh = columns
        size_bytes, count = sum(sizes), sum(files)
        if size_bytes >= MAX_TOTAL or count >= MAX_TOTAL:
            raise _wrong("tree", object_id)
        entries = len(ids)
        if level:
            entries, names = self._check_pages(object_id, data, names)
            self._claim_trees(object_id, ids, sizes, files, claims)
        elif len(fresh) < entries or entries < FEW_ENTRIES:
            self._check_entries(object_id, columns, claims)
        elif not kinds.translate(None, _BLOBS):
            if count != entries or max(files) > 1:
                raise _wrong("tree", object_id)
            self._claim_blobs(object_id, ids, sizes, claims)
        elif not kinds.translate(None, _DIRECTORY):
            self._claim_trees(object_id, ids, sizes, files, claims)
        else:
            self._check_entries(object_id, columns, claims)
        self._sizes[object_id] = size_bytes
        self._files[object_id] = count
        self._nodes[object_id] = level, entries, names

    def _claim_blobs(
        self, object_id: bytes, ids: Iterable[bytes], sizes: tuple[int, ...], claims: Claims
    ) -> None:
        found = tuple(map(self.blobs.get, ids))
        if found == sizes:
            return
        blobs = self.blobs
        for child, size, known in zip(ids, sizes, found, strict=True):
            if known is None:
                claims.blobs[child] = size
                # The same may stand twice in one list.
                if blobs.setdefault(child, size) != size:
                    raise _wrong("tree or chunk list", object_id)
            elif known != size:
                raise InvalidData(
                    "bad-object",
                    f"a tree or chunk list says that blob {child.hex()} has {size} bytes, it has {known}",
                )

    def _claim_trees(
        self,
        object_id: bytes,
        ids: tuple[bytes, ...],
        sizes: tuple[int, ...],
        files: tuple[int, ...],
        claims: Claims,
    ) -> None:
        found = tuple(map(self._sizes.get, ids))
        if found == sizes and tuple(map(self._files.get, ids)) == files:
            return
        for child, size, below in zip(ids, sizes, files, strict=True):
            self._claim_tree(object_id, child, size, below, claims)

    def _claim_tree(self, object_id: bytes, child: bytes, size: int, files: int, claims: Claims) -> None:
        known = self._sizes.get(child)
        if known is None:
            claims.ids[Kind.TREE].add(child)
            self._sizes[child] = size
            self._files[child] = files
        elif known != size or self._files[child] != files:
            raise _wrong("tree", object_id)

    def _claim_chunks(self, object_id: bytes, child: bytes, size: int, claims: Claims) -> None:
        known = self._chunks.get(child)
        if known is None:
            claims.ids[Kind.CHUNKS].add(child)
            self._chunks[child] = size
        elif known != size:
            raise _wrong("tree or chunk list", object_id)

    def _check_entries(self, object_id: bytes, columns: Columns, claims: Claims) -> None:
        """Of those that are fresh, whatever they are."""
        _level, kinds, ids, sizes, files, _names, fresh = columns
        blobs = self.blobs
        for place in fresh:
            kind, child, size = kinds[place], ids[place], sizes[place]
            if kind == _DIRECTORY_CODE:
                self._claim_tree(object_id, child, size, files[place], claims)
            elif files[place] != 1:
                raise _wrong("tree", object_id)
            elif kind in _BLOB_CODES:
                if blobs.get(child) != size:
                    self._claim_blobs(object_id, (child,), (size,), claims)
            elif kind in _CHUNKED_CODES:
                self._claim_chunks(object_id, child, size, claims)

    def _check_pages(self, object_id: bytes, data: bytes, names: Names) -> tuple[int, Names]:
        """Return how many names stand in all pages, and the names that the first and the last of them are."""
        tree = decode_tree(data)
        before = ""
        for page in tree.pages:
            node = self._nodes.get(page.id)
            if node is not None:
                level, entries, held = node
                found, told = (level + 1, entries, held.last), (tree.level, page.entries, page.last_name)
                if found != told or held.first <= before:
                    raise _wrong("tree", object_id)
            before = page.last_name
        first = self._nodes.get(tree.pages[0].id)
        if first is not None:
            names = names._replace(first=first[2].first)
        return sum(page.entries for page in tree.pages), names


def _wrong(what: str, object_id: bytes) -> InvalidData:
    return InvalidData(
        "bad-object", f"{what} {object_id.hex()} gives sizes, counts or pages that what it names has not"
    )
