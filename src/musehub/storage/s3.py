"""An S3-compatible store: AWS, SeaweedFS, MinIO, R2 and their like.

Requests go through `obstore`; addresses for clients are signed with `botocore`'s signer, because a header has
to be part of them: the body's SHA-256 and length, so that the store itself refuses any other bytes. What
`obstore` does not offer of uploads in parts is in `s3_parts`.
"""

from __future__ import annotations

import asyncio
import base64
import mmap
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store as ObjectStore

from muse.errors import CorruptStore, Environment, InvalidData, NotFound, RemoteFailure
from muse.objects.ids import hash_bytes
from muse.wire.uploads import SignedRequest
from musehub.storage.port import StoredObject, UnfinishedUpload, check_key, wrong_hash
from musehub.storage.s3_address import S3Address, sign_request
from musehub.storage.s3_parts import PART_MIN_BYTES, S3Parts

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import ClientConfig, RetryConfig


_READ_AT_ONCE = 24 << 20
"""Most packs have 16 MiB. For a moment there are two copies, and two packs are verified at once."""
_STREAMED_AT_ONCE = 512 << 10
"""With 4 MiB two downloads at a time kept 60 MB more of memory, and were not faster."""


class S3Store:
    """A `Store` in a bucket. `idle_timeout_s` bounds silence, never the whole of a transfer.

    Values over `put_max_bytes` are stored in parts.
    """

    def __init__(
        self,
        address: S3Address,
        access_key: str,
        secret_key: str,
        *,
        put_max_bytes: int = 1 << 30,
        idle_timeout_s: int = 60,
        retry_timeout_s: int = 30,
    ) -> None:
        self._address = address
        self._keys = (access_key, secret_key)
        self._put_max_bytes = put_max_bytes
        self._parts = S3Parts(
            address, self._keys, idle_timeout_s=idle_timeout_s, retry_timeout_s=retry_timeout_s
        )
        client: ClientConfig = {
            "allow_http": address.endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=min(idle_timeout_s, 10)),
            "read_timeout": timedelta(seconds=idle_timeout_s),
            # The total is bounded by obstore unless it is told otherwise; a large transfer takes what it
            # takes.
            "timeout": timedelta(days=1),
        }
        retry: RetryConfig = {"max_retries": 5, "retry_timeout": timedelta(seconds=retry_timeout_s)}
        self._store = ObjectStore(
            address.bucket,
            prefix=address.prefix or None,
            endpoint=address.bucket_url(address.endpoint)
            if address.virtual_hosted_style
            else address.endpoint,
            access_key_id=access_key,
            secret_access_key=secret_key,
            region=address.region,
            virtual_hosted_style_request=address.virtual_hosted_style,
            client_options=client,
            retry_config=retry,
        )

    async def put(self, key: str, parts: Sequence[bytes | memoryview], sha256: bytes) -> None:
        check_key(key)
        data = b"".join(parts)
        if await asyncio.to_thread(hash_bytes, data) != sha256:
            raise InvalidData("wrong-hash", "bytes for the store do not have the announced SHA-256")
        with _translated(key):
            await obstore.put_async(
                self._store,
                key,
                data,
                use_multipart=len(data) > self._put_max_bytes,
                chunk_size=max(self._put_max_bytes, PART_MIN_BYTES),
            )

    @asynccontextmanager
    async def open(self, key: str, sha256: bytes | None = None) -> AsyncIterator[memoryview]:
        check_key(key)
        with _translated(key):
            result = await obstore.get_async(self._store, key)
            if result.meta["size"] <= _READ_AT_ONCE:
                # Each piece would have to wait for the threads that verify other packs meanwhile.
                data: obstore.Bytes | mmap.mmap = await result.bytes_async()
            else:
                data = await _map(result)
        view = memoryview(data)
        try:
            if sha256 is not None and await asyncio.to_thread(hash_bytes, view) != sha256:
                raise wrong_hash(key)
            yield view
        finally:
            try:
                view.release()
            except BufferError:
                pass  # a record of it is still alive somewhere; the bytes go with the last one

    async def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        asked = [(start, size) for start, size in ranges if size]  # S3 has no empty ranges
        if not asked:
            return [b""] * len(ranges)
        with _translated(key):
            found = await obstore.get_ranges_async(
                self._store,
                key,
                starts=[start for start, _size in asked],
                lengths=[size for _start, size in asked],
            )
        for data, (_start, size) in zip(found, asked, strict=True):
            if len(data) != size:
                raise CorruptStore("corrupt-segment", f'"{key}" ends before its contents do')
        rest = iter(found)
        return [bytes(next(rest)) if size else b"" for _start, size in ranges]

    async def head(self, key: str) -> StoredObject | None:
        try:
            with _translated(key):
                meta = await obstore.head_async(self._store, key)
        except NotFound:
            return None
        return StoredObject(key, meta["size"], meta["last_modified"])

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        with _translated(prefix):
            async for batch in obstore.list(self._store, prefix or None):
                for meta in batch:
                    yield StoredObject(meta["path"], meta["size"], meta["last_modified"])

    async def delete(self, keys: Iterable[str]) -> None:
        paths = list(keys)
        if paths:
            try:
                with _translated(paths[0]):
                    await obstore.delete_async(self._store, paths)
            except NotFound:
                pass  # that one was gone before; the others are deleted all the same

    async def presign_put(self, key: str, size_bytes: int, sha256: bytes, ttl_s: int) -> SignedRequest:
        return self._presign("PUT", key, _bound_headers(size_bytes, sha256), ttl_s)

    async def presign_get(self, key: str, ttl_s: int) -> SignedRequest:
        return self._presign("GET", key, {}, ttl_s)

    async def open_upload(self, key: str) -> str:
        return await self._parts.open(key)

    async def list_parts(self, key: str, upload: str) -> dict[int, int]:
        return await self._parts.load_sizes(key, upload)

    async def presign_part(
        self, key: str, upload: str, number: int, size_bytes: int, sha256: bytes, ttl_s: int
    ) -> SignedRequest:
        return self._presign(
            "PUT", key, _bound_headers(size_bytes, sha256), ttl_s, partNumber=str(number), uploadId=upload
        )

    async def finish_upload(self, key: str, upload: str, parts: Sequence[bytes]) -> None:
        await self._parts.finish(key, upload, parts)

    async def abort_upload(self, key: str, upload: str) -> None:
        await self._parts.abort(key, upload)

    async def list_uploads(self, prefix: str) -> AsyncIterator[UnfinishedUpload]:
        for found in await self._parts.list_uploads(prefix):
            yield found

    def _presign(
        self, method: str, key: str, headers: dict[str, str], ttl_s: int, **query: str
    ) -> SignedRequest:
        return sign_request(
            self._address, self._keys, method, key, headers=headers, query=query, ttl_s=ttl_s, public=True
        )

    async def close(self) -> None:
        return None


async def _map(result: GetResult) -> mmap.mmap:
    """Bring a large value into a file rather than into memory: pages of a file can be given back."""
    with tempfile.TemporaryFile() as file:
        async for data in result.stream(min_chunk_size=_STREAMED_AT_ONCE):
            await asyncio.to_thread(file.write, data)
        file.flush()
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _bound_headers(size_bytes: int, sha256: bytes) -> dict[str, str]:
    """Headers that become part of the proof: the store refuses any other body."""
    return {"Content-Length": str(size_bytes), "x-amz-checksum-sha256": base64.b64encode(sha256).decode()}


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound("pack-not-found", f'the store holds nothing under "{key}"') from None
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise Environment(
            "read-only",
            "the store refuses the hub's keys",
            hint="check store_access_key and store_secret_key, and what they may do in the bucket",
        ) from error
    except (BaseError, OSError) as error:
        raise RemoteFailure(
            "store-unavailable", "the object store does not answer", hint="try again later", retry=True
        ) from error
