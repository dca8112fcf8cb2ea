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
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from muse.errors import InvalidData
from muse.objects.ids import ID_BYTES, Kind, hash_bytes
from muse.packs.record import MAX_RAW_BYTES, Record, decode_object, parse_record, record_header

MAGIC = b"MUSEPACK"
VERSION = 1
HEAD = struct.Struct("<8sI")
INDEX_ENTRY = struct.Struct("<32sI")
TRAILER = struct.Struct("<II8s")

TARGET_BYTES = 16 << 20
"""A pack is sealed when it has grown to this: one PUT replaces a thousand, and a lost one repeats little."""
MAX_BYTES = 64 << 20


class PackedObject(NamedTuple):
    """Where one object lies in a pack: `offset` of its record, and the record's header."""

    id: bytes
    kind: int
    offset: int
    encoding: int
    raw_size: int
    stored_size: int
    base: bytes | None


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


def iter_records(pack: memoryview, max_raw_bytes: int = MAX_RAW_BYTES) -> Iterator[tuple[bytes, int, Record]]:
    """Yield (claimed id, offset, record) in file order, the payloads views of `pack`; nothing is decoded.

    Raises `bad-pack` when records and index do not cover each other exactly.
    """
    entries = read_index(pack)
    end_of_records = len(pack) - TRAILER.size - len(entries) * INDEX_ENTRY.size
    records = pack[:end_of_records]
    offset = HEAD.size
    for object_id, claimed_offset in entries:
        if claimed_offset != offset:
            raise InvalidData("bad-pack", "the index of a pack does not fit its records")
        record, offset = parse_record(records, offset, max_raw_bytes)
        yield object_id, claimed_offset, record
    if offset != end_of_records:
        raise InvalidData("bad-pack", "a pack holds records that its index does not name")


def verify_pack(
    pack: memoryview,
    load_base: Callable[[Kind, bytes], bytes],
    max_raw_bytes: int = MAX_RAW_BYTES,
    visit: Callable[[Kind, bytes, bytes], None] | None = None,
) -> list[PackedObject]:
    """Decode every record and recompute every id; returns what the pack holds, in file order.

    `load_base(kind, id)` supplies a base that is not in the pack before its delta; bases inside the pack are
    decoded once more from it, with the last few kept. `visit(kind, id, data)` sees every verified object.
    Raises `wrong-hash` and all that `iter_records` and `decode_object` raise. Memory: the pack, a few
    objects, 150 bytes per object.
    """
    found: dict[tuple[int, bytes], Record] = {}
    depths: dict[tuple[int, bytes], int] = {}
    recent: dict[tuple[int, bytes], bytes] = {}
    recent_bytes = 0
    objects = []

    def base_of(kind: int, base: bytes) -> bytes:
        data = recent.get((kind, base))
        if data is not None:
            return data
        record = found.get((kind, base))
        if record is None:
            return load_base(Kind(kind), base)
        return decode_object(record, base_of(kind, record.base) if record.base else None)

    try:
        for object_id, offset, record in iter_records(pack, max_raw_bytes):
            kind, encoding, raw_size, base, payload = record
            key = (kind, object_id)
            if base is None:
                data = decode_object(record)
            else:
                depth = depths.get((kind, base), 0) + 1
                if depth > MAX_CHAIN:
                    raise InvalidData("bad-pack", f"a pack holds a chain of more than {MAX_CHAIN} bases")
                depths[key] = depth
                data = decode_object(record, base_of(kind, base))
            if hash_bytes(data) != object_id:
                raise InvalidData(
                    "wrong-hash",
                    f"a pack's index calls an object {object_id.hex()} whose bytes have another hash",
                    details={"id": object_id.hex()},
                )
            if visit is not None:
                visit(_KINDS[kind], object_id, data)
            found[key] = record
            recent[key] = data
            recent_bytes += raw_size
            while recent_bytes > RECENT_BYTES and len(recent) > 1:
                recent_bytes -= len(recent.pop(next(iter(recent))))
            objects.append(PackedObject(object_id, kind, offset, encoding, raw_size, len(payload), base))
    finally:
        # `base_of` refers to itself: what it sees, packs and objects, would outlive this call.
        found.clear()
        recent.clear()
    return objects


MAX_CHAIN = 64
"""Longest chain of bases inside one pack that is accepted; writers stay far below."""
_KINDS = {int(kind): kind for kind in Kind}
RECENT_BYTES = 8 << 20
"""Decoded objects that `verify_pack` keeps for the deltas that follow; writers keep a chain together."""

assert INDEX_ENTRY.size == ID_BYTES + 4
