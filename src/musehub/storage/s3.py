"""An S3-compatible store: AWS, SeaweedFS, MinIO, R2 and their like.

Requests go through `obstore`; addresses for clients are signed with `botocore`'s signer, because a header has
to be part of them: the body's SHA-256 and length, so that the store itself refuses any other bytes.
"""

from __future__ import annotations

import asyncio
import base64
import mmap
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store as ObjectStore

from muse.errors import CorruptStore, Environment, InvalidData, NotFound, RemoteFailure, UsageError
from muse.objects.ids import hash_bytes
from muse.wire.messages import SignedRequest
from musehub.storage.port import StoredObject

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_DEFAULT_REGION = "us-east-1"
_OPTIONS = frozenset({"endpoint", "public_endpoint", "region", "virtual_hosted_style"})


class S3Address(NamedTuple):
    """Where a store is: `s3://bucket/prefix?endpoint=…&public_endpoint=…&region=…&virtual_hosted_style=…`.

    `endpoint` is how the hub reaches the store, `public_endpoint` how clients do. Empty: AWS of the region.
    """

    bucket: str
    prefix: str
    endpoint: str
    public_endpoint: str
    region: str
    virtual_hosted_style: bool


def parse_s3_address(url: str) -> S3Address:
    """Parse a store address; raises `bad-setting`."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = options.keys() - _OPTIONS
    if parts.scheme != "s3" or not parts.netloc or unknown:
        what = f"unknown option {', '.join(sorted(unknown))}" if unknown else "no bucket"
        raise UsageError(
            "bad-setting",
            f'"{url}" is not the address of an S3 store: {what}',
            hint="write s3://BUCKET or s3://BUCKET/PREFIX?endpoint=http://HOST:PORT&region=REGION",
        )
    region = options.get("region", _DEFAULT_REGION)
    endpoint = options.get("endpoint", f"https://s3.{region}.amazonaws.com").rstrip("/")
    return S3Address(
        bucket=parts.netloc,
        prefix=f"{parts.path.strip('/')}/" if parts.path.strip("/") else "",
        endpoint=endpoint,
        public_endpoint=options.get("public_endpoint", endpoint).rstrip("/"),
        region=region,
        virtual_hosted_style=options.get("virtual_hosted_style", "false") == "true",
    )


class S3Store:
    """A `Store` in a bucket. `idle_timeout_s` bounds silence, never the whole of a transfer."""

    def __init__(
        self,
        address: S3Address,
        access_key: str,
        secret_key: str,
        *,
        idle_timeout_s: int = 60,
        retry_timeout_s: int = 30,
    ) -> None:
        self._address = address
        self._keys = (access_key, secret_key)
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
            endpoint=self._bucket_url(address.endpoint) if address.virtual_hosted_style else address.endpoint,
            access_key_id=access_key,
            secret_access_key=secret_key,
            region=address.region,
            virtual_hosted_style_request=address.virtual_hosted_style,
            client_options=client,
            retry_config=retry,
        )

    async def put(self, key: str, parts: Sequence[bytes | memoryview], sha256: bytes) -> None:
        data = b"".join(parts)
        if await asyncio.to_thread(hash_bytes, data) != sha256:
            raise InvalidData("wrong-hash", "bytes for the store do not have the announced SHA-256")
        with _translated(key):
            await obstore.put_async(self._store, key, data, use_multipart=False)

    @asynccontextmanager
    async def open(self, key: str) -> AsyncIterator[memoryview]:
        # A file rather than memory: several packs are verified at once, and pages of a file can be given
        # back.
        with tempfile.TemporaryFile() as file:
            with _translated(key):
                result = await obstore.get_async(self._store, key)
                async for data in result.stream(min_chunk_size=4 << 20):
                    await asyncio.to_thread(file.write, data)
            file.flush()
            if result.meta["size"] == 0:
                yield memoryview(b"")
                return
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            try:
                yield view
            finally:
                try:
                    view.release()
                except BufferError:
                    pass  # a record of it is still alive somewhere; the mapping goes with the last one

    async def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        if not ranges:
            return []
        with _translated(key):
            found = await obstore.get_ranges_async(
                self._store,
                key,
                starts=[start for start, _size in ranges],
                lengths=[size for _start, size in ranges],
            )
        for data, (_start, size) in zip(found, ranges, strict=True):
            if len(data) != size:
                raise CorruptStore("corrupt-segment", f'"{key}" ends before its contents do')
        return [bytes(data) for data in found]

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
        headers = {
            "Content-Length": str(size_bytes),
            "x-amz-checksum-sha256": base64.b64encode(sha256).decode(),
        }
        return self._presign("PUT", key, headers, ttl_s)

    async def presign_get(self, key: str, ttl_s: int) -> SignedRequest:
        return self._presign("GET", key, {}, ttl_s)

    def _presign(self, method: str, key: str, headers: dict[str, str], ttl_s: int) -> SignedRequest:
        from botocore.auth import S3SigV4QueryAuth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        path = quote(f"{self._address.prefix}{key}")
        url = f"{self._bucket_url(self._address.public_endpoint)}/{path}"
        request = AWSRequest(method=method, url=url, headers=headers)
        signer = S3SigV4QueryAuth(Credentials(*self._keys), "s3", self._address.region, expires=ttl_s)
        signer.add_auth(request)
        expires = datetime.now(UTC) + timedelta(seconds=ttl_s)
        return SignedRequest(method=method, url=request.url, headers=headers, expires_at=expires.isoformat())

    def _bucket_url(self, endpoint: str) -> str:
        if not self._address.virtual_hosted_style:
            return f"{endpoint}/{self._address.bucket}"
        parts = urlsplit(endpoint)
        return f"{parts.scheme}://{self._address.bucket}.{parts.netloc}"

    async def close(self) -> None:
        return None


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
