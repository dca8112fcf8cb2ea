"""What a fetch brings: everything that lacks, nothing less, verified as a client would."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest
from tests.musehub.fetch.receiver import Objects, Receiver, reachable
from tests.musehub.hub import History, Remote, RunningHub

from muse.errors import MuseError
from muse.history.edit import edit_tree
from muse.objects.chunks import Chunk, build_chunk_list
from muse.objects.ids import Kind, hash_bytes
from muse.objects.tree import CHUNKED_FILE, Entry
from muse.wire.fetch import parse_pack_addresses
from muse.wire.frames import PACKS
from muse.wire.push import Create, RefUpdate
from musehub.db.tables import blobs, packs, records


def fetched(remote: Remote, known: Objects | None = None, **request: object) -> Receiver:
    return Receiver(remote, known).take(remote.fetch(**request))  # type: ignore[arg-type]


def test_a_clone_brings_everything_reachable_and_nothing_else(ada: Remote) -> None:
    history = History()
    first = history.commit_files({"a": b"1" * 100, "d/e/f": b"2", "d/g": b"3"})
    second = history.commit_files({"a": b"1" * 100 + b"!", "d/e/f": None}, first)
    ada.push_main(history, second)
    dropped = history.commit_files({"secret": os.urandom(100)}, second)
    ada.push(history, [RefUpdate("heads/gone", None, dropped)])
    ada.push(history, [RefUpdate("heads/gone", dropped, None)])

    assert fetched(ada).received == reachable(history, second)
    assert fetched(ada, wants=["heads/main"]).received == reachable(history, second)
    assert fetched(ada, wants=[first.hex()]).received == reachable(history, first)


def test_a_fetch_brings_only_what_is_new(ada: Remote) -> None:
    history = History()
    files: dict[str, bytes | None] = {f"d{n % 10}/f{n}": b"%d" % n for n in range(100)}
    first = history.commit_files(files)
    second = history.commit_files({"d3/f3": b"changed", "new/x": b"x"}, first)
    ada.push_main(history, second)

    known = reachable(history, first)
    received = fetched(ada, known, haves=[first]).received
    assert received == {key: data for key, data in reachable(history, second).items() if key not in known}
    assert len(received) == 1 + 3 + 2
    assert fetched(ada, known, haves=[second]).received == {}
    assert fetched(ada, known, haves=[b"u" * 32, first]).received == received
    ahead = History().commit_files({"a": b"local work"})
    assert fetched(ada, {}, haves=[ahead]).received == reachable(history, second)


def test_a_change_in_a_large_directory_is_a_small_fetch(ada: Remote) -> None:
    history = History()
    first = history.commit_files({f"file-{n:05}": b"%d" % (n % 50) for n in range(5000)})
    second = history.commit_files({f"file-{n:05}": b"changed %d" % n for n in range(0, 5000, 1000)}, first)
    ada.push_main(history, first)
    ada.push_main(history, second, first)
    known = reachable(history, first)
    answer = ada.fetch(haves=[first])
    received = Receiver(ada, known).take(answer).received
    assert {kind for kind, _id in received} == {Kind.BLOB, Kind.TREE, Kind.COMMIT}
    assert sum(kind is Kind.BLOB for kind, _id in received) == 5
    assert sum(kind is Kind.TREE for kind, _id in received) < 12
    assert len(answer.body) < 20_000


def test_a_change_in_a_chunked_file_is_a_small_fetch(ada: Remote) -> None:
    history = History()
    chunks = [os.urandom(3000) for _ in range(900)]

    def commit(parts: list[bytes], *parents: bytes) -> bytes:
        listed = [Chunk(len(part), history.put(Kind.BLOB, part)) for part in parts]
        root = build_chunk_list(hash_bytes(b"".join(parts)), listed, history.put)
        big = Entry("big", CHUNKED_FILE, root, sum(map(len, parts)))
        return history.commit(edit_tree(history.load, None, {"big": big}, history.put).id, *parents)

    first = commit(chunks)
    ada.push_main(history, first)
    second = commit([*chunks[:450], b"inserted", *chunks[450:]], first)
    ada.push_main(history, second, first)
    received = fetched(ada, reachable(history, first), haves=[first]).received
    assert sum(kind is Kind.BLOB for kind, _id in received) == 1
    assert sum(kind is Kind.CHUNKS for kind, _id in received) <= 4
    assert fetched(ada).received == reachable(history, second)


def test_tags_branches_and_merges_arrive(ada: Remote) -> None:
    history = History()
    base = history.commit_files({"a": b"1"})
    left = history.commit_files({"l": b"left"}, base)
    right = history.commit_files({"r": b"right"}, base)
    merge = history.commit_files({"r": b"right"}, left, right)
    tag = history.tag("v1", merge)
    tag_of_tag = history.tag("v1-signed", tag, Kind.TAG)
    tree_tag = history.tag("tree", history.graph(base).tree, Kind.TREE)
    blob_tag = history.file("note", b"a note").id
    updates = [
        RefUpdate("heads/main", None, merge),
        RefUpdate("tags/v1", None, tag_of_tag, Kind.TAG),
        RefUpdate("tags/tree", None, tree_tag, Kind.TAG),
        RefUpdate("tags/note", None, blob_tag, Kind.BLOB),
    ]
    ada.push(history, updates)
    everything = reachable(history, merge) | reachable(history, tag_of_tag, tree_tag, kind=Kind.TAG)
    everything[Kind.BLOB, blob_tag] = b"a note"
    assert fetched(ada).received == everything
    assert fetched(ada, wants=["tags/v1"]).received == reachable(history, tag_of_tag, kind=Kind.TAG)
    again = fetched(ada, everything, haves=[merge, tag_of_tag, tree_tag])
    assert {kind for kind, _id in again.received} <= {Kind.BLOB}


def test_a_large_clone_is_whole_packs(start_hub: Callable[..., RunningHub]) -> None:
    hub = start_hub(stream_max_objects=20)
    ada = hub.user("ada").repository("data")
    history = History()
    commits = [history.commit_files({f"f{n}": os.urandom(300) for n in range(30)})]
    ada.push_main(history, commits[0])
    for number in range(3):
        files: dict[str, bytes | None] = {f"g{number}-{n}": os.urandom(300) for n in range(30)}
        commits.append(history.commit_files(files, commits[-1]))
        ada.push_main(history, commits[-1], commits[-2])
    whole = fetched(ada)
    assert whole.packs == 4
    assert whole.received == reachable(history, commits[-1])
    assert fetched(ada, packs=False).packs == 0
    assert fetched(ada, packs=False).received == whole.received
    known = reachable(history, commits[1])
    later = fetched(ada, known, haves=[commits[1]])
    assert later.packs == 2
    assert later.received.keys() == whole.received.keys() - known.keys()

    digests = [
        address.digest.hex()
        for frame in ada.fetch().frames()
        if frame.type == PACKS
        for address in parse_pack_addresses(frame.json())
    ]
    again = ada.user.post_json(f"{ada.path}/fetch/presign", {"digests": digests}).json()
    assert [item["digest"] for item in again["packs"]] == digests
    stranger = hub.user("bob").repository("data", "ada")
    answer = stranger.user.post_json(f"{stranger.path}/fetch/presign", {"digests": digests})
    assert answer.error().code == "repository-not-found"
    answer = ada.user.post_json(f"{ada.path}/fetch/presign", {"digests": ["00" * 32]})
    assert answer.error().code == "pack-not-found"


def test_a_pack_with_something_unwanted_is_not_handed_out(start_hub: Callable[..., RunningHub]) -> None:
    hub = start_hub(stream_max_objects=5)
    ada = hub.user("ada").repository("data")
    history = History()
    tip = history.commit_files({f"f{n}": os.urandom(300) for n in range(20)})
    unwanted = os.urandom(300)
    history.file("unwanted", unwanted)
    ada.push_main(history, tip)
    assert ada.missing(Kind.BLOB, [hash_bytes(unwanted)]) == []
    clone = fetched(ada)
    assert clone.packs == 0
    assert clone.received == reachable(history, tip)


def test_deltas_travel_as_they_are_only_where_the_client_can_read_them(ada: Remote) -> None:
    history = History()
    text = os.urandom(3000)
    tips = [history.commit_files({"t": text})]
    for number in range(12):
        old = history.file("t", text)
        text += b"line %d" % number
        history.bases[Kind.BLOB, hash_bytes(text)] = old.id
        tips.append(history.commit_files({"t": text}, tips[-1]))
        history.objects[Kind.BLOB, hash_bytes(text)] = text
    ada.push_main(history, tips[-1])
    alone = history.commit(history.graph(tips[-1]).tree)
    ada.push(history, [RefUpdate("heads/alone", None, alone)])

    whole = ada.fetch(wants=["heads/main"])
    assert Receiver(ada).take(whole).received == reachable(history, tips[-1])
    assert len(whole.body) < 4 * 3000
    assert fetched(ada, wants=["heads/alone"]).received == reachable(history, alone)
    step = ada.fetch(wants=["heads/main"], haves=[tips[-2]])
    assert Receiver(ada, reachable(history, tips[-2])).take(step).received.keys()
    assert len(step.body) < 1500
    skip = fetched(ada, reachable(history, tips[2]), wants=["heads/main"], haves=[tips[2]])
    assert skip.objects.keys() >= reachable(history, tips[-1]).keys()


def test_unknown_wants_are_refused_before_the_answer_begins(ada: Remote) -> None:
    history = History()
    ada.push_main(history, history.commit_files({"a": b"1"}))
    for want in ("heads/other", "ab" * 32, "", "../x"):
        answer = ada.fetch(wants=[want])
        assert answer.status == 404
        assert answer.error().code == "unknown-revision"


def test_an_empty_repository_is_fetched(ada: Remote) -> None:
    history = History()
    commit = history.commit_files({"a": b"1"})
    ada.push(history, [RefUpdate("tags/v1", None, commit)])
    ada.push(history, [RefUpdate("tags/v1", commit, None)])
    assert fetched(ada).received == {}


def test_public_repositories_are_read_by_anybody(hub: RunningHub) -> None:
    history = History()
    commit = history.commit_files({"a": b"1"})
    hub.user("ada").repository("open").push_main(history, commit, create=Create("public"))
    assert fetched(hub.nobody().repository("open", "ada")).received == reachable(history, commit)


@pytest.mark.parametrize("lost", ["record", "blob", "pack"])
def test_what_is_lost_is_an_error_and_never_a_smaller_answer(hub: RunningHub, lost: str) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    tip = history.commit_files({"a": os.urandom(50), "d/b": os.urandom(60)})
    ada.push_main(history, tip)

    async def lose() -> None:
        async with hub.database.transaction("lose") as conn:
            if lost == "record":
                tree = min(i for k, i in reachable(history, tip) if k is Kind.TREE)
                await conn.execute(records.delete().where(records.c.id == tree))
            elif lost == "blob":
                await conn.execute(
                    blobs.delete().where(blobs.c.id == hash_bytes(history.load_file(tip, "a")))
                )
            else:
                await conn.execute(packs.update().values(digest=b"x" * 32))

    hub.call(lose())
    with pytest.raises(MuseError) as caught:
        fetched(ada)
    assert caught.value.code in {"missing-object", "pack-not-found"}


@pytest.mark.parametrize("seed", range(4))
def test_any_history_arrives_whole_whatever_is_had(start_hub: Callable[..., RunningHub], seed: int) -> None:
    """A random graph with merges, reverts and moves; every answer is complete, and exact on first parents."""
    rng = random.Random(seed)
    hub = start_hub(stream_max_objects=rng.choice([10, 1000]))
    ada = hub.user("ada").repository("random")
    history = History()
    commits = [history.commit_files({"f0": b"0"})]
    ada.push_main(history, commits[0])
    head = commits[0]
    for _number in range(40):
        parents = rng.sample(commits[-6:], k=min(len(commits), rng.choice([1, 1, 1, 2])))
        changes: dict[str, bytes | None] = {
            f"d{rng.randrange(3)}/{rng.randrange(3)}/f{rng.randrange(6)}": rng.choice(
                [b"%d" % rng.randrange(4), os.urandom(20)]
            )
            for _ in range(rng.randrange(1, 5))
        }
        commits.append(history.commit_files(changes, *parents))
        if rng.random() < 0.3:
            ada.push(history, [RefUpdate("heads/main", head, commits[-1], force=True)])
            head = commits[-1]
    ada.push(history, [RefUpdate(f"heads/b{n}", None, commit) for n, commit in enumerate(commits)])
    for _round in range(12):
        wants = rng.sample(commits, k=rng.randrange(1, 4))
        haves = rng.sample(commits, k=rng.randrange(0, 4))
        known = reachable(history, *haves)
        receiver = fetched(ada, known, wants=[want.hex() for want in wants], haves=haves)
        wanted = reachable(history, *wants)
        assert receiver.objects.keys() >= wanted.keys()
        lacking = wanted.keys() - known.keys()
        assert receiver.received.keys() >= lacking
        commits_sent = {key for key in receiver.received if key[0] is Kind.COMMIT}
        assert commits_sent == {key for key in lacking if key[0] is Kind.COMMIT}
        assert receiver.received.keys() <= wanted.keys()
