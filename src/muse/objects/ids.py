"""Object ids and kinds (docs/formats/objects.md, "Identity").

An id is the SHA-256 of an object's bytes: of the file's bytes for a blob, of the canonical encoding for
everything else. It is 32 raw bytes in memory, in databases and on the wire, and `sha256:<64 hex>` in text.

An object is addressed by its kind *and* its id: a file may hold exactly the bytes of a tree, and is then
another object under the same id.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum

from muse.errors import UsageError

ID_BYTES = 32
PREFIX = "sha256:"

SHORT_BYTES = 16 << 10
_PIECE_BYTES = 2047
"""hashlib lets other threads run from one byte more on."""


class Kind(IntEnum):
    """What an object is; the numbers are part of every format."""

    BLOB = 1
    TREE = 2
    COMMIT = 3
    TAG = 4
    CHUNKS = 5

    @property
    def word(self) -> str:
        """What people, JSON and canonical encodings call it: `blob`, `commit`."""
        return self.name.lower()


KINDS = {int(kind): kind for kind in Kind}
"""By number: a look-up costs a tenth of `Kind(number)`."""
KINDS_BY_WORD = {kind.word: kind for kind in Kind}

Key = tuple[Kind, bytes]
"""One object: its kind and its id."""


def hash_bytes(data: bytes | bytearray | memoryview) -> bytes:
    """Return the id of an object with these bytes."""
    return hashlib.sha256(data).digest()


def hash_short(data: bytes | memoryview) -> bytes:
    """Return what `hash_bytes` does; up to `SHORT_BYTES` without letting other threads run meanwhile.

    Letting go and waiting for one's turn again takes several times as long as hashing a few kilobytes.
    """
    if not _PIECE_BYTES < len(data) <= SHORT_BYTES:
        return hashlib.sha256(data).digest()
    view = memoryview(data)
    digest = hashlib.sha256(view[:_PIECE_BYTES])
    for start in range(_PIECE_BYTES, len(data), _PIECE_BYTES):
        digest.update(view[start : start + _PIECE_BYTES])
    return digest.digest()


def split_ids(joined: bytes) -> list[bytes]:
    """Cut ids that stand one behind the other apart."""
    return [joined[start : start + ID_BYTES] for start in range(0, len(joined), ID_BYTES)]


def format_id(object_id: bytes) -> str:
    return PREFIX + object_id.hex()


def short_id(object_id: bytes) -> str:
    """Return twelve hex digits: enough to tell apart the objects of any repository a person reads."""
    return object_id.hex()[:12]


def parse_id(text: str) -> bytes:
    """Parse `sha256:<64 hex>` or 64 bare hex digits; raises `bad-revision`."""
    digits = text.removeprefix(PREFIX)
    try:
        value = bytes.fromhex(digits)
    except ValueError:
        value = b""
    if len(value) != ID_BYTES or len(digits) != 2 * ID_BYTES:
        raise UsageError(
            "bad-revision", f'"{text}" is not an object id', hint="write sha256: and 64 hex digits"
        )
    return value
