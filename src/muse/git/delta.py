"""Deltas of Git packs (gitformat-pack, "Deltified representation"). Pure.

One copy from the front, what is new, one copy from the end: a line of a tree or one place of a file is what
most edits change, and finding it takes microseconds. `git gc` in the exported repository finds the rest.
"""

from __future__ import annotations

from muse.objects.ends import equal_back, equal_front

MIN_BYTES = 64
"""Below this a delta saves nothing worth reading another object for."""
_COPY_BYTES = 0xFFFF
_INSERT_BYTES = 0x7F


def make_delta(old: bytes, new: bytes) -> bytes | None:
    """Return instructions that turn `old` into `new`; None when less than half of `new` comes from `old`."""
    if len(new) < MIN_BYTES or len(old) < MIN_BYTES:
        return None
    limit = min(len(old), len(new))
    front = equal_front(old, new, limit)
    back = equal_back(old, new, limit - front)
    if 2 * (front + back) < len(new):
        return None
    parts = [_size(len(old)), _size(len(new))]
    _copy(parts, 0, front)
    for start in range(front, len(new) - back, _INSERT_BYTES):
        piece = new[start : min(start + _INSERT_BYTES, len(new) - back)]
        parts += (bytes((len(piece),)), piece)
    _copy(parts, len(old) - back, back)
    return b"".join(parts)


def _size(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _copy(parts: list[bytes], offset: int, size_bytes: int) -> None:
    while size_bytes:
        count = min(size_bytes, _COPY_BYTES)
        code, arguments = 0x80, bytearray()
        for position, byte in enumerate(offset.to_bytes(4, "little")):
            if byte:
                code |= 1 << position
                arguments.append(byte)
        for position, byte in enumerate(count.to_bytes(2, "little")):
            if byte:
                code |= 0x10 << position
                arguments.append(byte)
        parts += (bytes((code,)), bytes(arguments))
        offset += count
        size_bytes -= count
