"""Packs: an immutable file of records with a closing index (docs/formats/pack.md, "Packs").

    magic "MUSEPACK", version            12 bytes
    records                              one after the other
    index: id, offset                    36 bytes each, sorted by id
    trailer: count, index offset, magic  16 bytes

A pack's id is the SHA-256 of its bytes. What its index says is a claim until `verify_pack` has recomputed it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from muse.errors import InvalidData
from muse.objects.ids import ID_BYTES, KINDS, Kind, hash_short
from muse.packs.record import (
    HEADER,
    MAX_RAW_BYTES,
    Encoding,
    Record,
    decode_object,
    parse_header,
    record_header,
)
from muse.packs.zstd import Frame, decompress_many

MAGIC = b"MUSEPACK"
VERSION = 1
HEAD = struct.Struct("<8sI")
INDEX_ENTRY = struct.Struct("<32sI")
TRAILER = struct.Struct("<II8s")

TARGET_BYTES = 16 << 20
"""A pack is sealed when it has grown to this: one PUT replaces a thousand, and a lost one repeats little."""
MAX_BYTES = 64 << 20
MAX_CHAIN = 64
"""Longest chain of bases inside one pack that is accepted; writers stay far below."""
RECENT_BYTES = 8 << 20
"""Decoded objects that `verify_pack` keeps for the deltas that follow; writers keep a chain together."""
SMALL_BYTES = 64 << 10
BATCH_BYTES = 128 << 10
"""Decoded at a time, of objects up to `SMALL_BYTES`: some 100 us of work, and too little for the C library to
ask the system for memory every time."""

LoadBase = Callable[[Kind, bytes], bytes]
Visit = Callable[[Kind, bytes, bytes], None]

_RAW, _PLAIN = int(Encoding.RAW), int(Encoding.ZSTD)
_new = tuple.__new__

assert INDEX_ENTRY.size == ID_BYTES + 4


class PackedObject(NamedTuple):
    """Where one object lies in a pack: `offset` of its record, and the record's header."""

    id: bytes
    kind: int
    offset: int
    encoding: int
    raw_size: int
    stored_size: int
    base: bytes | None

    @property
    def payload_offset(self) -> int:
        return self.offset + HEADER.size + (ID_BYTES if self.base is not None else 0)

    @property
    def end(self) -> int:
        """Offset of what follows the record."""
        return self.payload_offset + self.stored_size


class PackWriter:
    """Collects records in memory and seals them into a pack.

    Not for concurrent use. Holds at most what was added: seal when `size_bytes` reaches the target.
    """

    def __init__(self) -> None:
        self._parts: list[bytes | memoryview] = [HEAD.pack(MAGIC, VERSION)]
        self._index: list[tuple[bytes, int]] = []
        self.size_bytes = HEAD.size

    def __len__(self) -> int:
        return len(self._index)

    def add(self, object_id: bytes, record: Record) -> None:
        head = record_header(record)
        self._index.append((object_id, self.size_bytes))
        self._parts += (head, record.payload)
        self.size_bytes += len(head) + len(record.payload)

    def add_encoded(self, index: Iterable[tuple[bytes, int]], records: bytes | memoryview) -> None:
        """Add whole records that stand side by side, with the id and the offset in `records` of each."""
        at = self.size_bytes
        self._index += [(object_id, at + offset) for object_id, offset in index]
        self._parts.append(records)
        self.size_bytes += len(records)

    def seal(self) -> tuple[bytes, list[bytes | memoryview]]:
        """Return the pack's id and its bytes in parts, ready for a scattered write or an upload."""
        self._parts.append(b"".join([INDEX_ENTRY.pack(*entry) for entry in sorted(self._index)]))
        self._parts.append(TRAILER.pack(len(self._index), self.size_bytes, MAGIC))
        digest = hashlib.sha256()
        for part in self._parts:
            digest.update(part)
        return digest.digest(), self._parts


def read_index(pack: memoryview) -> list[tuple[bytes, int]]:
    """Return (id, offset) sorted by offset as the pack claims; raises `bad-pack` or `truncated`."""
    if len(pack) < HEAD.size + TRAILER.size or HEAD.unpack_from(pack) != (MAGIC, VERSION):
        raise InvalidData("bad-pack", "not a pack of version 1")
    count, index_start, magic = TRAILER.unpack_from(pack, len(pack) - TRAILER.size)
    if magic != MAGIC or index_start + count * INDEX_ENTRY.size + TRAILER.size != len(pack):
        raise InvalidData("truncated", "a pack does not end where its trailer says")
    entries = list(INDEX_ENTRY.iter_unpack(pack[index_start : len(pack) - TRAILER.size]))
    ids = [entry[0] for entry in entries]
    if any(map(bytes.__ge__, ids, ids[1:])):
        raise InvalidData("bad-pack", "the index of a pack is out of order or names an object twice")
    entries.sort(key=lambda entry: entry[1])
    return entries


def scan_pack(pack: memoryview, max_raw_bytes: int = MAX_RAW_BYTES) -> list[PackedObject]:
    """Return what a pack claims to hold, in file order; nothing is decoded.

    Raises `bad-pack` when records and index do not cover each other exactly, and what `parse_header` does.
    """
    entries = read_index(pack)
    end_of_records = len(pack) - TRAILER.size - len(entries) * INDEX_ENTRY.size
    objects = []
    with pack[:end_of_records] as records:
        offset = HEAD.size
        for object_id, claimed_offset in entries:
            if claimed_offset != offset:
                raise InvalidData("bad-pack", "the index of a pack does not fit its records")
            kind, encoding, raw_size, base, start, offset = parse_header(records, offset, max_raw_bytes)
            objects.append(
                _new(
                    PackedObject,
                    (object_id, kind, claimed_offset, encoding, raw_size, offset - start, base),
                )
            )
    if offset != end_of_records:
        raise InvalidData("bad-pack", "a pack holds records that its index does not name")
    return objects


