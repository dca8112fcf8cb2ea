"""Bytes before facts, short transactions, and nothing lost when something dies half-way."""

from __future__ import annotations

import http.client
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.musehub.hub import FRAME_OF, History, RunningHub, finish_body, header_of, pack_of, push_body
from tests.musehub.stores import WatchedStore

from muse.errors import MuseError
from muse.objects.ids import Kind
from muse.packs.record import encode_record
from muse.wire.frames import HEADER, PROGRESS, encode_frame, encode_json
from muse.wire.push import RefUpdate
from musehub.db.transaction import TransactionRecord
from musehub.storage.signing import UrlSigner


async def secret() -> bytes:
    return b"s" * 32


@pytest.fixture
def store(tmp_path: Path) -> WatchedStore:
    return WatchedStore(tmp_path / "store", UrlSigner(secret)).watching(lambda name: None)


def grow(history: History, count: int, *, size: int = 200) -> bytes:
    tip = history.commit_files({"start": b"0"})
    for number in range(1, count):
        tip = history.commit_files({f"d{number % 5}/f{number}": os.urandom(size)}, tip)
    return tip


def test_no_connection_is_held_while_the_store_is_waited_for(
    start_hub: Callable[..., RunningHub], store: WatchedStore
) -> None:
    hub = start_hub(store)
    seen: list[tuple[str, int]] = []
    store.watch = lambda name: seen.append((name, hub.database.checked_out))
    ada = hub.user("ada").repository("notes")
    history = History()
    tip = grow(history, 20)
    ada.push_main(history, tip)
    pack = pack_of([(i, r) for kind, i, r in history.take() if kind is Kind.BLOB])
    ada.upload(os.urandom(16), pack)
    assert ada.fetch().status == 200
    assert {name for name, _count in seen} >= {"put", "head", "get_ranges"}
    assert all(count == 0 for _name, count in seen)


def test_every_transaction_is_a_few_statements(start_hub: Callable[..., RunningHub]) -> None:
    hub = start_hub()
    records: list[TransactionRecord] = []
    hub.database.observers.append(records.append)
    ada = hub.user("ada").repository("notes")
    history = History()
    tip = grow(history, 992)
    result = ada.push_main(history, tip)

    timeline = result["timeline"]
    written = [record for record in records if record.writes]
    assert all(record.statements <= 15 for record in written)
    assert timeline["longest_transaction_s"] <= round(max(record.held_s for record in records), 6)
    assert timeline["finalise_transaction_s"] > 0
    assert timeline["statements"] < 100
    assert sum(record.name == "finalise push" for record in records) == 1


