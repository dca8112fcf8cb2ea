"""Fetch against hubs that are honest, and against ones that are not."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from tests.histories import commit_files, commit_random, content, reachable, tag_commit
from tests.muse.remote.conftest import FakeHub

from muse.errors import MuseError
from muse.objects.ids import Kind, hash_bytes
from muse.objects.tree import FILE, Entry, encode_entries
from muse.packs.pack import PackWriter
from muse.packs.record import Encoding, Record, encode_object
from muse.remote.client import HubClient
from muse.remote.fetch import fetch
from muse.store.repository import Repository
from muse.wire.refs import Ref

Serve = Callable[[FakeHub], HubClient]


def check_same(target: Repository, hub: FakeHub, source: Repository) -> None:
    ref = target.refs.get("remotes/origin/heads/main")
    assert ref is not None
    assert ref.target == hub.head
    top = [(Kind.COMMIT, hub.head)]
    assert reachable(target, top) == reachable(source, top)
    assert not list(target.temporary_dir.iterdir())


@pytest.mark.parametrize("pack_size", [0, 7])
def test_everything_arrives(source: Repository, target: Repository, serve: Serve, pack_size: int) -> None:
    hub = FakeHub(source, pack_size)
    fetched = fetch(target, "origin", serve(hub))
    check_same(target, hub, source)
    assert fetched.default_branch == "main"
    assert [(change.name, change.old, change.forced) for change in fetched.changes] == [
        ("remotes/origin/heads/main", None, False)
    ]
    assert fetched.packs == len(hub.packs)
    assert fetched.requests == 1 + len(hub.packs)


def test_the_haves_are_the_commits_and_tags_of_all_refs(
    source: Repository, target: Repository, serve: Serve
) -> None:
    hub = FakeHub(source)
    client = serve(hub)
    fetch(target, "origin", client)
    own = commit_files(target, {"mine": b"1"}, branch="mine")
    tag = tag_commit(target, "v1", own)
    hub.blobs, hub.metadata, hub.commits = [], [], []
    fetched = fetch(target, "origin", client)
    assert set(hub.fetch_requests[-1]["haves"]) == {own.hex(), tag.hex(), hub.head.hex()}
    assert fetched.changes == []


def expect(target: Repository, client: HubClient, code: str) -> MuseError:
    """A fetch that fails with `code` moves no ref and leaves no file."""
    with pytest.raises(MuseError) as caught:
        fetch(target, "origin", client)
    assert caught.value.code == code
    assert list(target.refs.iter()) == []
    assert not list(target.temporary_dir.iterdir())
    return caught.value


@pytest.mark.parametrize("kind", ["blobs", "metadata", "commits"])
@pytest.mark.parametrize("place", [0, -1])
def test_a_missing_object_is_an_error_and_never_a_smaller_clone(
    source: Repository, target: Repository, serve: Serve, kind: str, place: int
) -> None:
    hub = FakeHub(source)
    records = getattr(hub, kind)
    if place == 0:
        records.pop(0)
    else:
        # the last one may be a base of nothing: it is missed by what names it
        records.pop()
    expect(target, serve(hub), "missing-objects")


def test_a_hole_in_a_pack_is_noticed(source: Repository, target: Repository, serve: Serve) -> None:
    hub = FakeHub(source, 7)
    hub.packs.pop()
    expect(target, serve(hub), "missing-objects")


def test_a_ref_to_nothing_is_refused(source: Repository, target: Repository, serve: Serve) -> None:
    hub = FakeHub(source)
    hub.refs["tags/ghost"] = Ref(hash_bytes(b"nothing"), Kind.TAG)
    expect(target, serve(hub), "missing-objects")


def test_an_end_that_does_not_fit_is_truncated(source: Repository, target: Repository, serve: Serve) -> None:
    hub = FakeHub(source)
    hub.end = lambda end: end.update(sha256="00" * 32)
    error = expect(target, serve(hub), "truncated")
    assert error.retry
    assert len(hub.fetch_requests) == 3
    hub.end = lambda end: end["counts"].update(S=1)
    expect(target, serve(hub), "truncated")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_an_answer_that_is_cut_is_not_taken(
    source: Repository, target: Repository, serve: Serve, share: float
) -> None:
    hub = FakeHub(source)
    hub.cut = lambda answer: answer[: int(len(answer) * share)]
    expect(target, serve(hub), "remote-closed" if share else "bad-frame")


def test_a_record_of_other_bytes_changes_its_id_and_is_missed(
    source: Repository, target: Repository, serve: Serve
) -> None:
    hub = FakeHub(source)
    lie = encode_object(Kind.BLOB, b"something else")
    hub.blobs[-1] = lie
    expect(target, serve(hub), "missing-objects")


def test_a_record_that_does_not_decode_is_refused(
    source: Repository, target: Repository, serve: Serve
) -> None:
    hub = FakeHub(source)
    hub.blobs.append(Record(Kind.BLOB, Encoding.ZSTD, 10, None, b"no zstd frame"))
    expect(target, serve(hub), "bad-record")


def test_a_base_that_is_nowhere_is_refused(source: Repository, target: Repository, serve: Serve) -> None:
    hub = FakeHub(source)
    base = (hash_bytes(b"x" * 1000), b"x" * 1000)
    record = encode_object(Kind.BLOB, b"x" * 999 + b"y", base)
    assert record.base
    hub.blobs.append(record)
    expect(target, serve(hub), "missing-objects")


def test_a_blob_among_the_trees_is_out_of_place(source: Repository, target: Repository, serve: Serve) -> None:
    hub = FakeHub(source)
    hub.metadata.append(encode_object(Kind.BLOB, b"blob"))
    expect(target, serve(hub), "bad-frame")


@pytest.mark.parametrize("name", ["..", ".muse", "a/b"])
def test_a_tree_with_a_hostile_name_is_refused(
    source: Repository, target: Repository, serve: Serve, name: str
) -> None:
    hub = FakeHub(source)
    good = encode_entries([Entry("X" * len(name), FILE, hash_bytes(b""), 0)])
    hub.metadata.append(encode_object(Kind.TREE, good.replace(b"X" * len(name), name.encode())))
    expect(target, serve(hub), "bad-path")


def test_a_pack_with_another_hash_is_refused(source: Repository, target: Repository, serve: Serve) -> None:
    hub = FakeHub(source, 7)
    hub.pack_bytes[1] = hub.pack_bytes[1][:-1] + b"?"
    error = expect(target, serve(hub), "wrong-hash")
    assert error.retry
    hub.pack_bytes[1] = hub.pack_bytes[1][:-100]
    expect(target, serve(hub), "wrong-hash")
    hub.pack_bytes[1] += b"x" * 200
    expect(target, serve(hub), "wrong-hash")


def test_a_pack_whose_index_lies_is_refused(source: Repository, target: Repository, serve: Serve) -> None:
    hub = FakeHub(source, 7)
    writer = PackWriter()
    writer.add(hash_bytes(b"one thing"), encode_object(Kind.BLOB, b"another"))
    hub.add_pack(writer)
    expect(target, serve(hub), "wrong-hash")


def test_a_pack_may_hold_blobs_only(source: Repository, target: Repository, serve: Serve) -> None:
    hub = FakeHub(source, 7)
    tree = encode_entries([])
    writer = PackWriter()
    writer.add(hash_bytes(tree), encode_object(Kind.TREE, tree))
    hub.add_pack(writer)
    expect(target, serve(hub), "bad-pack")


def test_an_address_that_has_expired_is_asked_for_again(
    source: Repository, target: Repository, serve: Serve
) -> None:
    hub = FakeHub(source, 7)
    hub.refuse_packs = [0, 2]
    fetch(target, "origin", serve(hub))
    check_same(target, hub, source)
    assert sorted(target for target in hub.requests if "?fresh" in target) == [
        "/pack/0?fresh",
        "/pack/2?fresh",
    ]


def test_a_pack_that_was_damaged_on_its_way_is_downloaded_again(
    source: Repository, target: Repository, serve: Serve
) -> None:
    hub = FakeHub(source, 7)
    hub.damage_packs = [0, 2]
    fetch(target, "origin", serve(hub))
    check_same(target, hub, source)
    assert sorted(target for target in hub.requests if "?fresh" in target) == [
        "/pack/0?fresh",
        "/pack/2?fresh",
    ]


def test_records_may_be_based_on_what_is_in_packs(
    source: Repository, target: Repository, serve: Serve
) -> None:
    hub = FakeHub(source, 7)
    data = source.objects.load(Kind.BLOB, hub_blob(hub))
    hub.blobs = [encode_object(Kind.BLOB, data + b"!", (hash_bytes(data), data))]
    assert hub.blobs[0].base
    fetch(target, "origin", serve(hub))
    check_same(target, hub, source)
    assert target.objects.load(Kind.BLOB, hash_bytes(data + b"!")) == data + b"!"


def hub_blob(hub: FakeHub) -> bytes:
    """The id of a blob of the last pack, large enough to be a base."""
    from muse.packs.pack import scan_pack

    objects = scan_pack(memoryview(hub.pack_bytes[-1]))
    return next(one.id for one in objects if one.raw_size > 200)


def test_tags_are_made_here_unless_there_is_another_of_that_name(
    source: Repository, target: Repository, serve: Serve
) -> None:
    hub = FakeHub(source)
    hub.refs |= {"tags/new": Ref(hub.head), "tags/taken": Ref(hub.head)}
    mine = commit_files(target, {"mine": b"1"}, branch="mine")
    with target.transaction() as transaction:
        transaction.set_ref("tags/taken", mine)
    fetched = fetch(target, "origin", serve(hub))
    assert fetched.kept_tags == ["tags/taken"]
    assert target.refs.get("tags/new").target == hub.head
    assert target.refs.get("tags/taken").target == mine
    assert target.refs.get("remotes/origin/tags/taken").target == hub.head


def test_pruning_removes_what_the_remote_no_longer_has(
    source: Repository, target: Repository, serve: Serve
) -> None:
    hub = FakeHub(source)
    hub.refs["heads/side"] = Ref(hub.head)
    client = serve(hub)
    fetch(target, "origin", client)
    del hub.refs["heads/side"]
    hub.blobs, hub.metadata, hub.commits = [], [], []
    assert fetch(target, "origin", client).changes == []
    assert target.refs.get("remotes/origin/heads/side") is not None
    pruned = fetch(target, "origin", client, prune=True)
    assert [(change.name, change.new) for change in pruned.changes] == [("remotes/origin/heads/side", None)]
    assert target.refs.get("remotes/origin/heads/side") is None


def test_only_the_refs_asked_for_move(source: Repository, target: Repository, serve: Serve) -> None:
    hub = FakeHub(source)
    hub.refs["heads/side"] = Ref(hub.head)
    fetch(target, "origin", serve(hub), refs=["side"])
    assert hub.fetch_requests[0]["wants"] == ["heads/side"]
    assert [ref.name for ref in target.refs.iter()] == ["remotes/origin/heads/side"]


def test_all_refs_are_asked_for_only_where_all_are_needed(
    source: Repository, target: Repository, serve: Serve
) -> None:
    hub = FakeHub(source)
    client = serve(hub)
    fetch(target, "origin", client, refs=["main"])
    fetch(target, "origin", client, refs=["main"], prune=True)
    fetch(target, "origin", client)
    assert [request["all_refs"] for request in hub.fetch_requests] == [False, True, True]


def test_no_more_haves_are_named_than_a_hub_takes(
    source: Repository, target: Repository, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = FakeHub(source)
    client = serve(hub)
    fetch(target, "origin", client)
    own = [commit_files(target, {"mine": b"%d" % number}, branch=f"b{number}") for number in range(4)]
    monkeypatch.setattr("muse.remote.fetch.MAX_WANTS", 3)
    fetch(target, "origin", client, refs=["main"])
    haves = hub.fetch_requests[-1]["haves"]
    assert len(haves) == len(set(haves)) == 3
    assert hub.head.hex() in haves
    assert set(haves) <= {hub.head.hex(), *(commit.hex() for commit in own)}


def test_a_rewritten_branch_is_reported_as_forced(
    source: Repository, target: Repository, serve: Serve
) -> None:
    hub = FakeHub(source)
    client = serve(hub)
    fetch(target, "origin", client)
    parent = source.graph(hub.head).parents[0]
    rewritten = commit_files(source, {"noise/2.bin": b"rewritten"}, parents=[parent])
    hub.refs["heads/main"] = Ref(rewritten)
    plan = FakeHub(source)
    hub.blobs, hub.metadata, hub.commits = plan.blobs, plan.metadata, plan.commits
    fetched = fetch(target, "origin", client)
    assert [(change.new, change.forced) for change in fetched.changes] == [(Ref(rewritten), True)]


def test_what_an_interrupted_fetch_brought_is_not_downloaded_again(
    source: Repository, target: Repository, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muse.remote.receive.FLUSH_OBJECTS", 20)
    commit_random(source, random.Random(6), commits=10, files=6)
    hub = FakeHub(source, 10)
    last = hub.pack_bytes[-1]
    hub.pack_bytes[-1] = last[:-1] + b"?"
    client = serve(hub)
    expect(target, client, "wrong-hash")
    hub.requests.clear()
    hub.pack_bytes[-1] = last
    fetch(target, "origin", client)
    check_same(target, hub, source)
    downloads = [target for target in hub.requests if target.startswith("/pack/")]
    assert 1 <= len(downloads) <= 3 < len(hub.packs)


def test_an_empty_remote_is_a_complete_fetch_of_nothing(
    source: Repository, target: Repository, serve: Serve
) -> None:
    hub = FakeHub(source)
    hub.refs, hub.blobs, hub.metadata, hub.commits = {}, [], [], []
    fetched = fetch(target, "origin", serve(hub))
    assert (fetched.refs, fetched.changes) == ({}, [])
    assert content(target) == ({}, {})
