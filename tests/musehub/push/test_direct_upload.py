"""The real client uploads straight to the store: when, where to, in parts, and what the hub holds meanwhile.

Every test runs against SQLite with a folder and against PostgreSQL with S3, unless it is about one of them.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.auth
import pytest
import sqlalchemy.event
from tests.faulty_proxy import Fault, FaultyProxy
from tests.histories import commit_files, content, make_repository
from tests.musehub.hub import HubUser, RunningHub

from muse.errors import MuseError
from muse.history.edit import edit_tree
from muse.objects.commit import Commit, Person, encode_commit
from muse.objects.ids import Kind, hash_bytes
from muse.objects.tree import FILE, Entry
from muse.remote.address import Origin, RepositoryUrl, parse_hub_url
from muse.remote.client import HubClient
from muse.remote.clone import clone
from muse.remote.push import Pushed, push
from muse.remote.retry import Retry
from muse.remote.selection import select_refs
from muse.store.repository import Repository
from muse.wire.uploads import MAX_MISSING_IDS
from musehub.db.transaction import TransactionRecord
from musehub.settings import Settings
from musehub.storage.opening import open_store
from musehub.storage.port import Store

PART = 5 << 20

only_s3 = pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)


class Ada:
    """Somebody who works with a repository and pushes it to a hub, perhaps by way of `origin`."""

    def __init__(self, folder: Path, user: HubUser, origin: Origin | None = None) -> None:
        self._folder = folder
        self._token = user._token
        self.url = RepositoryUrl(origin or parse_hub_url(user.url), user.name, "notes")
        self.repository = make_repository(folder / "work", self.url)

    def push(self, retry: Retry | None = None) -> Pushed:
        with HubClient(self.url.origin, self._token, retry=retry) as hub:
            return push(self.repository, "origin", select_refs(self.repository), hub)

    def check_clone(self) -> None:
        with HubClient(self.url.origin, self._token) as hub:
            made = clone(self.url, self._folder / "clone", hub, checkout=False)
        with made.repository as copy:
            assert content(copy, "remotes/origin/heads/") == content(self.repository)

    def close(self) -> None:
        self.repository.close()


@pytest.fixture
def make_ada(tmp_path: Path) -> Iterator[Callable[..., Ada]]:
    made: list[Ada] = []

    def make(hub: RunningHub, origin: Origin | None = None) -> Ada:
        made.append(Ada(tmp_path, hub.user("ada"), origin))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def proxies() -> Iterator[Callable[[str], FaultyProxy]]:
    made: list[FaultyProxy] = []

    def make(url: str) -> FaultyProxy:
        made.append(FaultyProxy(parse_hub_url(url)))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


def commit_noise(repository: Repository, size: int, name: str = "noise.bin") -> None:
    rng = random.Random(size)
    files = {
        f"{name}.{start}": rng.randbytes(min(1 << 20, size - start)) for start in range(0, size, 1 << 20)
    }
    commit_files(repository, files)


@pytest.mark.parametrize(("blobs", "packs"), [(499, 0), (500, 1)])
def test_from_five_hundred_objects_on_blobs_go_straight_to_the_store(
    hub: RunningHub,
    make_ada: Callable[..., Ada],
    proxies: Callable[[str], FaultyProxy],
    blobs: int,
    packs: int,
) -> None:
    proxy = proxies(hub.url)
    ada = make_ada(hub, proxy.origin)
    commit_files(ada.repository, {f"d{n % 7}/{n}": b"%d" % n for n in range(blobs)})
    pushed = ada.push()
    assert pushed.packs == packs
    assert proxy.kinds.count("push/presign") == packs
    assert pushed.receipt.counts["blobs"] == blobs
    assert (pushed.receipt.timeline["uploads"] is not None) == bool(packs)


@only_s3
def test_no_object_bytes_pass_through_the_hub(
    start_hub: Callable[..., RunningHub],
    settings: Settings,
    make_ada: Callable[..., Ada],
    proxies: Callable[[str], FaultyProxy],
) -> None:
    """Clients reach the store by its public name, the hub by another one; the stream holds no O frame."""
    endpoint = settings.store_url.partition("endpoint=")[2]
    public = proxies(endpoint)
    hub = start_hub(store_url=f"{settings.store_url}&public_endpoint={public.origin}", stream_max_objects=20)
    to_hub = proxies(hub.url)
    ada = make_ada(hub, to_hub.origin)
    commit_noise(ada.repository, 24 << 20)
    pushed = ada.push()
    packs = pushed.packs
    assert packs > 1
    assert sorted(to_hub.kinds) == ["push/confirm"] * packs + ["push/presign"] * packs + [
        "push/stream",
        "refs",
    ]
    assert to_hub.bytes_up < 20_000
    puts = [request for request in public.requests if request.method == "PUT"]
    assert len(puts) == packs
    assert sum(request.bytes_up for request in puts) > 24 << 20
    timeline = pushed.receipt.timeline
    assert timeline["store_calls"] == 0
    assert timeline["uploads"]["packs"] == packs
    assert "x-amz-checksum-sha256" in puts[0].target.lower()
    ada.check_clone()
    assert {request.method for request in public.requests} == {"PUT", "GET"}


@only_s3
def test_an_address_that_expired_before_use_is_replaced(
    start_hub: Callable[..., RunningHub],
    settings: Settings,
    make_ada: Callable[..., Ada],
    proxies: Callable[[str], FaultyProxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    public = proxies(settings.store_url.partition("endpoint=")[2])
    hub = start_hub(store_url=f"{settings.store_url}&public_endpoint={public.origin}", stream_max_objects=20)
    ada = make_ada(hub)
    commit_noise(ada.repository, 21 << 20)
    signed_at = [datetime.now(UTC) - timedelta(hours=hours) for hours in (1, 2)]
    monkeypatch.setattr(
        botocore.auth,
        "get_current_datetime",
        lambda: (signed_at.pop() if signed_at else datetime.now(UTC)).replace(tzinfo=None),
    )
    pauses: list[float] = []
    packs = ada.push(Retry(sleep=pauses.append)).packs
    puts = [request.target for request in public.requests if request.method == "PUT"]
    assert len(puts) == packs + 2
    assert len(set(puts)) == packs + 2
    assert len(pauses) == 2


def test_an_upload_in_parts_is_taken_up_where_it_was_cut(
    start_hub: Callable[..., RunningHub],
    settings: Settings,
    make_ada: Callable[..., Ada],
    proxies: Callable[[str], FaultyProxy],
    database_kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("muse.remote.packing.FIRST_PACK_BYTES", 16 << 20)
    on_s3 = database_kind == "postgresql"
    store_url = settings.store_url
    if on_s3:
        to_store = proxies(store_url.partition("endpoint=")[2])
        store_url += f"&public_endpoint={to_store.origin}"
    hub = start_hub(store_url=store_url, stream_max_objects=5, store_put_max_bytes=PART)
    proxy = proxies(hub.url)
    if not on_s3:
        to_store = proxy
    ada = make_ada(hub, proxy.origin)
    commit_noise(ada.repository, 14 << 20)
    to_store.faults.append(Fault("00003" if not on_s3 else "partNumber=3", cut_request_at=1 << 20))
    with pytest.raises(MuseError):
        ada.push(Retry(attempts=1))
    assert proxy.kinds.count("push/part") == 3

    proxy.reset()
    to_store.reset()
    pushed = ada.push()
    assert pushed.packs == 1
    assert "push/stream" in proxy.kinds
    sent = [request for request in to_store.requests if request.method == "PUT"]
    assert 1 <= len(sent) <= 2  # how far the others had come when one was cut is chance
    assert sum(request.bytes_up for request in sent) < 10 << 20
    assert hub.call(_list_uploads(open_store(settings, _secret))) == []
    ada.check_clone()


def watch_pool(hub: RunningHub) -> Callable[[], int]:
    """Watch the real pool; what is returned counts the connections that the current task holds."""
    holders: dict[Any, Any] = {}

    def check_out(_connection: Any, record: Any, _proxy: Any) -> None:
        holders[record] = asyncio.current_task()

    def check_in(_connection: Any, record: Any) -> None:
        holders.pop(record, None)

    for engine in {hub.database._writer, hub.database._reader}:
        sqlalchemy.event.listen(engine.sync_engine, "checkout", check_out)
        sqlalchemy.event.listen(engine.sync_engine, "checkin", check_in)
    return lambda: sum(task is asyncio.current_task() for task in holders.values())


async def _secret() -> bytes:
    return b"s" * 32


async def _list_uploads(store: Store) -> list[Any]:
    return [found async for found in store.list_uploads("packs/")]


def test_parts_that_make_another_pack_are_refused_and_dropped(
    start_hub: Callable[..., RunningHub], settings: Settings
) -> None:
    hub = start_hub(store_put_max_bytes=PART)
    ada = hub.user("ada").repository("notes")
    data = os.urandom(PART) + b"rest"
    digest = hash_bytes(b"the announced pack")
    push_id = os.urandom(16)
    plan = ada.presign(push_id, digest, len(data)).json()["multipart"]
    parts = [data[:PART], data[PART:]]
    common = {"protocol": 1, "push_id": push_id.hex(), "digest": digest.hex(), "size_bytes": len(data)}
    for number, part in enumerate(parts, start=1):
        asked = {"upload": plan["upload"], "number": number, "sha256": hash_bytes(part).hex()}
        signed = ada.user.post_json(f"{ada.path}/push/part", common | asked).json()
        assert ada.user.request(signed["method"], signed["url"], part, signed["headers"]).status == 200
    confirm = {"upload": plan["upload"], "parts": [hash_bytes(part).hex() for part in parts]}
    for code in ("wrong-hash", "pack-not-found"):
        with pytest.raises(MuseError) as caught:
            ada.user.post_json(f"{ada.path}/push/confirm", common | confirm).result()
        assert caught.value.code == code
    again = ada.presign(push_id, digest, len(data)).json()
    assert not again["uploaded"]
    assert again["multipart"]["stored"] == []


class HeldStore:
    """Passes everything on, but only when `gate` is open; notes how many connections are out meanwhile."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.arrived = asyncio.Event()
        self.gate = asyncio.Event()
        self._open_for_good = False
        self.calls: list[tuple[str, int]] = []
        self.connections: Callable[[], int] = lambda: 0

    def open_for_good(self) -> None:
        self._open_for_good = True
        self.gate.set()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if (
            name in ("list", "list_uploads", "open", "close")
            or not callable(found)
            or name.startswith("presign")
        ):
            return found if name != "open" else self._open

        async def held(*args: Any, **kwargs: Any) -> Any:
            await self._pass(name)
            return await found(*args, **kwargs)

        return held

    def _open(self, key: str, sha256: bytes | None = None) -> Any:
        opening = self._inner.open(key, sha256)
        store = self

        class Held:
            async def __aenter__(self) -> memoryview:
                await store._pass("open")
                return await opening.__aenter__()

            async def __aexit__(self, *error: Any) -> None:
                await opening.__aexit__(*error)

        return Held()

    async def _pass(self, name: str) -> None:
        self.arrived.set()
        await self.gate.wait()
        if not self._open_for_good:
            self.gate.clear()
        self.calls.append((name, self.connections()))


