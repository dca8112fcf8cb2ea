"""What every object store must do; see `musehub.storage.port`. A new store is added to `store`."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.musehub.seaweedfs import SeaweedFS
from tests.musehub.storage.uploads import send_signed

from muse.errors import CorruptStore, InvalidData, MuseError, NotFound
from musehub.storage.disk import DiskStore
from musehub.storage.metering import MeteredStore
from musehub.storage.port import Store
from musehub.storage.s3 import S3Store
from musehub.storage.s3_address import parse_s3_address
from musehub.storage.signing import UrlSigner

KEY = "packs/7/" + "ab" * 32


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["disk", "s3", "metered"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = _open(request, tmp_path)
    yield opened
    await opened.close()


def _open(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    async def secret() -> bytes:
        return b"s" * 32

    if request.param == "s3":
        server: SeaweedFS = request.getfixturevalue("seaweedfs")
        address = parse_s3_address(server.create_bucket())
        return S3Store(address, *server.keys, retry_timeout_s=2)
    disk = DiskStore(tmp_path / "store", UrlSigner(secret))
    return MeteredStore(disk) if request.param == "metered" else disk


async def put(store: Store, key: str, data: bytes) -> None:
    await store.put(key, [data], hashlib.sha256(data).digest())


async def read(store: Store, key: str) -> bytes:
    async with store.open(key) as view:
        return bytes(view)


async def keys(store: Store, prefix: str) -> list[str]:
    return sorted([found.key async for found in store.list(prefix)])


@pytest.mark.anyio
async def test_what_was_put_is_read_back(store: Store) -> None:
    data = os.urandom(3_000_000)
    parts = [data[:10], memoryview(data)[10:2_000_000], data[2_000_000:]]
    await store.put(KEY, parts, hashlib.sha256(data).digest())
    assert await read(store, KEY) == data
    found = await store.head(KEY)
    assert found is not None
    assert (found.key, found.size_bytes) == (KEY, len(data))
    assert found.stored_at.tzinfo is not None


@pytest.mark.anyio
async def test_an_empty_value_is_a_value(store: Store) -> None:
    await put(store, KEY, b"")
    assert await read(store, KEY) == b""


@pytest.mark.anyio
async def test_bytes_with_another_hash_are_refused_and_leave_nothing(store: Store) -> None:
    with pytest.raises(InvalidData) as caught:
        await store.put(KEY, [b"bytes"], hashlib.sha256(b"other").digest())
    assert caught.value.code == "wrong-hash"
    assert await store.head(KEY) is None
    assert await keys(store, "") == []


@pytest.mark.anyio
async def test_a_failed_put_leaves_the_earlier_value(store: Store) -> None:
    await put(store, KEY, b"good")
    with pytest.raises(InvalidData):
        await store.put(KEY, [b"bad"], hashlib.sha256(b"good").digest())
    assert await read(store, KEY) == b"good"


@pytest.mark.anyio
async def test_putting_twice_is_harmless(store: Store) -> None:
    await put(store, KEY, b"same")
    await put(store, KEY, b"same")
    assert await read(store, KEY) == b"same"


@pytest.mark.anyio
async def test_bytes_are_opened_with_their_hash_only(store: Store) -> None:
    await put(store, KEY, b"bytes")
    async with store.open(KEY, hashlib.sha256(b"bytes").digest()) as view:
        assert view == b"bytes"
    with pytest.raises(InvalidData) as caught:
        async with store.open(KEY, hashlib.sha256(b"other").digest()):
            pass
    assert caught.value.code == "wrong-hash"
    assert caught.value.retry


@pytest.mark.anyio
async def test_many_writers_of_one_key_agree(store: Store) -> None:
    data = os.urandom(200_000)
    await asyncio.gather(*(put(store, KEY, data) for _ in range(8)))
    assert await read(store, KEY) == data
    assert await keys(store, "") == [KEY]


@pytest.mark.anyio
async def test_ranges_come_back_in_the_order_asked_for(store: Store) -> None:
    data = bytes(range(256)) * 4
    await put(store, KEY, data)
    ranges = [(1000, 24), (0, 1), (5, 0), (3, 500)]
    assert await store.get_ranges(KEY, ranges) == [data[s : s + n] for s, n in ranges]


@pytest.mark.anyio
async def test_a_range_beyond_the_end_is_damage(store: Store) -> None:
    await put(store, KEY, b"short")
    with pytest.raises(CorruptStore):
        await store.get_ranges(KEY, [(0, 3), (4, 10)])


@pytest.mark.anyio
async def test_what_is_not_there_is_not_found(store: Store) -> None:
    assert await store.head(KEY) is None
    with pytest.raises(NotFound):
        await read(store, KEY)
    with pytest.raises(NotFound):
        await store.get_ranges(KEY, [(0, 1)])


@pytest.mark.anyio
async def test_values_are_listed_by_prefix_and_deleted(store: Store) -> None:
    names = [f"packs/{repository}/{number:064x}" for repository in (1, 2) for number in range(3)]
    for name in names:
        await put(store, name, name.encode())
    assert await keys(store, "packs/1/") == names[:3]
    assert await keys(store, "") == names
    assert await keys(store, "nothing/") == []
    await store.delete([*names[:2], KEY])
    await store.delete(names[:2])
    assert await keys(store, "") == names[2:]


@pytest.mark.anyio
@pytest.mark.parametrize("key", ["../outside", "packs/../../x", "/etc/passwd", ".hidden", "a//b", "a\0b", ""])
async def test_a_key_cannot_leave_the_store(store: Store, key: str, tmp_path: Path) -> None:
    with pytest.raises(MuseError):
        await put(store, key, b"x")
    with pytest.raises(MuseError):
        await read(store, key)
    assert not (tmp_path / "outside").exists()


@pytest.mark.anyio
async def test_a_view_outlives_the_deletion_of_its_value(store: Store) -> None:
    """A pack that is being read while it is cleaned up is read to its end."""
    await put(store, KEY, b"still here")
    async with store.open(KEY) as view:
        await store.delete([KEY])
        assert bytes(view) == b"still here"


# ---- values in parts

PART = 5 << 20


async def send_part(
    store: Store, upload: str, number: int, data: bytes, announced: bytes | None = None
) -> int:
    digest = hashlib.sha256(announced or data).digest()
    request = await store.presign_part(KEY, upload, number, len(data), digest, 60)
    return await send_signed(store, request, data)


@pytest.mark.anyio
async def test_parts_become_one_value_when_all_are_there(store: Store) -> None:
    parts = [os.urandom(PART), os.urandom(PART), b"the rest"]
    hashes = [hashlib.sha256(part).digest() for part in parts]
    upload = await store.open_upload(KEY)
    assert await store.list_parts(KEY, upload) == {}
    for number in (3, 1):
        assert await send_part(store, upload, number, parts[number - 1]) == 200
    assert await store.list_parts(KEY, upload) == {1: PART, 3: 8}
    with pytest.raises(InvalidData) as caught:
        await store.finish_upload(KEY, upload, hashes)
    assert (caught.value.code, caught.value.retry) == ("truncated", True)
    assert await store.head(KEY) is None
    assert await keys(store, "") == []
    # Somebody who comes back takes it up where it was left; a part sent twice is one part.
    assert await store.open_upload(KEY) == upload
    assert await send_part(store, upload, 2, parts[1]) == 200
    assert await send_part(store, upload, 3, parts[2]) == 200
    await store.finish_upload(KEY, upload, hashes)
    assert await read(store, KEY) == b"".join(parts)
    assert await keys(store, "") == [KEY]
    assert [found async for found in store.list_uploads("packs/")] == []
    with pytest.raises(NotFound):
        await store.finish_upload(KEY, upload, hashes)


@pytest.mark.anyio
async def test_what_was_replaced_is_hashed_again(store: Store) -> None:
    """By an upload in parts, whose whole nobody has hashed."""
    good, bad = b"a" * 1000, b"b" * 1000
    await put(store, KEY, good)
    upload = await store.open_upload(KEY)
    assert await send_part(store, upload, 1, bad) == 200
    await store.finish_upload(KEY, upload, [hashlib.sha256(bad).digest()])
    with pytest.raises(InvalidData):
        async with store.open(KEY, hashlib.sha256(good).digest()):
            pass


@pytest.mark.anyio
async def test_a_part_is_bound_to_its_hash_and_its_length(store: Store) -> None:
    upload = await store.open_upload(KEY)
    assert 400 <= await send_part(store, upload, 1, b"other bytes", announced=b"these bytes") < 500
    request = await store.presign_part(KEY, upload, 1, 5, hashlib.sha256(b"short").digest(), 60)
    assert 400 <= await send_signed(store, request, b"longer") < 500
    assert await store.list_parts(KEY, upload) == {}


@pytest.mark.anyio
async def test_unfinished_uploads_are_found_and_dropped(store: Store) -> None:
    other = KEY.replace("packs/7", "packs/8")
    upload = await store.open_upload(KEY)
    await store.open_upload(other)
    assert await send_part(store, upload, 1, b"a part") == 200
    found = [one async for one in store.list_uploads("packs/7/")]
    assert [(one.key, one.upload) for one in found] == [(KEY, upload)]
    assert found[0].started_at.tzinfo is not None
    assert len([one async for one in store.list_uploads("packs/")]) == 2
    await store.abort_upload(KEY, upload)
    await store.abort_upload(KEY, upload)
    assert [one.key async for one in store.list_uploads("packs/")] == [other]
    with pytest.raises(NotFound):
        await store.list_parts(KEY, upload)
