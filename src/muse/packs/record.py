"""Records: one object each, as segments, packs and the wire carry it (docs/formats/pack.md, "Records").

A record is stored once, when its object is first written, and copied byte for byte ever after.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from muse.errors import InvalidData
from muse.objects.ids import ID_BYTES, Kind
from muse.packs import zstd

HEADER = struct.Struct("<BII")
MAX_RAW_BYTES = 16 << 20
"""No object is larger: files from 4 MiB on are chunked, trees and chunk lists are paged."""
WORTH_A_PREFIX_BYTES = 64
"""A base's id alone takes 32 bytes."""


class Encoding(IntEnum):
    RAW = 0
    ZSTD = 1
    PREFIX = 2
    """zstd with the raw bytes of another object of the same kind, the base, as prefix."""


_RAW, _PREFIX = int(Encoding.RAW), int(Encoding.PREFIX)
_KINDS_AND_ENCODINGS = {
    kind << 4 | encoding: (int(kind), int(encoding)) for kind in Kind for encoding in Encoding
}
_new = tuple.__new__


class Record(NamedTuple):
    """An encoded object. `base` is the id of the prefix object, of the same kind, or None."""

    kind: int
    encoding: int
    raw_size: int
    base: bytes | None
    payload: bytes | memoryview

    @property
    def size_bytes(self) -> int:
        """Size of the whole record, header included."""
        return HEADER.size + (ID_BYTES if self.base else 0) + len(self.payload)


def encode_object(kind: Kind, data: bytes | memoryview, base: tuple[bytes, bytes] | None = None) -> Record:
    """Compress an object; `base` is (id, raw bytes) of a similar object of the same kind.

    Chooses the smallest of raw, zstd and prefix; a prefix is tried only where it is given.
    """
    size = len(data)
    packed = None
    if base is not None and size >= WORTH_A_PREFIX_BYTES <= len(base[1]):
        packed = zstd.compress_with_prefix(data, base[1])
        if len(packed) < size // 4:
            return Record(kind, Encoding.PREFIX, size, base[0], packed)
    plain = zstd.compress(data)
    if base is not None and packed is not None and len(packed) + ID_BYTES < min(len(plain), size):
        return Record(kind, Encoding.PREFIX, size, base[0], packed)
    if len(plain) < size - size // 32:
        return Record(kind, Encoding.ZSTD, size, None, plain)
    return Record(kind, Encoding.RAW, size, None, bytes(data))


def decode_object(record: Record, base_data: bytes | None = None) -> bytes:
    """Return the object's bytes; raises `bad-record` unless they have the announced size.

    Never allocates more than the announced size, which `parse_record` has bounded.
    """
    encoding = record.encoding
    if encoding == _RAW:
        data = bytes(record.payload)
    elif encoding != _PREFIX:
        data = zstd.decompress(record.payload, record.raw_size)
    elif base_data is not None:
        data = zstd.decompress_with_prefix(record.payload, record.raw_size, base_data)
    else:
        raise InvalidData("bad-record", "a record with a base was read without it")
    if len(data) != record.raw_size:
        raise InvalidData("bad-record", f"a record announces {record.raw_size} bytes and holds {len(data)}")
    return data


def record_header(record: Record) -> bytes:
    """Return what stands before the payload."""
    head = HEADER.pack(record.kind << 4 | record.encoding, record.raw_size, len(record.payload))
    return head + record.base if record.base else head


def encode_record(record: Record) -> bytes:
    return b"".join((record_header(record), record.payload))


def parse_header(
    buffer: memoryview, offset: int, max_raw_bytes: int = MAX_RAW_BYTES
) -> tuple[int, int, int, bytes | None, int, int]:
    """Parse what stands before a payload: kind, encoding, raw size, base, and where the payload lies.

    Raises `truncated` or `bad-record`. Allocates nothing of the announced sizes.
    """
    size = len(buffer)
    if offset + HEADER.size > size:
        raise InvalidData("truncated", "a record ends before its header does")
    tag, raw_size, stored_size = HEADER.unpack_from(buffer, offset)
    known = _KINDS_AND_ENCODINGS.get(tag)
    if known is None:
        raise InvalidData("bad-record", "a record has an unknown kind or encoding")
    kind, encoding = known
    if raw_size > max_raw_bytes or (encoding == _RAW and raw_size != stored_size):
        raise InvalidData("bad-record", f"a record announces an impossible size ({raw_size} bytes)")
    offset += HEADER.size
    base = None
    if encoding == _PREFIX:
        base = bytes(buffer[offset : offset + ID_BYTES])
        offset += ID_BYTES
    end = offset + stored_size
    if end > size:
        raise InvalidData("truncated", "a record ends before its payload does")
    return kind, encoding, raw_size, base, offset, end


def parse_record(buffer: memoryview, offset: int, max_raw_bytes: int = MAX_RAW_BYTES) -> tuple[Record, int]:
    """Parse the record at `offset`; returns it, its payload a view of `buffer`, and the offset after it.

    Raises what `parse_header` does.
    """
    kind, encoding, raw_size, base, start, end = parse_header(buffer, offset, max_raw_bytes)
    # What the class itself does, without a call in Python: this is done for every object that comes or goes.
    return _new(Record, (kind, encoding, raw_size, base, buffer[start:end])), end
