"""Uploads against a store that refuses, loses and delays."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Callable, Iterator

import pytest
from tests.scripted_server import Peer, serve_script

from muse.errors import LimitReached, MuseError
from muse.objects.ids import Kind, hash_bytes
from muse.packs.pack import PackWriter, read_index
from muse.packs.record import encode_object
from muse.remote.client import HubClient
from muse.remote.packing import Pack
from muse.remote.retry import Retry
from muse.remote.upload import Uploader
from muse.store.progress import silent
from muse.wire.frames import MEDIA_TYPE, RESULT, encode_error, encode_json

Fault = Callable[[str, int, Peer], bool]


class FakeStore:
    """Presigns, takes and confirms packs. `fault(step, attempt, peer)` may answer in its place and return
    True.

    `addresses` are the targets of all PUTs, in order; `in_flight` the most bytes presigned and not confirmed.
    """

    def __init__(self) -> None:
        self.fault: Fault = lambda step, attempt, peer: False
        self.packs: dict[str, bytes] = {}
        self.confirmed: list[str] = []
        self.addresses: list[str] = []
        self.in_flight = 0
        self._open: dict[str, int] = {}
        self._numbers = 0
        self._attempts: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def serve(self, peer: Peer) -> None:
        while True:
            first, headers, body = peer.read_request()
            if not first:
                return
            target = first.split()[1]
            if target.endswith("/push/presign"):
                step, digest = "presign", json.loads(body)["digest"]
            elif target.endswith("/push/confirm"):
                step, digest = "confirm", json.loads(body)["digest"]
            else:
                step, digest = "put", target.split("/")[2].partition("?")[0]
                assert int(headers["content-length"]) == len(body)
            with self._lock:
                attempt = self._attempts[step, digest] = self._attempts.get((step, digest), 0) + 1
                if step == "put":
                    self.addresses.append(target)
            if not self.fault(step, attempt, peer):
                getattr(self, f"_{step}")(peer, digest, body)

    def _presign(self, peer: Peer, digest: str, body: bytes) -> None:
        with self._lock:
            self._numbers += 1
            self._open[digest] = json.loads(body)["size_bytes"]
            self.in_flight = max(self.in_flight, sum(self._open.values()))
            answer: dict[str, object] = {
                "stored": digest in self.confirmed,
                "uploaded": digest in self.packs,
                "method": "PUT",
                "url": f"/packs/{digest}?{self._numbers}",
                "headers": {"x-checksum": digest},
                "expires_at": "",
            }
        peer.answer(200, json.dumps(answer).encode(), content_type="application/json")

    def _put(self, peer: Peer, digest: str, body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != digest:
            peer.answer(400, b"BadDigest")
            return
        self.packs[digest] = body
        peer.answer(200)

    def _confirm(self, peer: Peer, digest: str, body: bytes) -> None:
        pack = self.packs[digest]
        with self._lock:
            self.confirmed.append(digest)
            self._open.pop(digest, None)
        result = {"digest": digest, "objects": len(read_index(memoryview(pack))), "size_bytes": len(pack)}
        frame = encode_json(RESULT, {**result, "raw_bytes": 0, "stored": False})
        peer.answer(200, frame, content_type=MEDIA_TYPE)


def make_packs(count: int, size: int) -> list[Pack]:
    rng = random.Random(count)
    packs = []
    for _ in range(count):
        writer = PackWriter()
        data = rng.randbytes(size)
        writer.add(hash_bytes(data), encode_object(Kind.BLOB, data))
        digest, parts = writer.seal()
        packs.append(Pack(digest, parts, sum(map(len, parts)), 1))
    return packs


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def hub(store: FakeStore, pauses: list[float]) -> Iterator[HubClient]:
    with serve_script(store.serve) as server:
        retry = Retry(attempts=4, random=lambda: 0.5, sleep=pauses.append)
        with HubClient(server.origin, retry=retry) as client:
            yield client


def upload(hub: HubClient, packs: list[Pack], max_bytes_in_flight: int = 1 << 30) -> int:
    with Uploader(
        hub, "/ada/songs", bytes(16), None, silent, max_bytes_in_flight=max_bytes_in_flight
    ) as uploader:
        for pack in packs:
            uploader.submit(pack)
        done = uploader.finish()
    assert (done.packs, done.size_bytes) == (len(packs), sum(pack.size_bytes for pack in packs))
    return done.packs


def test_all_packs_are_confirmed(store: FakeStore, hub: HubClient) -> None:
    packs = make_packs(40, 10_000)
    upload(hub, packs)
    assert sorted(store.confirmed) == sorted(pack.digest.hex() for pack in packs)
    assert hub.requests == 3 * len(packs)


def test_bytes_in_flight_are_bounded(store: FakeStore, hub: HubClient) -> None:
    packs = make_packs(40, 50_000)
    upload(hub, packs, max_bytes_in_flight=200_000)
    assert store.in_flight <= 200_000 + packs[0].size_bytes


def test_it_plans_instead_of_waiting(store: FakeStore, hub: HubClient) -> None:
    """Nothing is taken from the sender until the plan is whole, and nothing hangs."""
    planned = threading.Event()
    left = 20

    def plan_more() -> bool:
        nonlocal left
        left -= 1
        if not left:
            planned.set()
        return left > 0

    def fault(step: str, attempt: int, peer: Peer) -> bool:
        return step == "confirm" and not planned.wait(30)

    store.fault = fault
    packs = make_packs(4, 10_000)
    with Uploader(hub, "/ada/songs", bytes(16), None, silent, max_bytes_in_flight=1) as uploader:
        for pack in packs:
            uploader.submit(pack, plan_more)
        assert uploader.finish().packs == 4
    assert planned.is_set()


def test_what_follows_is_part_of_the_whole(store: FakeStore, hub: HubClient) -> None:
    reports: list[tuple[int, int | None]] = []
    packs = [
        pack._replace(following=following)
        for pack, following in zip(make_packs(4, 10_000), (None, 2, 1, 0), strict=True)
    ]
    with Uploader(
        hub,
        "/ada/songs",
        bytes(16),
        None,
        lambda _phase, done, total, _unit: reports.append((done, total)),
        max_bytes_in_flight=1,
    ) as uploader:
        for pack in packs:
            uploader.submit(pack)
        uploader.finish()
    whole = 4 * packs[0].size_bytes
    assert reports[0][1] is None
    assert {total for _done, total in reports} == {None, whole}
    assert reports[-1] == (whole, whole)


def test_every_attempt_has_a_fresh_address(store: FakeStore, hub: HubClient, pauses: list[float]) -> None:
    def fault(step: str, attempt: int, peer: Peer) -> bool:
        if step == "put" and attempt == 1:
            peer.answer(403, b"expired")
            return True
        if step == "put" and attempt == 2:
            peer.answer(503, b"slow down", retry_after="2")
            return True
        return False

    store.fault = fault
    packs = make_packs(5, 1000)
    upload(hub, packs)
    assert len(store.addresses) == len(set(store.addresses)) == 3 * len(packs)
    assert pauses.count(2.0) == len(packs)


def test_what_reached_the_store_is_not_sent_again(store: FakeStore, hub: HubClient) -> None:
    def fault(step: str, attempt: int, peer: Peer) -> bool:
        if step == "confirm" and attempt == 1:
            peer.close()
            return True
        return False

    store.fault = fault
    upload(hub, make_packs(4, 1000))
    assert len(store.addresses) == 4
    upload(hub, make_packs(4, 1000))  # the same ones: recorded by now
    assert len(store.addresses) == 4
    assert len(store.confirmed) == 4


def test_bytes_that_were_damaged_on_the_way_are_sent_again(store: FakeStore, hub: HubClient) -> None:
    def fault(step: str, attempt: int, peer: Peer) -> bool:
        if step == "put" and attempt == 1:
            peer.answer(400, b"BadDigest")
            return True
        return False

    store.fault = fault
    upload(hub, make_packs(3, 1000))
    assert len(store.addresses) == 6


@pytest.mark.parametrize("status", [413, 503])
def test_a_refusal_that_stays_ends_the_upload(
    store: FakeStore, hub: HubClient, pauses: list[float], status: int
) -> None:
    def fault(step: str, attempt: int, peer: Peer) -> bool:
        if step == "put":
            peer.answer(status, b"no")
        return step == "put"

    store.fault = fault
    with pytest.raises(MuseError) as caught:
        upload(hub, make_packs(1, 1000))
    assert caught.value.code == ("too-large" if status == 413 else "store-unavailable")
    assert len(store.addresses) == (1 if status == 413 else 4)
    assert len(pauses) == len(store.addresses) - 1


def test_a_quota_is_not_run_against_again_and_again(
    store: FakeStore, hub: HubClient, pauses: list[float]
) -> None:
    error = encode_error(LimitReached("quota-exceeded", "no room", hint="ask for more"))

    def fault(step: str, attempt: int, peer: Peer) -> bool:
        if step == "confirm":
            peer.answer(200, error, content_type=MEDIA_TYPE)
        return step == "confirm"

    store.fault = fault
    with pytest.raises(LimitReached) as caught:
        upload(hub, make_packs(1, 1000))
    assert caught.value.code == "quota-exceeded"
    assert pauses == []
