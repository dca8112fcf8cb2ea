"""What every object store must do; see `musehub.storage.port`. A new store is added to `store`."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from muse.errors import CorruptStore, InvalidData, MuseError, NotFound
from musehub.storage.disk import DiskStore
from musehub.storage.port import Store
from musehub.storage.signing import UrlSigner

KEY = "packs/7/" + "ab" * 32


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["disk"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = _open(request.param, tmp_path)
    yield opened
    await opened.close()


def _open(kind: str, tmp_path: Path) -> Store:
    async def secret() -> bytes:
        return b"s" * 32

    assert kind == "disk"
    return DiskStore(tmp_path / "store", UrlSigner(secret))


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
