"""What the hub asks of an object store; these docstrings are the contract.

`tests/contracts/test_storage.py` holds every implementation to it.

Keys are slash-separated names of letters, digits, `-`, `_` and `.`, no part beginning with a dot. Values are
immutable: a key is made of the hash of what is stored under it, so writing it twice writes the same bytes.

Every method may raise RemoteFailure("store-unavailable", retry=True) when the store does not answer and
Environment("disk-full" | "io-error" | "read-only") when it cannot write or read; all may be retried. A
cancelled call leaves nothing visible but a whole value.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import NamedTuple, Protocol

from muse.errors import InvalidData, NotFound
from muse.wire.uploads import SignedRequest

_KEY = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*")


class StoredObject(NamedTuple):
    """One key; `stored_at` is when its bytes were completed."""

    key: str
    size_bytes: int
    stored_at: datetime


class UnfinishedUpload(NamedTuple):
    """A value of which parts may have arrived; `upload` is the store's name for it."""

    key: str
    upload: str
    started_at: datetime


class Store(Protocol):
    """Immutable bytes under keys."""

    async def put(self, key: str, parts: Sequence[bytes | memoryview], sha256: bytes) -> None:
        """Store the concatenated parts; when this returns they are durable.

        All or nothing: no reader ever sees a part. Raises InvalidData("wrong-hash") unless the bytes have
        that SHA-256, and keeps nothing then. Idempotent.
        """
        ...

    def open(self, key: str, sha256: bytes | None = None) -> AbstractAsyncContextManager[memoryview]:
        """Map the whole value read-only for the length of the block; the view dies with it.

        With `sha256`, only bytes that have it; what this very process hashed while it wrote them need not be
        hashed again. Memory: pages of a local file, or up to 24 MiB. Raises NotFound("pack-not-found"), and
        InvalidData("wrong-hash") with `retry`.
        """
        ...

    async def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read (start, size) ranges, in the order given; one call, as few requests as the store allows.

        Raises NotFound("pack-not-found"), and CorruptStore("corrupt-segment") if the value is too short.
        """
        ...

    async def head(self, key: str) -> StoredObject | None:
        """What is known about a key without reading it; None when it is not there."""
        ...

    def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """Every key that begins with `prefix`, which ends with a slash or is empty; in no order."""
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove keys; those that are not there are fine."""
        ...

    async def presign_put(self, key: str, size_bytes: int, sha256: bytes, ttl_s: int) -> SignedRequest:
        """A request with which somebody else may store exactly these bytes, for `ttl_s` seconds.

        The store itself refuses another length or another hash. No I/O.
        """
        ...

    async def presign_get(self, key: str, ttl_s: int) -> SignedRequest:
        """A request with which somebody else may read the value, for `ttl_s` seconds. No I/O."""
        ...

    async def open_upload(self, key: str) -> str:
        """Begin a value that arrives in parts, or take up the one under way for this key; returns its name.

        Nothing is visible under the key before `finish_upload`.
        """
        ...

    async def list_parts(self, key: str, upload: str) -> dict[int, int]:
        """Sizes of the parts that are there, by number from 1. Raises NotFound("pack-not-found") when no such
        upload is under way.
        """
        ...

    async def presign_part(
        self, key: str, upload: str, number: int, size_bytes: int, sha256: bytes, ttl_s: int
    ) -> SignedRequest:
        """As `presign_put`, for one part. All but the last have the same size, 5 MiB at least."""
        ...

    async def finish_upload(self, key: str, upload: str, parts: Sequence[bytes]) -> None:
        """Make a value of its parts, given the SHA-256 of each; other parts are dropped.

        Raises InvalidData("truncated") when a part is not there, NotFound("pack-not-found") when no such
        upload is under way, perhaps because it was finished before. The hash of the whole is the caller's to
        check.
        """
        ...

    async def abort_upload(self, key: str, upload: str) -> None:
        """Drop an upload and its parts; one that is not there is fine."""
        ...

    def list_uploads(self, prefix: str) -> AsyncIterator[UnfinishedUpload]:
        """Every upload under way whose key begins with `prefix`, in no order."""
        ...

    async def close(self) -> None: ...


def check_key(key: str) -> str:
    """Return what can be a key; raises `pack-not-found` for what cannot."""
    if not _KEY.fullmatch(key):
        raise NotFound("pack-not-found", f'the store holds nothing under "{key}"')
    return key


def wrong_hash(key: str) -> InvalidData:
    """What `Store.open` raises."""
    return InvalidData(
        "wrong-hash",
        f'what lies under "{key}" does not have its SHA-256',
        hint="push again; what was confirmed is not sent twice",
        retry=True,
    )


def pack_key(repository_id: int, digest: bytes) -> str:
    """Packs are kept per repository: knowing a hash gives nobody bytes of a repository they may not read."""
    return f"packs/{repository_id}/{digest.hex()}"


_PACK_KEY = re.compile(r"packs/([0-9]{1,19})/([0-9a-f]{64})")


def parse_pack_key(key: str) -> tuple[int, bytes] | None:
    """Repository and digest of a pack's key, None for what is none."""
    found = _PACK_KEY.fullmatch(key)
    return (int(found[1]), bytes.fromhex(found[2])) if found else None