def test_the_phases_of_a_push_add_up(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    timeline = ada.push_main(history, grow(history, 200))["timeline"]
    total = sum(phase["s"] for phase in timeline["phases"])
    assert total == pytest.approx(timeline["total_s"], rel=0.05)
    named = {phase["name"] for phase in timeline["phases"]}
    assert named >= {"wait for client", "check heads", "decode", "closure", "record", "store", "finalise"}
    assert timeline["store_calls"] == 1
    assert timeline["transactions"] > 0


def test_what_was_recorded_before_a_push_died_is_not_sent_again(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    tip = grow(history, 2200, size=20)
    header = header_of([RefUpdate("heads/main", None, tip)])
    body = push_body(header, history.take(deltas=False))
    with pytest.raises(MuseError) as caught:
        ada.stream(body[:-200]).result()
    assert caught.value.code == "truncated"
    assert caught.value.retry
    receipt = ada.receipt(header.push_id).json()
    assert receipt["state"] == "failed"
    assert receipt["error"]["code"] == "truncated"

    trees = [object_id for kind, object_id in history.objects if kind is Kind.TREE]
    missing = ada.missing(Kind.TREE, trees)
    assert len(missing) < len(trees)
    commits = [object_id for kind, object_id in history.objects if kind is Kind.COMMIT]
    lacking = {*missing, *ada.missing(Kind.COMMIT, commits)}
    blobs = [object_id for kind, object_id in history.objects if kind is Kind.BLOB]
    lacking.update(ada.missing(Kind.BLOB, blobs))
    history._sent.clear()
    rest = [item for item in history.take(deltas=False) if item[1] in lacking]
    assert ada.stream(push_body(header, rest)).result()["counts"]["commits"] <= 2200
    assert ada.receipt(header.push_id).json()["state"] == "done"
    assert ada.refs().json()["refs"]["heads/main"]["target"] == tip.hex()


def test_a_store_that_is_down_is_an_error_with_a_code_and_nothing_is_recorded(
    start_hub: Callable[..., RunningHub], store: WatchedStore
) -> None:
    hub = start_hub(store)
    ada = hub.user("ada").repository("notes")
    history = History()
    tip = grow(history, 5)
    store.broken = True
    with pytest.raises(MuseError) as caught:
        ada.push_main(history, tip)
    assert (caught.value.code, caught.value.retry) == ("store-unavailable", True)
    blobs = [object_id for kind, object_id in history.objects if kind is Kind.BLOB]
    trees = [object_id for kind, object_id in history.objects if kind is Kind.TREE]
    assert ada.missing(Kind.BLOB, blobs) == blobs
    assert ada.missing(Kind.TREE, trees) == trees
    store.broken = False
    ada.push_main(history, tip)


def test_progress_is_reported_while_one_store_call_hangs(
    start_hub: Callable[..., RunningHub], store: WatchedStore
) -> None:
    hub = start_hub(store, heartbeat_s=0.05)
    ada = hub.user("ada").repository("notes")
    history = History()
    tip = grow(history, 5)
    store.delay_s = 0.5
    body = push_body(header_of([RefUpdate("heads/main", None, tip)]), history.take())
    answer = ada.stream(body)
    frames = answer.frames()
    progress = [frame.json() for frame in frames if frame.type == PROGRESS]
    assert len(progress) >= 5
    assert "store" in {report["phase"] for report in progress}
    assert answer.result()["timeline"]["store_calls"] == 1

    data = os.urandom(100)
    history.file("x", data)
    pack = pack_of([(i, r) for kind, i, r in history.take() if kind is Kind.BLOB])
    ada.upload(push_id := os.urandom(16), pack)
    confirm = ada.confirm(push_id, pack)
    assert sum(frame.type == PROGRESS for frame in confirm.frames()) >= 5
    assert confirm.result()["objects"] == 1


def test_a_defect_is_an_incident_and_never_a_bare_500(
    start_hub: Callable[..., RunningHub], store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = start_hub(store)
    ada = hub.user("ada").repository("notes")
    history = History()
    tip = grow(history, 2)

    logged: list[str] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: logged.append(handler.format(record)))
    monkeypatch.setattr(logging.getLogger("musehub"), "handlers", [handler])

    def explode(name: str) -> None:
        raise ZeroDivisionError("a secret of the hub")

    store.watch = explode
    with pytest.raises(MuseError) as caught:
        ada.push_main(history, tip)
    assert caught.value.code == "internal"
    assert any(caught.value.details["incident"] in line for line in logged)
    assert "secret" not in caught.value.message


def test_a_client_that_falls_silent_is_given_up(start_hub: Callable[..., RunningHub]) -> None:
    hub = start_hub(push_idle_timeout_s=0.2)
    user = hub.user("ada")
    connection = http.client.HTTPConnection(urlsplit(hub.url).netloc, timeout=10)
    connection.putrequest("POST", "/ada/notes/push/stream")
    connection.putheader("Authorization", f"Bearer {user._token}")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders()
    connection.send(encode_json(HEADER, header_of([RefUpdate("heads/main", None, b"n" * 32)]).to_json()))
    answer = connection.getresponse()
    assert b'"truncated"' in answer.read1()
    connection.close()


def test_a_client_that_goes_away_leaves_a_failed_push_that_can_be_repeated(hub: RunningHub) -> None:
    user = hub.user("ada")
    ada = user.repository("notes")
    history = History()
    tip = grow(history, 30)
    header = header_of([RefUpdate("heads/main", None, tip)])
    body = push_body(header, history.take())
    connection = http.client.HTTPConnection(urlsplit(hub.url).netloc, timeout=10)
    connection.putrequest("POST", "/ada/notes/push/stream")
    connection.putheader("Authorization", f"Bearer {user._token}")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    connection.send(body[:-50])
    assert connection.sock is not None
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
    # Until the hub has noticed, it says that this very push is under way; that may be tried again.
    answers = (ada.stream(body) for _attempt in range(1000))
    last = next(answer for answer in answers if b'"push-in-progress"' not in answer.body)
    result = last.result()
    assert result["counts"]["commits"] == 30


def test_ten_thousand_commits_in_one_push(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("long")
    history = History()
    tree = history.snapshot({"a": b"1"})
    tip = history.commit(tree)
    for _number in range(9_999):
        tip = history.commit(tree, tip)
    result = ada.push_main(history, tip)
    assert result["counts"]["commits"] == 10_000
    assert result["timeline"]["transactions"] >= 8
    newer = history.commit(tree, tip)
    assert ada.push_main(history, newer, tip)["counts"]["commits"] == 1


def test_many_frames_are_one_closed_batch_after_the_other(hub: RunningHub) -> None:
    """One record per frame: every order that is right is accepted, however it is cut."""
    ada = hub.user("ada").repository("notes")
    history = History()
    tip = grow(history, 15)
    header = header_of([RefUpdate("heads/main", None, tip)])
    order = {b"O": 0, b"S": 1, b"C": 2}
    taken = sorted(history.take(), key=lambda item: order[FRAME_OF[item[0]]])
    frames = [encode_json(HEADER, header.to_json())]
    frames += [encode_frame(FRAME_OF[kind], encode_record(record)) for kind, _id, record in taken]
    assert ada.stream(finish_body(frames)).result()["counts"]["commits"] == 15