def verify_pack(
    pack: memoryview,
    load_base: LoadBase,
    max_raw_bytes: int = MAX_RAW_BYTES,
    visit: Visit | None = None,
) -> list[PackedObject]:
    """Decode every record and recompute every id; returns what the pack holds, in file order.

    Raises what `scan_pack` and `verify_objects` do. Memory: the pack, a few objects, 150 bytes per object.
    """
    objects = scan_pack(pack, max_raw_bytes)
    verify_objects(pack, objects, load_base, visit)
    return objects


def verify_objects(
    pack: memoryview,
    objects: Sequence[PackedObject],
    load_base: LoadBase,
    visit: Visit | None = None,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Decode all that `scan_pack` found and recompute the ids.

    `load_base(kind, id)` supplies a base that is not in the pack before its delta; bases inside the pack are
    decoded once more from it, with the last few kept. `visit(kind, id, data)` sees every verified object;
    `advance(count)` is told now and then how many more there are. Raises `wrong-hash`, and what
    `decode_object` raises.
    """
    verifying = _Verifying(pack, objects, load_base, visit, advance)
    try:
        verifying.run()
    finally:
        verifying.clear()  # a traceback may hold it for long


class _Verifying:
    """Small records without a base are decoded many at a time: each alone lets the interpreter go twice, and
    in a process with other busy threads that costs more than the work."""

    def __init__(
        self,
        pack: memoryview,
        objects: Sequence[PackedObject],
        load_base: LoadBase,
        visit: Visit | None,
        advance: Callable[[int], None] | None,
    ) -> None:
        self._advance = advance
        self._pack = pack
        self._objects = objects
        self._load_base = load_base
        self._visit = visit
        # Only what something in this pack stands on need be found again.
        self._bases = {(one.kind, one.base) for one in objects if one.base is not None}
        self._found: dict[tuple[int, bytes], PackedObject] = {}
        self._depths: dict[tuple[int, bytes], int] = {}
        self._recent: dict[tuple[int, bytes], bytes] = {}
        self._recent_bytes = 0

    def run(self) -> None:
        batch: list[PackedObject] = []
        batch_bytes = 0
        for one in self._objects:
            if one.encoding == _PLAIN and 0 < one.raw_size <= SMALL_BYTES:
                batch.append(one)
                batch_bytes += one.raw_size
                if batch_bytes >= BATCH_BYTES:
                    self._verify_batch(batch)
                    batch, batch_bytes = [], 0
                continue
            if batch:
                self._verify_batch(batch)
                batch, batch_bytes = [], 0
            self._verify_one(one)
        if batch:
            self._verify_batch(batch)

    def clear(self) -> None:
        self._found.clear()
        self._recent.clear()
        self._pack = memoryview(b"")

    def _verify_batch(self, batch: Sequence[PackedObject]) -> None:
        pack, head = self._pack, HEADER.size
        frames: list[Frame] = [pack[one.offset + head : one.offset + head + one.stored_size] for one in batch]
        sizes = [one.raw_size for one in batch]
        only_hashed = self._visit is None and not self._bases
        for one, data in zip(batch, decompress_many(frames, sizes), strict=True):
            if not only_hashed:
                self._accept(one, data)
            elif hash_short(data) != one.id:
                raise _wrong_hash(one)
        if self._advance is not None:
            self._advance(len(batch))

    def _verify_one(self, one: PackedObject) -> None:
        base = None
        if one.base is not None:
            depth = self._depths.get((one.kind, one.base), 0) + 1
            if depth > MAX_CHAIN:
                raise InvalidData("bad-pack", f"a pack holds a chain of more than {MAX_CHAIN} bases")
            self._depths[one.kind, one.id] = depth
            base = self._base_of(one.kind, one.base)
        # What is stored raw is hashed where it lies.
        raw = one.encoding == _RAW
        self._accept(one, self._payload(one) if raw else decode_object(self._record(one), base))
        if self._advance is not None:
            self._advance(1)

    def _accept(self, one: PackedObject, data: bytes | memoryview) -> None:
        if hash_short(data) != one.id:
            raise _wrong_hash(one)
        key = (one.kind, one.id)
        if key in self._bases:
            self._found[key] = one
            self._recent[key] = data = bytes(data)
            self._recent_bytes += one.raw_size
            while self._recent_bytes > RECENT_BYTES and len(self._recent) > 1:
                self._recent_bytes -= len(self._recent.pop(next(iter(self._recent))))
        if self._visit is not None:
            self._visit(KINDS[one.kind], one.id, bytes(data))

    def _base_of(self, kind: int, base: bytes) -> bytes:
        data = self._recent.get((kind, base))
        if data is not None:
            return data
        one = self._found.get((kind, base))
        if one is None:
            return self._load_base(KINDS[kind], base)
        return decode_object(self._record(one), self._base_of(kind, one.base) if one.base else None)

    def _payload(self, one: PackedObject) -> memoryview:
        return self._pack[one.payload_offset : one.end]

    def _record(self, one: PackedObject) -> Record:
        return Record(one.kind, one.encoding, one.raw_size, one.base, self._payload(one))


def _wrong_hash(one: PackedObject) -> InvalidData:
    return InvalidData(
        "wrong-hash",
        f"a pack's index calls an object {one.id.hex()} whose bytes have another hash",
        details={"id": one.id.hex()},
    )
