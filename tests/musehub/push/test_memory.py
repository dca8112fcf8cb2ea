"""What a hub remembers of a push between its requests saves questions, and is never relied on alone."""

from __future__ import annotations

import os

import pytest
from tests.musehub.hub import PRIVATE, History, RunningHub, header_of, pack_of, push_body

from muse.errors import MuseError
from muse.objects.ids import Kind
from muse.objects.tree import Entry, encode_entries
from muse.wire.push import PushHeader, RefUpdate
from musehub.db.transaction import TransactionRecord
from musehub.push.memory import MAX_IDLE_S, MAX_MEMORIES, Memories

KEYS = [(1, bytes([number]) * 16) for number in range(MAX_MEMORIES + 1)]
BLOB = b"b" * 32


def test_what_was_confirmed_or_came_in_an_earlier_part_is_not_looked_up(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    push_id = os.urandom(16)
    tip: bytes | None = None
    records: list[TransactionRecord] = []
    for number in range(3):
        tip = history.commit_files({f"d/f{n}": os.urandom(50) for n in range(9)}, *([tip] if tip else []))
        taken = history.take()
        pack = pack_of([(object_id, record) for kind, object_id, record in taken if kind is Kind.BLOB])
        assert ada.upload(push_id, pack).status == 200
        ada.confirm(push_id, pack).result()
        hub.database.observers.append(records.append)
        metadata = [item for item in taken if item[0] is not Kind.BLOB]
        if number < 2:
            header = PushHeader(push_id, [], PRIVATE, more=True)
        else:
            header = header_of([RefUpdate("heads/main", None, tip)], push_id=push_id)
        ada.stream(push_body(header, metadata)).result()
        hub.database.observers.remove(records.append)
    names = [record.name for record in records]
    assert "record batch" in names
    assert "check closure" not in names
    assert "load chains" not in names


def test_bases_that_are_recorded_are_asked_for_once_a_batch(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    names = [f"{letter}/{number}" for letter in "abcdefgh" for number in range(5)]
    first = history.commit_files({name: os.urandom(40) for name in names})
    ada.push_main(history, first)
    tip = first
    for _round in range(4):
        tip = history.commit_files({name: os.urandom(40) for name in names[::5]}, tip)
    records: list[TransactionRecord] = []
    hub.database.observers.append(records.append)
    ada.push_main(history, tip, first)
    hub.database.observers.remove(records.append)
    assert [record.name for record in records].count("load chains") == 1


def test_a_lie_about_a_directory_of_an_earlier_part_is_seen(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    push_id = os.urandom(16)
    part = PushHeader(push_id, [], PRIVATE, more=True)
    blob = history.put(Kind.BLOB, b"12345")
    child = history.put(Kind.TREE, encode_entries([Entry("f", "f", blob, 5)]))
    ada.stream(push_body(part, history.take())).result()
    history.put(Kind.TREE, encode_entries([Entry("d", "d", child, 6)]))
    with pytest.raises(MuseError) as caught:
        ada.stream(push_body(part, history.take())).result()
    assert caught.value.code == "bad-object"


def test_a_memory_is_forgotten_when_others_came_or_time_went_by() -> None:
    now = 0.0
    memories = Memories(lambda: now)
    for key in KEYS[:-1]:
        memories.note_blobs(key, 1, [BLOB], [5])
    assert memories.get(KEYS[0], 1).known.blobs == {BLOB: 5}
    memories.get(KEYS[-1], 1)
    assert memories.get(KEYS[0], 1).known.blobs == {BLOB: 5}  # used last, so not the one to go
    memories.forget(KEYS[0])
    assert memories.get(KEYS[0], 1).known.blobs == {}
    memories.note_blobs(KEYS[0], 1, [BLOB], [5])
    now += MAX_IDLE_S + 1
    assert memories.get(KEYS[0], 1).known.blobs == {}


def test_blobs_of_another_epoch_are_not_remembered() -> None:
    memories = Memories()
    memory = memories.get(KEYS[0], 3)
    memories.note_blobs(KEYS[0], 2, [BLOB], [5])
    assert not memory.known.blobs
    memories.note_blobs(KEYS[0], 3, [BLOB], [5])
    assert memory.known.has(Kind.BLOB, BLOB)
