"""Which form of a record goes to the hub."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.histories import commit_random, make_repository

from muse.history.missing import find_new_objects
from muse.objects.ids import Kind
from muse.packs.pack import verify_pack
from muse.packs.record import decode_object
from muse.remote.records import Outgoing
from muse.remote.upload import INDEX_RESERVE_BYTES, iter_packs
from muse.store.repository import Repository
from muse.wire.messages import Limits


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with make_repository(tmp_path / "work") as made:
        commit_random(made, random.Random(13), commits=40, files=6, size=2000)
        yield made


def plan_blobs(repository: Repository) -> list[bytes]:
    return find_new_objects(repository.objects.load, repository.graph, [repository.refs.head().target]).blobs


def nowhere(kind: Kind, object_id: bytes) -> bytes:
    raise AssertionError(f"{kind.name} {object_id.hex()} was asked for")


def test_blobs_come_as_stored_each_after_its_base(repository: Repository) -> None:
    outgoing = Outgoing(repository.objects, ())
    blobs = plan_blobs(repository)
    seen: dict[bytes, bytes] = {}
    previous = None
    near = 0
    for object_id, stored in outgoing.iter_blobs(blobs):
        record = outgoing.prepare(object_id, stored)
        assert record.payload == repository.objects.load_record(Kind.BLOB, object_id).payload
        seen[object_id] = decode_object(record, seen[record.base] if record.base else None)
        near += record.base is not None and record.base == previous
        previous = object_id
    assert seen.keys() == set(blobs)
    assert near > 30


def test_packs_cover_all_blobs_once_and_none_leans_on_another(repository: Repository) -> None:
    blobs = plan_blobs(repository)
    limits = Limits(pack_max_bytes=INDEX_RESERVE_BYTES + 20_000)
    found = []
    packs = list(iter_packs(Outgoing(repository.objects, ()), blobs, limits))
    for pack in packs:
        assert pack.size_bytes <= limits.pack_max_bytes
        data = b"".join(pack.parts)
        found += [one.id for one in verify_pack(memoryview(data), nowhere)]
    assert len(packs) > 5
    assert sorted(found) == sorted(blobs)


def test_what_the_hub_has_may_be_leant_on_and_nothing_else(repository: Repository) -> None:
    blobs = plan_blobs(repository)
    based = [
        (blob, record)
        for blob in blobs
        if (record := repository.objects.load_record(Kind.BLOB, blob)).base is not None
    ]
    blob, record = based[0]
    assert record.base is not None
    assert Outgoing(repository.objects, [(Kind.BLOB, record.base)]).prepare(blob, record) is record
    assert Outgoing(repository.objects, [(Kind.TREE, record.base)]).prepare(blob, record).base is None
    plain = Outgoing(repository.objects, ()).prepare(blob, record)
    assert plain.base is None
    assert decode_object(plain) == repository.objects.load(Kind.BLOB, blob)


def test_metadata_comes_in_the_order_asked_for(repository: Repository) -> None:
    plan = find_new_objects(repository.objects.load, repository.graph, [repository.refs.head().target])
    keys = [*plan.metadata, *((Kind.COMMIT, commit) for commit in plan.commits)]
    random.Random(1).shuffle(keys)
    records = list(Outgoing(repository.objects, set(keys)).iter_ordered(keys))
    for (kind, object_id), record in zip(keys, records, strict=True):
        base = repository.objects.load(kind, record.base) if record.base else None
        assert decode_object(record, base) == repository.objects.load(kind, object_id)
