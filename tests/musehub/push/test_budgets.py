"""What a push costs grows with packs and batches, not with objects."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.musehub.hub import History, RunningHub, pack_of
from tests.musehub.stores import WatchedStore

from muse.objects.commit import decode_commit, encode_commit
from muse.objects.ids import Kind
from muse.wire.push import RefUpdate
from musehub.db.transaction import TransactionRecord
from musehub.storage.signing import UrlSigner


def grow(history: History, commits: int) -> bytes:
    tip = history.commit_files({"start": b"0"})
    for number in range(1, commits):
        tip = history.commit_files({f"d{number % 5}/f{number}": os.urandom(100)}, tip)
    return tip


def test_four_times_the_objects_cost_the_same_statements(hub: RunningHub) -> None:
    costs = set()
    for commits in (40, 160):
        history = History()
        tip = grow(history, commits)
        timeline = hub.user(f"u{commits}").repository("notes").push_main(history, tip)["timeline"]
        costs.add((timeline["statements"], timeline["transactions"], timeline["store_calls"]))
    assert len(costs) == 1, costs


def test_four_times_the_objects_of_a_pack_cost_the_same_statements(hub: RunningHub) -> None:
    costs = set()
    for blobs in (50, 200):
        ada = hub.user(f"u{blobs}").repository("notes")
        history = History()
        for _ in range(blobs):
            history.put(Kind.BLOB, os.urandom(100))
        pack = pack_of([(object_id, record) for _, object_id, record in history.take()])
        records: list[TransactionRecord] = []
        hub.database.observers.append(records.append)
        assert ada.upload(os.urandom(16), pack).status == 200
        hub.database.observers.remove(records.append)
        costs.add(tuple((record.name, record.statements) for record in records if "pack" in record.name))
    assert len(costs) == 1, costs


def test_a_slow_store_delays_a_push_and_does_not_end_it(
    start_hub: Callable[..., RunningHub], tmp_path: Path
) -> None:
    async def secret() -> bytes:
        return b"s" * 32

    store = WatchedStore(tmp_path / "store", UrlSigner(secret)).watching(lambda name: None)
    store.delay_s = 0.4
    hub = start_hub(store, push_idle_timeout_s=0.3, heartbeat_s=0.1)
    history = History()
    tip = grow(history, 70)
    result = hub.user("ada").repository("notes").push_main(history, tip)
    assert result["refs"]["heads/main"]["target"] == tip.hex()
    assert sum(result["counts"][kind] for kind in ("commits", "trees", "blobs")) > 200


def test_commits_of_very_many_parents_are_recorded_in_short_transactions(hub: RunningHub) -> None:
    """Each parent is a row: a stream of 200 KB could have made a transaction of eight million."""
    ada = hub.user("ada").repository("notes")
    history = History()
    start = history.commit_files({"f": b"1"})
    commit = decode_commit(history.objects[Kind.COMMIT, start])
    ada.push_main(history, start)
    parents = [history.commit(commit.tree, start, message=str(number)) for number in range(800)]
    merge = commit._replace(parents=tuple(parents))
    tip = start
    for number in range(60):
        data = encode_commit(merge._replace(message=str(number)))
        tip = history.put(Kind.COMMIT, data, tip if number else None)
    records: list[TransactionRecord] = []
    hub.database.observers.append(records.append)
    ada.push(history, [RefUpdate("heads/main", start, tip)])
    assert [record.name for record in records].count("record batch") >= 2