@only_s3  # of the embedded store, test_durability asks the same
def test_no_connection_is_out_while_store_or_client_is_waited_for(
    start_hub: Callable[..., RunningHub], settings: Settings, make_ada: Callable[..., Ada]
) -> None:
    store = HeldStore(open_store(settings, _secret).inner)
    hub = start_hub(store, stream_max_objects=20)
    store.connections = watch_pool(hub)
    ada = make_ada(hub)
    commit_noise(ada.repository, 3 << 20)
    commit_files(ada.repository, {f"f{n}": b"%d" % n for n in range(30)})

    async def push_while_held() -> Pushed:
        pushing = asyncio.get_running_loop().run_in_executor(None, ada.push)
        for _ in range(2):  # `head` of presign, `open` of confirm
            await asyncio.wait_for(store.arrived.wait(), 20)
            store.arrived.clear()
            assert hub.database.checked_out == 0
            store.gate.set()
        return await pushing

    pushed = hub.call(push_while_held())
    assert [name for name, _ in store.calls] == ["head", "open"]
    assert all(out == 0 for _, out in store.calls)
    timeline = pushed.receipt.timeline
    assert 0 < timeline["finalise_transaction_s"] < 0.5
    assert timeline["connection_held_s"] < timeline["total_s"]


def test_no_connection_is_out_while_a_client_is_silent(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    seen: list[int] = []

    def body() -> Iterator[bytes]:
        from tests.musehub.hub import History, header_of, push_body

        from muse.wire.push import RefUpdate

        history = History()
        tip = history.commit_files({f"f{n}": os.urandom(1000) for n in range(50)})
        whole = push_body(header_of([RefUpdate("heads/main", None, tip)]), history.take())
        for start in range(0, len(whole), 8000):
            yield whole[start : start + 8000]
            # The hub does what it can with it; then it waits for more, with nothing in its hands.
            for _ in range(200):
                out = hub.call(_settle(hub))
                if not out:
                    break
            seen.append(out)

    answer = ada.user.request("POST", f"{ada.path}/push/stream", body())
    assert answer.result()["counts"]["blobs"] == 50
    assert len(seen) > 5
    assert set(seen) == {0}


async def _settle(hub: RunningHub) -> int:
    await asyncio.sleep(0.005)
    return hub.database.checked_out


def test_asking_what_is_missing_is_one_question_per_set_and_none_to_the_store(
    start_hub: Callable[..., RunningHub], settings: Settings
) -> None:
    store = HeldStore(open_store(settings, _secret).inner)
    hub = start_hub(store)
    hub._loop.call_soon_threadsafe(store.open_for_good)
    ada = hub.user("ada").repository("notes")
    ada.presign(os.urandom(16), b"d" * 32, 10)
    store.calls.clear()
    records: list[TransactionRecord] = []
    hub.database.observers.append(records.append)
    costs = []
    for count in (10, MAX_MISSING_IDS):
        records.clear()
        assert len(ada.missing(Kind.BLOB, [hash_bytes(b"%d" % n) for n in range(count)])) == count
        costs.append(sum(record.statements for record in records if record.name == "find missing"))
    assert costs[0] == costs[1] <= 2
    assert store.calls == []


def test_beyond_the_pool_the_answer_is_busy_and_the_client_waits_as_long_as_it_is_asked_to(
    start_hub: Callable[..., RunningHub], make_ada: Callable[..., Ada], database_kind: str
) -> None:
    hub = start_hub(database_pool_size=1, database_acquire_timeout_s=0.05)
    ada = make_ada(hub)
    commit_files(ada.repository, {"a": b"1"})
    loop_events: list[asyncio.Event] = []
    held = asyncio.run_coroutine_threadsafe(_hold(hub, loop_events), hub._loop)
    while not loop_events:
        pass
    user = HubUser(hub.url, "ada", ada._token)
    answer = user.repository("notes").refs()
    assert answer.status == 429
    assert answer.headers["retry-after"] == "2"
    assert answer.error().code == "busy"

    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        hub._loop.call_soon_threadsafe(loop_events[0].set)
        held.result(10)

    assert ada.push(Retry(sleep=sleep)).receipt.created
    assert pauses == [2.0]


async def _hold(hub: RunningHub, events: list[asyncio.Event]) -> None:
    release = asyncio.Event()
    async with hub.database.read("held by the test") as conn:
        await conn.exec_driver_sql("SELECT 1")
        events.append(release)
        await release.wait()


def commit_many(repository: Repository, *, commits: int, blobs: int) -> None:
    """A history of distinct blobs of 1,500 bytes, written in one transaction."""
    rng = random.Random(commits)
    ada = Person("Ada", "ada@example.org", 1_700_000_000, 0)
    with repository.transaction("test") as transaction:
        root = head = None
        written = 0
        for number in range(commits):
            changes: dict[str, Entry | None] = {}
            while written < blobs * (number + 1) // commits:
                blob = transaction.put(Kind.BLOB, rng.randbytes(1500))
                changes[f"part-{written % 9}/{rng.randrange(400)}-{written}"] = Entry("", FILE, blob, 1500)
                written += 1
            root = edit_tree(transaction.load, root, changes, transaction.put).id
            parents = (head,) if head else ()
            commit = encode_commit(Commit(root, parents, ada, ada, f"commit {number}"))
            head = transaction.put(Kind.COMMIT, commit, head)
        assert head is not None
        transaction.set_ref("heads/main", head)


@only_s3
def test_what_a_push_of_992_commits_and_4142_blobs_costs(
    start_hub: Callable[..., RunningHub],
    settings: Settings,
    make_ada: Callable[..., Ada],
    proxies: Callable[[str], FaultyProxy],
) -> None:
    """Statements, store calls and requests grow with packs and batches, not with objects or commits."""
    store = HeldStore(open_store(settings, _secret).inner)
    hub = start_hub(store, pack_max_bytes=1 << 20)
    store.connections = watch_pool(hub)
    hub._loop.call_soon_threadsafe(store.open_for_good)
    proxy = proxies(hub.url)
    ada = make_ada(hub, proxy.origin)
    commit_many(ada.repository, commits=992, blobs=4142)
    records: list[TransactionRecord] = []
    hub.database.observers.append(records.append)
    pushed = ada.push()
    packs = pushed.packs
    assert 5 <= packs <= 10
    assert pushed.receipt.counts["blobs"] == 4142
    assert pushed.receipt.counts["commits"] == 992
    parts = (pushed.receipt.timeline["parts"] or {"streams": 0})["streams"]
    assert parts < packs
    assert len(proxy.requests) == 2 + 2 * packs + parts  # refs and stream; presign and confirm
    assert len(store.calls) == 2 * packs
    assert {out for _, out in store.calls} == {0}
    statements = sum(record.statements for record in records)
    assert statements <= 80 + 25 * packs
    timeline = pushed.receipt.timeline
    assert timeline["store_calls"] == 0
    assert 0 < timeline["finalise_transaction_s"] < 0.5
    assert timeline["longest_transaction_s"] < 0.5
