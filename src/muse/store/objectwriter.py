"""Putting objects: each becomes a record in a segment at once, and a row names it later."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from muse.errors import CorruptStore, InvalidData
from muse.history.walk import Node, next_generation
from muse.objects.commit import decode_commit
from muse.objects.ids import KINDS, Kind, format_id, hash_bytes
from muse.packs.pack import PackedObject
from muse.packs.record import WORTH_A_PREFIX_BYTES, Record, decode_object, encode_object
from muse.store.appender import Appender
from muse.store.locations import Location
from muse.store.objects import ObjectStore

MAX_DEPTH = 16
"""Bases below an object: reading one decodes at most so many, 0.5 ms for 8 KB each."""
MAX_RECEIVED_DEPTH = 128
"""What was received deeper, one pack upon the other, is compressed anew: nobody can make reading slow."""
FLUSH_ROWS = 50_000
FLUSH_BYTES = 256 << 20
"""From either on what was put is named: 20 MB of rows in memory; a crash repeats 256 MiB."""


class ObjectWriter(ABC):
    """The part of a transaction that takes objects; what was put is readable through `load` at once."""

    def __init__(self, objects: ObjectStore, appender: Appender) -> None:
        self._objects = objects
        self._appender = appender
        self._overlay = objects.overlay
        self._pending_bytes = 0
        self.load: Callable[[Kind, bytes], bytes] = objects.load
        self.has: Callable[[Kind, bytes], bool] = objects.has
        self.graph: Callable[[bytes], Node] = objects.get_node

    @abstractmethod
    def flush(self) -> None:
        """Make the objects put so far durable and visible."""

    def _flush_if_large(self) -> None:
        if len(self._overlay.locations) >= FLUSH_ROWS or self._pending_bytes >= FLUSH_BYTES:
            self.flush()

    def put(self, kind: Kind, data: bytes | memoryview, base: bytes | None = None) -> bytes:
        """Store an object and return its id; costs a look-up if it is there already.

        `base` is a hint: the id of a similar object of the same kind, against which it is compressed.
        Raises `missing-objects` for a commit whose parents are not there.
        """
        object_id = hash_bytes(data)
        if self._objects.find_location(kind, object_id) is not None:
            return object_id
        prefix, depth = None, 0
        if base is not None and len(data) >= WORTH_A_PREFIX_BYTES:
            location = self._objects.find_location(kind, base)
            if location is not None and location.depth < MAX_DEPTH:
                try:
                    prefix, depth = (base, self._objects.load(kind, base)), location.depth + 1
                except CorruptStore:
                    pass  # the hint is no reason to fail; fsck reports it
        if kind is Kind.COMMIT:
            self._note_commit(object_id, bytes(data))
        record = encode_object(kind, data, prefix)
        self._append(object_id, record, depth if record.base else 0)
        self._objects.remember(kind, object_id, data)
        return object_id

    def put_records(self, records: Sequence[tuple[bytes, Record]]) -> None:
        """Store objects as they were received, bases first; the caller has verified the ids.

        What is here already stays as it is; one query for all. Raises `missing-objects` when a base, or a
        parent of a commit, is not here.
        """
        absent = self._find_absent((record.kind, object_id) for object_id, record in records)
        for object_id, record in records:
            new = absent[record.kind]
            if object_id not in new:
                continue
            new.discard(object_id)
            kind, base = KINDS[record.kind], record.base
            depth = 0 if base is None else self._depth(kind, object_id, base)
            if kind is Kind.COMMIT or depth > MAX_RECEIVED_DEPTH:
                data = decode_object(record, None if base is None else self.load(kind, base))
                if kind is Kind.COMMIT:
                    self._note_commit(object_id, data)
                if depth > MAX_RECEIVED_DEPTH:
                    record, depth = encode_object(kind, data), 0
            self._append(object_id, record, depth)

    def put_stream(
        self, stream: BinaryIO, size_hint: int = 0, base: bytes | None = None
    ) -> tuple[str, bytes, int]:
        """Store a file's content; returns (kind of entry, id, size in bytes), the kind FILE or CHUNKED_FILE.

        `base` is the id of the previous version's blob or chunk list. Memory: 8 MiB, and 100 bytes per chunk.
        """
        from muse.store.files import store_stream

        return store_stream(self, stream, size_hint, base)

    def adopt_pack(self, path: Path, objects: Sequence[PackedObject]) -> None:
        """Make a verified pack file a segment: it is moved into the store, not copied.

        `objects` is what `verify_pack` returned; bases and parents are here already or earlier in the pack.
        """
        end = max((packed.end for packed in objects), default=0)
        number = self._appender.adopt(path, end)
        absent = self._find_absent((packed.kind, packed.id) for packed in objects)
        commits, deep = [], []
        pending = self._overlay.locations
        for object_id, kind_number, offset, encoding, raw_size, stored_size, base in objects:
            if object_id not in absent[kind_number]:
                continue
            depth = 0 if base is None else self._depth(KINDS[kind_number], object_id, base)
            pending[kind_number, object_id] = Location(
                number, offset, encoding, raw_size, stored_size, base, depth
            )
            if kind_number == Kind.COMMIT:
                commits.append(object_id)
            if depth > MAX_RECEIVED_DEPTH:
                deep.append((KINDS[kind_number], object_id))
        for commit_id in commits:
            self._note_commit(commit_id, self.load(Kind.COMMIT, commit_id))
        for kind, object_id in deep:
            self._append(object_id, encode_object(kind, self.load(kind, object_id)), 0)
        self._flush_if_large()

    def _find_absent(self, keys: Iterable[tuple[int, bytes]]) -> dict[int, set[bytes]]:
        """Return, by kind, those of these objects that are not here; one query for each kind."""
        ids: dict[int, list[bytes]] = {}
        for kind, object_id in keys:
            ids.setdefault(kind, []).append(object_id)
        return {kind: self._objects.find_missing(KINDS[kind], some) for kind, some in ids.items()}

    def _depth(self, kind: Kind, object_id: bytes, base: bytes) -> int:
        location = self._objects.find_location(kind, base)
        if location is None:
            raise InvalidData(
                "missing-objects", f"the base {format_id(base)} of {format_id(object_id)} is not here"
            )
        return location.depth + 1

    def _append(self, object_id: bytes, record: Record, depth: int) -> None:
        segment, offset = self._appender.append(record)
        stored_size = len(record.payload)
        self._overlay.locations[record.kind, object_id] = Location(
            segment, offset, record.encoding, record.raw_size, stored_size, record.base, depth
        )
        self._pending_bytes += stored_size
        self._flush_if_large()

    def _note_commit(self, commit_id: bytes, data: bytes) -> None:
        commit = decode_commit(data)
        generations = []
        for parent in commit.parents:
            node = self._objects.find_node(parent)
            if node is None:
                raise InvalidData(
                    "missing-objects",
                    f"the parent {format_id(parent)} of commit {format_id(commit_id)} is not here",
                )
            generations.append(node.generation)
        generation = next_generation(generations)
        self._overlay.commits[commit_id] = Node(
            commit_id, commit.parents, generation, commit.committer.time_s, commit.tree
        )
