"""What is particular to S3; what every store must do is in tests/contracts."""

from __future__ import annotations

import http.client
import os
from urllib.parse import urlsplit

import pytest
from tests.musehub.seaweedfs import SeaweedFS

from muse.errors import MuseError
from muse.objects.ids import hash_bytes
from muse.wire.uploads import SignedRequest
from musehub.storage.s3 import S3Store
from musehub.storage.s3_address import parse_s3_address


@pytest.fixture
def store(seaweedfs: SeaweedFS) -> S3Store:
    return S3Store(parse_s3_address(seaweedfs.create_bucket()), *seaweedfs.keys, retry_timeout_s=1)


def send(request: SignedRequest, body: bytes, headers: dict[str, str] | None = None) -> int:
    parts = urlsplit(request.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request(
            request.method,
            f"{parts.path}?{parts.query}",
            body,
            request.headers if headers is None else headers,
        )
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


async def test_the_store_itself_refuses_other_bytes(store: S3Store) -> None:
    body = b"the announced bytes" * 1000
    request = await store.presign_put("packs/1/a", len(body), hash_bytes(body), 60)
    swapped = body[:-1] + b"?"
    assert send(request, swapped) in {400, 403}
    assert send(request, body[:-1], {**request.headers, "Content-Length": str(len(body) - 1)}) in {400, 403}
    assert send(request, swapped, {}) in {400, 403}
    assert await store.head("packs/1/a") is None
    assert send(request, body) == 200
    head = await store.head("packs/1/a")
    assert head is not None
    assert head.size_bytes == len(body)


async def test_clients_are_sent_to_the_public_endpoint(seaweedfs: SeaweedFS) -> None:
    address = parse_s3_address(seaweedfs.create_bucket() + "&public_endpoint=https://files.example.org")
    store = S3Store(address, *seaweedfs.keys)
    put = await store.presign_put("packs/1/a", 3, hash_bytes(b"abc"), 60)
    get = await store.presign_get("packs/1/a", 60)
    assert {urlsplit(request.url).netloc for request in (put, get)} == {"files.example.org"}
    # The hub itself still reaches it by the other name.
    await store.put("packs/1/a", [b"abc"], hash_bytes(b"abc"))
    async with store.open("packs/1/a") as view:
        assert bytes(view) == b"abc"


async def test_a_value_too_large_for_memory_is_read_whole(store: S3Store) -> None:
    data = os.urandom(1 << 20) * 25
    await store.put("packs/1/a", [data], hash_bytes(data))
    async with store.open("packs/1/a") as view:
        assert view.readonly
        assert hash_bytes(view) == hash_bytes(data)


async def test_an_expired_address_is_refused(store: S3Store) -> None:
    request = await store.presign_put("packs/1/a", 3, hash_bytes(b"abc"), 1)
    late = request.url.replace("X-Amz-Date=2", "X-Amz-Date=1")
    assert send(request._replace(url=late), b"abc") in {400, 403}


async def test_wrong_keys_and_a_store_that_is_away_are_told_apart(seaweedfs: SeaweedFS) -> None:
    address = parse_s3_address(seaweedfs.create_bucket())
    with pytest.raises(MuseError) as caught:
        await S3Store(address, "nobody", "wrong", retry_timeout_s=1).put(
            "packs/1/a", [b"x"], hash_bytes(b"x")
        )
    assert caught.value.code == "read-only"
    away = S3Store(address._replace(endpoint="http://127.0.0.1:9"), *seaweedfs.keys, retry_timeout_s=1)
    with pytest.raises(MuseError) as caught:
        await away.head("packs/1/a")
    assert (caught.value.code, caught.value.retry) == ("store-unavailable", True)


@pytest.mark.parametrize("url", ["s3://", "s3://bucket?endpont=http://x", "http://bucket"])
def test_an_address_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(MuseError) as caught:
        parse_s3_address(url)
    assert caught.value.code == "bad-setting"


def test_an_address_without_endpoint_means_aws() -> None:
    address = parse_s3_address("s3://bucket/some/prefix?region=eu-central-1&virtual_hosted_style=true")
    assert address.endpoint == "https://s3.eu-central-1.amazonaws.com"
    assert (address.prefix, address.virtual_hosted_style) == ("some/prefix/", True)
