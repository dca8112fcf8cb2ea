"""Which form of a record goes to the hub."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

import pytest
from tests.histories import commit_files, commit_random, make_repository
from tests.plans import find_new_objects

from muse.objects.ids import Kind, hash_bytes
from muse.packs.pack import HEAD, verify_pack
from muse.packs.record import Record, decode_object, parse_record
from muse.remote.packing import INDEX_RESERVE_BYTES, iter_packs
from muse.remote.plan import Plan, plan_push
from muse.remote.records import Outgoing
from muse.store.locations import Place
from muse.store.repository import Repository
from muse.wire.refs import Limits


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with make_repository(tmp_path / "work") as made:
        commit_random(made, random.Random(13), commits=40, files=6, size=2000)
        yield made


def plan_blobs(repository: Repository) -> list[bytes]:
    return find_new_objects(repository.objects.load, repository.graph, [repository.refs.head().target]).blobs


def nowhere(kind: Kind, object_id: bytes) -> bytes:
    raise AssertionError(f"{kind.name} {object_id.hex()} was asked for")


def parse_all(data: bytes | memoryview) -> Iterator[Record]:
    view, offset = memoryview(data), 0
    while offset < len(view):
        record, offset = parse_record(view, offset)
        yield record


def test_blobs_come_as_stored_each_after_its_base(repository: Repository) -> None:
    blobs = plan_blobs(repository)
    places = repository.objects.find_places(Kind.BLOB, blobs)
    pieces = list(Outgoing(repository.objects, ()).iter_blobs(places))
    records = [record for piece in pieces for record in parse_all(piece.data)]
    assert sum(piece.records for piece in pieces) == len(records)
    stored = {blob: repository.objects.load_record(Kind.BLOB, blob) for blob in blobs}
    seen: dict[bytes, bytes] = {}
    previous = None
    near = 0
    for record in records:
        data = decode_object(record, seen[record.base] if record.base else None)
        assert record.payload == stored[hash_bytes(data)].payload
        seen[hash_bytes(data)] = data
        near += record.base is not None and record.base == previous
        previous = hash_bytes(data)
    assert seen.keys() == set(blobs)
    assert near > 30


def test_packs_cover_all_blobs_once_and_none_leans_on_another(repository: Repository) -> None:
    blobs = plan_blobs(repository)
    limits = Limits(pack_max_bytes=INDEX_RESERVE_BYTES + 20_000)
    found = []
    packs = list(iter_packs(repository.objects, Plan(blobs, [], [], set()), limits))
    for pack in packs:
        assert pack.size_bytes <= limits.pack_max_bytes
        data = b"".join(pack.parts)
        found += [one.id for one in verify_pack(memoryview(data), nowhere)]
        missing = set(blobs).difference(found)
        assert pack.reached == min((blobs.index(blob) for blob in missing), default=len(blobs))
    assert len(packs) > 5
    assert sorted(found) == sorted(blobs)


def test_packs_of_a_long_push_grow(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muse.remote.packing.FIRST_PACK_BYTES", 5_000)
    monkeypatch.setattr("muse.remote.packing.TARGET_BYTES", 15_000)
    monkeypatch.setattr("muse.remote.packing.MANY_BYTES", 50_000)
    monkeypatch.setattr("muse.remote.packing.LARGE_PACK_BYTES", 25_000)
    plan = Plan(plan_blobs(repository), [], [], set())
    sizes = [pack.size_bytes for pack in iter_packs(repository.objects, plan, Limits())]
    targets = [5_000, 10_000, 15_000, 15_000, 15_000, *(25_000 for _ in sizes[5:])]
    for size, target in zip(sizes[:-1], targets, strict=False):
        assert target - 4_000 < size < target + 4_000
    assert len(sizes) > 7


def test_places_are_sought_once_or_twice_however_much_is_planned(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muse.remote.packing.FEW_BLOBS", 10)
    asked = 0
    find_places = repository.objects.find_places

    def count(kind: int, ids: Collection[bytes]) -> list[Place]:
        nonlocal asked
        asked += len(ids)
        return find_places(kind, ids)

    monkeypatch.setattr(repository.objects, "find_places", count)
    blobs = plan_blobs(repository)
    limits = Limits(pack_max_bytes=INDEX_RESERVE_BYTES + 20_000)
    packs = list(iter_packs(repository.objects, Plan(blobs, [], [], set()), limits))
    assert len(packs) > 5
    assert asked <= len(blobs) + 10 * len(packs)


def test_no_pack_holds_too_many_objects(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muse.remote.packing.MAX_PACK_OBJECTS", 7)
    blobs = plan_blobs(repository)
    packs = list(iter_packs(repository.objects, Plan(blobs, [], [], set()), Limits()))
    assert sum(pack.objects for pack in packs) == len(blobs)
    assert [pack.objects for pack in packs[:-1]] == [7] * (len(packs) - 1)


def test_a_pack_is_sealed_before_all_is_planned(repository: Repository) -> None:
    plan = plan_push(repository, [repository.refs.get("heads/main")], [])
    packs = iter_packs(repository.objects, plan, Limits(pack_max_bytes=INDEX_RESERVE_BYTES + 20_000))
    first = next(packs)
    planned = len(plan.blobs)
    assert first.reached <= planned < len(plan_blobs(repository))
    assert (
        first.objects + sum(pack.objects for pack in packs) == len(plan.blobs) == len(plan_blobs(repository))
    )
    assert not plan.find_more()


def test_versions_of_one_file_are_planned_together(tmp_path: Path) -> None:
    """Packs that lean on an earlier one make the hub read that one again for each of them."""
    rng = random.Random(5)
    lines = [rng.randbytes(20).hex() for _ in range(50)]
    with make_repository(tmp_path / "versions") as repository:
        for number in range(40):
            lines[number] = "edited"
            changes: dict[str, bytes | None] = {f"noise/{number}": rng.randbytes(2000)}
            commit_files(repository, changes | {"text": "\n".join(lines).encode()})
        plan = plan_push(repository, [repository.refs.get("heads/main")], [])
        limits = Limits(pack_max_bytes=INDEX_RESERVE_BYTES + 20_000)

        def ask(bases: Collection[bytes]) -> set[bytes]:
            raise AssertionError(f"{len(bases)} bases are in another pack")

        packs = list(iter_packs(repository.objects, plan, limits, ask))
    assert len(packs) > 3
    assert sum(pack.objects for pack in packs) == 80


def test_blobs_planned_later_may_lean_on_what_the_hub_has_by_now(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muse.remote.packing.CHAINED_BLOBS", 50)
    blobs = plan_blobs(repository)
    at_hub: set[bytes] = set()
    asked: list[set[bytes]] = []

    def ask(bases: Collection[bytes]) -> set[bytes]:
        asked.append(set(bases))
        return at_hub.intersection(list(bases)[::2])

    def load(kind: Kind, object_id: bytes) -> bytes:
        assert kind is Kind.BLOB
        assert any(object_id in bases for bases in asked)
        return repository.objects.load(kind, object_id)

    leaning = 0
    for pack in iter_packs(repository.objects, Plan(blobs, [], [], set()), Limits(), ask):
        data = memoryview(b"".join(pack.parts))
        at_hub.update(found := {one.id for one in verify_pack(data, load)})
        leaning += sum(
            record.base is not None and record.base not in found
            for record in islice(parse_all(data[HEAD.size :]), pack.objects)
        )
    assert at_hub == set(blobs)
    assert leaning
    assert len(asked) < len(blobs) / 50


def test_what_the_hub_has_may_be_leant_on_and_nothing_else(repository: Repository) -> None:
    blobs = plan_blobs(repository)
    based = [
        (blob, record)
        for blob in blobs
        if (record := repository.objects.load_record(Kind.BLOB, blob)).base is not None
    ]
    blob, record = based[0]
    assert record.base is not None
    place = repository.objects.find_places(Kind.BLOB, [blob])

    def sent(had: list[tuple[Kind, bytes]]) -> Record:
        (piece,) = Outgoing(repository.objects, had).iter_blobs(place)
        (found,) = parse_all(piece.data)
        return found

    def packed(had: list[tuple[Kind, bytes]]) -> Record:
        (pack,) = iter_packs(repository.objects, Plan([blob], [], [], set(had)), Limits())
        return next(parse_all(memoryview(b"".join(pack.parts))[HEAD.size :]))

    for send in (sent, packed):
        assert send([(Kind.BLOB, record.base)]) == record
        assert send([(Kind.TREE, record.base)]).base is None
        plain = send([])
        assert plain.base is None
        assert decode_object(plain) == repository.objects.load(Kind.BLOB, blob)


def test_metadata_comes_in_the_order_asked_for(repository: Repository) -> None:
    plan = find_new_objects(repository.objects.load, repository.graph, [repository.refs.head().target])
    keys = [*plan.metadata, *((Kind.COMMIT, commit) for commit in plan.commits)]
    random.Random(1).shuffle(keys)
    pieces = list(Outgoing(repository.objects, set(keys)).iter_ordered(keys))
    records = [record for piece in pieces for record in parse_all(piece.data)]
    assert sum(piece.records for piece in pieces) == len(records)
    for (kind, object_id), record in zip(keys, records, strict=True):
        base = repository.objects.load(kind, record.base) if record.base else None
        assert decode_object(record, base) == repository.objects.load(kind, object_id)
