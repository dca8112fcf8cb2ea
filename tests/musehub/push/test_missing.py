"""What of a set of ids is not recorded: one question to the database, however many they are."""

from __future__ import annotations

import os

import pytest
from tests.musehub.hub import History, RunningHub

from muse.objects.ids import Kind
from muse.wire.uploads import MAX_MISSING_IDS
from musehub.db.transaction import TransactionRecord


@pytest.mark.parametrize("kind", [Kind.BLOB, Kind.TREE])
def test_as_many_ids_as_may_be_asked_for_are_one_set_query(hub: RunningHub, kind: Kind) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    tip = None
    for number in range(20):
        tip = history.commit_files({f"d{number}/f": b"%d" % number}, *([tip] if tip else []))
    assert tip is not None
    ada.push_main(history, tip)
    there = [object_id for object_kind, object_id in history.objects if object_kind is kind]
    costs = []
    for count in (100, MAX_MISSING_IDS):
        ids = [os.urandom(32) for _ in range(count - len(there))]
        step = len(ids) // len(there)
        for place, object_id in enumerate(there):
            ids.insert(place * step, object_id)
        assert len(ids) == count
        records: list[TransactionRecord] = []
        hub.database.observers.append(records.append)
        found = ada.missing(kind, ids)
        hub.database.observers.remove(records.append)
        assert found == [object_id for object_id in ids if object_id not in set(there)]
        costs.append([record.statements for record in records if record.name == "find missing"])
    assert costs[0] == costs[1]
    assert len(costs[0]) == 1
