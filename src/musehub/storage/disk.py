"""The embedded store: a folder.

A value is written to `tmp/`, synced, renamed to its key, and its folder synced: it is there whole or not
at all. Reads, writes and hashing happen in worker threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import mmap
import os
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from muse.errors import CorruptStore, InvalidData
from muse.objects.ids import hash_bytes
from muse.wire.uploads import SignedRequest
from musehub.storage.disk_arrivals import Arrivals
from musehub.storage.disk_failures import not_found, translated
from musehub.storage.disk_parts import PARTS, THE_UPLOAD, DiskParts, part_key
from musehub.storage.port import StoredObject, UnfinishedUpload, check_key, wrong_hash
from musehub.storage.signing import Permit, UrlSigner

_TEMPORARY = "tmp"
_LISTED_AT_ONCE = 1000
_SMALL_PIECE_BYTES = 64 << 10


class DiskStore:
    """A `Store` in the folder `root`; `signer` issues addresses of the hub itself."""

    def __init__(self, root: Path, signer: UrlSigner) -> None:
        self._root = root
        self._parts = DiskParts(root)
        self._arrivals = Arrivals()
        self.signer = signer

    def path_of(self, key: str) -> Path:
        """Where the value of a key lies; raises `pack-not-found` for what cannot be a key."""
        if check_key(key).startswith(_TEMPORARY + "/"):
            raise not_found(key)
        return self._root / key

    async def put(self, key: str, parts: Sequence[bytes | memoryview], sha256: bytes) -> None:
        def write() -> None:
            with contextlib.closing(self.begin(key, sum(map(len, parts)), sha256)) as upload:
                upload.write(parts)
                upload.finish()

        await asyncio.to_thread(write)

    def begin(self, key: str, size_bytes: int, sha256: bytes) -> Upload:
        """Start writing a value piece by piece; nothing is visible before `Upload.finish`. Blocks."""
        return Upload(self.path_of(key), self._root / _TEMPORARY, size_bytes, sha256, self._arrivals)

    @asynccontextmanager
    async def open(self, key: str, sha256: bytes | None = None) -> AsyncIterator[memoryview]:
        view = await asyncio.to_thread(_map, self.path_of(key), key, sha256, self._arrivals)
        try:
            yield view
        finally:
            try:
                view.release()
            except BufferError:
                pass  # a record of it is still alive somewhere; the mapping goes with the last one

    async def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return await asyncio.to_thread(_read_ranges, self.path_of(key), key, ranges)

    async def head(self, key: str) -> StoredObject | None:
        return await asyncio.to_thread(_head, self.path_of(key), key)

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        found = _walk(self._root, prefix)
        while batch := await asyncio.to_thread(_take, found, _LISTED_AT_ONCE):
            for item in batch:
                yield item

    async def delete(self, keys: Iterable[str]) -> None:
        def remove() -> None:
            for path in [self.path_of(key) for key in keys]:
                with translated("delete"):
                    path.unlink(missing_ok=True)

        await asyncio.to_thread(remove)

    async def presign_put(self, key: str, size_bytes: int, sha256: bytes, ttl_s: int) -> SignedRequest:
        return await self.signer.sign(Permit("PUT", key, size_bytes, sha256), ttl_s)

    async def presign_get(self, key: str, ttl_s: int) -> SignedRequest:
        return await self.signer.sign(Permit("GET", key, None, None), ttl_s)

    async def open_upload(self, key: str) -> str:
        await asyncio.to_thread(self._parts.open, self._check(key))
        return THE_UPLOAD

    async def list_parts(self, key: str, upload: str) -> dict[int, int]:
        return await asyncio.to_thread(self._parts.sizes, self._check(key))

    async def presign_part(
        self, key: str, upload: str, number: int, size_bytes: int, sha256: bytes, ttl_s: int
    ) -> SignedRequest:
        return await self.signer.sign(Permit("PUT", part_key(key, number), size_bytes, sha256), ttl_s)

    async def finish_upload(self, key: str, upload: str, parts: Sequence[bytes]) -> None:
        def join() -> None:
            path, temporary = self.path_of(key), self._root / _TEMPORARY / secrets.token_hex(16)
            with translated("write"):
                temporary.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._parts.join(key, len(parts), temporary)
                with translated("write"):
                    _publish(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
            self._parts.remove(key)

        await asyncio.to_thread(join)

    async def abort_upload(self, key: str, upload: str) -> None:
        await asyncio.to_thread(self._parts.remove, self._check(key))

    async def list_uploads(self, prefix: str) -> AsyncIterator[UnfinishedUpload]:
        for found in await asyncio.to_thread(self._parts.list_uploads, prefix):
            yield found

    def _check(self, key: str) -> str:
        self.path_of(key)
        return key

    async def close(self) -> None:
        return None


class Upload:
    """A value on its way to the disk. Not for concurrent use; every method blocks."""

    def __init__(
        self, path: Path, temporary: Path, size_bytes: int, sha256: bytes, arrivals: Arrivals
    ) -> None:
        self._arrivals = arrivals
        self._path = path
        self._size = size_bytes
        self._sha256 = sha256
        self._hash = hashlib.sha256()
        self._written = 0
        self._temporary: Path | None = temporary / secrets.token_hex(16)
        with translated("write"):
            temporary.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = self._temporary.open("xb", buffering=0)

    def write(self, parts: Sequence[bytes | memoryview]) -> None:
        """Append; raises `wrong-hash` as soon as there is more than was announced."""
        size = sum(map(len, parts))
        self._written += size
        if self._written > self._size:
            raise InvalidData("wrong-hash", f"more than the announced {self._size} bytes arrived")
        with translated("write"):
            if size < len(parts) * _SMALL_PIECE_BYTES:
                parts = [b"".join(parts)]  # costs less than a system call for each
            for part in parts:
                self._hash.update(part)
                rest = memoryview(part)
                while rest:
                    rest = rest[self._file.write(rest) :]

    def finish(self) -> None:
        """Make the value durable and visible; raises `wrong-hash`, and keeps nothing then."""
        if self._written != self._size or self._hash.digest() != self._sha256:
            raise InvalidData(
                "wrong-hash",
                f"{self._written} bytes arrived whose length or SHA-256 is not the announced one",
                hint="send the pack again",
                retry=True,
            )
        assert self._temporary is not None
        with translated("write"):
            os.fsync(self._file.fileno())
            _publish(self._temporary, self._path)
            self._temporary = None
            self._arrivals.note(self._file.fileno(), self._sha256)

    def close(self) -> None:
        """Remove what was not finished."""
        self._file.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
            self._temporary = None


def _publish(temporary: Path, path: Path) -> None:
    """Make a synced file visible under its key."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary.rename(path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _map(path: Path, key: str, sha256: bytes | None, arrivals: Arrivals) -> memoryview:
    with translated("read", key), path.open("rb") as file:
        view = memoryview(b"")
        if os.fstat(file.fileno()).st_size > 0:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        is_known = sha256 is None or arrivals.knows(file.fileno(), sha256)
    if not is_known and hash_bytes(view) != sha256:
        raise wrong_hash(key)
    return view


def _read_ranges(path: Path, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    with translated("read", key), path.open("rb", buffering=0) as file:
        found = [os.pread(file.fileno(), size, start) for start, size in ranges]
    for data, (_start, size) in zip(found, ranges, strict=True):
        if len(data) != size:
            raise CorruptStore("corrupt-segment", f'"{key}" ends before its contents do')
    return found


def _head(path: Path, key: str) -> StoredObject | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return StoredObject(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _walk(root: Path, prefix: str) -> Iterator[StoredObject]:
    with translated("read"):
        for folder, folders, names in os.walk(root / prefix):
            if Path(folder) == root:
                folders[:] = [name for name in folders if name not in (_TEMPORARY, PARTS)]
            for name in names:
                path = Path(folder, name)
                found = _head(path, path.relative_to(root).as_posix())
                if found is not None:
                    yield found


def _take(found: Iterator[StoredObject], count: int) -> list[StoredObject]:
    return [item for item, _ in zip(found, range(count), strict=False)]
