"""Large pushes: packs go to the store, the hub verifies and records them, the stream holds no blobs."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.musehub.hub import History, HubUser, RunningHub, header_of, pack_of, push_body
from tests.musehub.stores import WatchedStore

from muse.errors import MuseError
from muse.objects.ids import Kind, hash_bytes
from muse.packs.record import Record, encode_object
from muse.wire.frames import BLOBS
from muse.wire.push import RefUpdate
from muse.wire.uploads import ConfirmRequest
from musehub.storage.signing import UrlSigner


def take_pack(history: History) -> tuple[bytes, list[tuple[Kind, bytes, Record]]]:
    """Everything new: the blobs as a pack, the rest as records."""
    taken = history.take()
    pack = pack_of([(object_id, record) for kind, object_id, record in taken if kind is Kind.BLOB])
    return pack, [item for item in taken if item[0] is not Kind.BLOB]


def test_presign_put_confirm_and_a_stream_without_blobs(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("data")
    history = History()
    commit = history.commit_files({f"f{n}": os.urandom(2000) for n in range(30)})
    pack, rest = take_pack(history)
    push_id = os.urandom(16)

    assert ada.upload(push_id, pack).status == 200
    confirmed = ada.confirm(push_id, pack).result()
    result = ada.stream(
        push_body(header_of([RefUpdate("heads/main", None, commit)], push_id=push_id), rest)
    ).result()

    assert confirmed["objects"] == 30
    assert confirmed["raw_bytes"] == 60_000
    assert not confirmed["stored"]
    assert result["counts"]["blobs"] == 30
    assert result["timeline"]["uploads"]["packs"] == 1
    assert result["timeline"]["uploads"]["bytes"] == len(pack)
    assert result["timeline"]["store_calls"] == 0
    assert ada.refs().json()["refs"]["heads/main"]["target"] == commit.hex()


def test_what_is_uploaded_or_recorded_is_not_asked_for_again(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("data")
    data = os.urandom(5000)
    pack = pack_of([(hash_bytes(data), encode_object(Kind.BLOB, data))])
    digest = hashlib.sha256(pack).digest()
    push_id = os.urandom(16)

    first = ada.presign(push_id, digest, len(pack)).json()
    assert (first["stored"], first["uploaded"]) == (False, False)
    assert ada.user.request(first["method"], first["url"], pack, first["headers"]).status == 200
    second = ada.presign(push_id, digest, len(pack)).json()
    assert (second["stored"], second["uploaded"]) == (False, True)
    assert "url" not in second
    assert ada.missing(Kind.BLOB, [hash_bytes(data)]) == [hash_bytes(data)]
    assert not ada.confirm(push_id, pack).result()["stored"]
    assert ada.confirm(push_id, pack).result()["stored"]
    third = ada.presign(os.urandom(16), digest, len(pack)).json()
    assert third["stored"]
    assert ada.missing(Kind.BLOB, [hash_bytes(data), b"x" * 32]) == [b"x" * 32]


def test_an_unknown_pack_cannot_be_confirmed(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("data")
    pack = pack_of([(hash_bytes(b"x"), encode_object(Kind.BLOB, b"x"))])
    ada.presign(os.urandom(16), b"d" * 32, 10)
    with pytest.raises(MuseError) as caught:
        ada.confirm(os.urandom(16), pack).result()
    assert caught.value.code == "pack-not-found"


def test_a_base_outside_the_pack_must_be_recorded(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("data")
    old, new = os.urandom(3000), b""
    new = old + b"more"
    first = pack_of([(hash_bytes(old), encode_object(Kind.BLOB, old))])
    second = pack_of([(hash_bytes(new), encode_object(Kind.BLOB, new, (hash_bytes(old), old)))])
    push_id = os.urandom(16)
    for pack in (first, second):
        assert ada.upload(push_id, pack).status == 200
    with pytest.raises(MuseError) as caught:
        ada.confirm(push_id, second).result()
    assert caught.value.code == "missing-objects"
    assert caught.value.retry
    assert ada.confirm(push_id, first).result()["objects"] == 1
    assert ada.confirm(push_id, second).result()["raw_bytes"] == len(new)


def test_a_chain_of_bases_across_packs_is_bounded(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("data")
    push_id = os.urandom(16)
    data = os.urandom(2000)
    objects = [(hash_bytes(data), encode_object(Kind.BLOB, data))]
    for number in range(90):
        old, data = data, data + b"%d" % number
        objects.append((hash_bytes(data), encode_object(Kind.BLOB, data, (hash_bytes(old), old))))
    for pack in (pack_of(objects[:50]), pack_of(objects[50:60])):
        ada.upload(push_id, pack)
        ada.confirm(push_id, pack).result()
    tail = pack_of(objects[60:])
    ada.upload(push_id, tail)
    with pytest.raises(MuseError) as caught:
        ada.confirm(push_id, tail).result()
    assert caught.value.code == "bad-pack"


def test_a_re_push_works_when_the_database_lost_what_the_store_still_has(hub: RunningHub) -> None:
    """The database was restored to an earlier state: `uploaded` leads straight to confirm."""
    ada = hub.user("ada").repository("data")
    data = os.urandom(5000)
    pack = pack_of([(hash_bytes(data), encode_object(Kind.BLOB, data))])
    push_id = os.urandom(16)
    ada.upload(push_id, pack)
    ada.confirm(push_id, pack).result()

    async def forget() -> None:
        from musehub.db.tables import blobs, packs

        async with hub.database.transaction("forget") as conn:
            await conn.execute(blobs.delete())
            await conn.execute(packs.delete())

    hub.call(forget())
    again = ada.presign(os.urandom(16), hashlib.sha256(pack).digest(), len(pack)).json()
    assert (again["stored"], again["uploaded"]) == (False, True)
    assert ada.confirm(os.urandom(16), pack).result()["objects"] == 1
    assert ada.missing(Kind.BLOB, [hash_bytes(data)]) == []


class TestIssuedAddresses:
    @pytest.fixture
    def database_kind(self) -> str:
        return "sqlite"

    @pytest.fixture
    def pack(self) -> bytes:
        data = os.urandom(5000)
        return pack_of([(hash_bytes(data), encode_object(Kind.BLOB, data))])

    def sign(self, user: HubUser, pack: bytes) -> str:
        digest = hashlib.sha256(pack).digest()
        return str(user.repository("data").presign(os.urandom(16), digest, len(pack)).json()["url"])

    def test_other_bytes_are_refused_and_nothing_is_kept(self, hub: RunningHub, pack: bytes) -> None:
        ada = hub.user("ada")
        url = self.sign(ada, pack)
        for wrong in (pack[:-1], pack + b"x", os.urandom(len(pack)), b""):
            answer = ada.request("PUT", url, wrong)
            assert answer.status == 422
            assert answer.error().code == "wrong-hash"
        push_id = os.urandom(16)
        with pytest.raises(MuseError) as caught:
            ada.repository("data").confirm(push_id, pack).result()
        assert caught.value.code == "pack-not-found"
        assert ada.request("PUT", url, pack).status == 200

    def test_an_address_is_for_one_key_length_and_method(self, hub: RunningHub, pack: bytes) -> None:
        ada = hub.user("ada")
        url = self.sign(ada, pack)
        for changed in (
            url.replace("size=", "size=1"),
            url.replace("sha256=", "sha256=00"),
            url.replace("packs/", "packs/9"),
            url.replace("expires=", "expires=9"),
            url.partition("?")[0],
            url + "0",
        ):
            answer = ada.request("PUT", changed, pack)
            assert answer.status == 403, changed
            assert answer.error().code == "bad-upload-url"
        assert ada.request("GET", url).status == 403

    def test_an_address_expires(self, start_hub: type[RunningHub], pack: bytes) -> None:
        hub = start_hub(presign_ttl_s=-10)  # type: ignore[call-arg]
        ada = hub.user("ada")
        answer = ada.request("PUT", self.sign(ada, pack), pack)
        assert answer.error().code == "bad-upload-url"
        assert answer.error().retry

    def test_a_pack_over_the_limit_is_refused_before_it_is_sent(self, start_hub: type[RunningHub]) -> None:
        hub = start_hub(pack_max_bytes=1000)  # type: ignore[call-arg]
        answer = hub.user("ada").repository("data").presign(os.urandom(16), b"d" * 32, 1001)
        assert answer.error().code == "too-large"


def test_what_is_missing_is_told_of_each_kind(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("data")
    history = History()
    commit = history.commit_files({f"f{n}": b"%d" % n for n in range(100)})
    ada.push_main(history, commit)
    present = [object_id for kind, object_id in history.objects if kind is Kind.BLOB]
    absent = [hash_bytes(b"absent %d" % n) for n in range(100)]
    assert ada.missing(Kind.BLOB, present + absent) == absent
    assert ada.missing(Kind.TREE, present) == present
    assert ada.missing(Kind.COMMIT, [commit]) == []


class GatedStore(WatchedStore):
    """The first one who reads a pack back waits until `gate` is set."""

    def __init__(self, folder: Path, signer: UrlSigner) -> None:
        super().__init__(folder, signer)
        self.watching(lambda name: None)
        self.met, self.gate = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def open(self, key: str, sha256: bytes | None = None) -> AsyncIterator[memoryview]:
        if not self.met.is_set():
            self.met.set()
            await self.gate.wait()
        async with super().open(key, sha256) as view:
            yield view


def test_a_confirm_that_lies_deletes_no_pack_that_another_one_recorded_meanwhile(
    start_hub: Callable[..., RunningHub], tmp_path: Path
) -> None:
    async def secret() -> bytes:
        return b"s" * 32

    async def set_gate() -> None:
        store.gate.set()

    store = GatedStore(tmp_path / "store", UrlSigner(secret))
    hub = start_hub(store)
    ada = hub.user("ada").repository("data")
    history = History()
    commit = history.commit_files({"f": os.urandom(2000)})
    pack, rest = take_pack(history)
    push_id = os.urandom(16)
    assert ada.upload(push_id, pack).status == 200
    lie = ConfirmRequest(os.urandom(16), hashlib.sha256(pack).digest(), len(pack) - 1).to_json()
    with ThreadPoolExecutor() as pool:
        lying = pool.submit(ada.user.post_json, f"{ada.path}/push/confirm", lie)
        hub.call(store.met.wait())
        ada.confirm(push_id, pack).result()
        hub.call(set_gate())
        with pytest.raises(MuseError) as caught:
            lying.result().result()
    assert caught.value.code == "wrong-hash"
    header = header_of([RefUpdate("heads/main", None, commit)], push_id=push_id)
    ada.stream(push_body(header, rest)).result()
    assert [frame for frame in ada.fetch().frames() if frame.type == BLOBS]
