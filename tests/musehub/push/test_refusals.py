"""Everything wrong that a client can send: each gets its code, and nothing of it becomes visible."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.musehub.hub import History, HubUser, Remote, RunningHub, finish_body, header_of, pack_of, push_body

from muse.errors import MuseError
from muse.objects.commit import Commit, Person, Signature, encode_commit
from muse.objects.ids import Kind, hash_bytes
from muse.objects.tree import HEADER as TREE_HEADER
from muse.objects.tree import TYPE_LINE, Entry, Page, encode_entries, encode_pages
from muse.packs.record import Encoding, Record, encode_object, encode_record
from muse.wire.frames import BLOBS, COMMITS, END, FRAME, HEADER, TREES, encode_frame, encode_json
from muse.wire.push import RefUpdate
from musehub.db.migrate import upgrade
from musehub.db.opening import open_database
from musehub.settings import load_settings

PERSON = Person("A", "a@example.org", 1_700_000_000, 0)


class Place:
    """A hub that many tests share, each with users and repositories of its own."""

    def __init__(self, hub: RunningHub) -> None:
        self.hub = hub
        self.url = hub.url
        self._numbers = itertools.count()
        self._keeper = hub.user("keeper")

    def remote(self) -> Remote:
        """A repository that does not exist yet, of somebody who may create it."""
        return self._keeper.repository(f"notes-{next(self._numbers)}")

    def user(self, name: str, **options: str) -> HubUser:
        return self.hub.user(f"{name}{next(self._numbers)}", **options)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """On SQLite alone: what is refused here is refused before a database sees it."""
    settings = load_settings({"data_dir": tmp_path_factory.mktemp("hub")}, environ={})

    async def migrate() -> None:
        database = open_database(settings)
        await upgrade(database)
        await database.close()

    asyncio.run(migrate())
    hub = RunningHub(settings)
    yield Place(hub)
    hub.stop()


@pytest.fixture
def ada(place: Place) -> Remote:
    return place.remote()


@pytest.fixture
def database_kind() -> str:
    """For the few tests that need a hub with settings of their own."""
    return "sqlite"


def refused(remote: Remote, body: bytes) -> MuseError:
    with pytest.raises(MuseError) as caught:
        remote.stream(body).result()
    return caught.value


def stream_of(new: bytes, *frames: bytes) -> bytes:
    header = header_of([RefUpdate("heads/main", None, new)])
    return finish_body([encode_json(HEADER, header.to_json()), *frames])


def frame_of(kind: bytes, *records: Record) -> bytes:
    return encode_frame(kind, b"".join(map(encode_record, records)))


def numbered(cases: list[Any]) -> list[str]:
    """Short names for cases that are long bytes."""
    return [str(number) for number in range(len(cases))]


def tree_of(names: list[bytes], kinds: bytes | None = None, blob: bytes = b"x") -> bytes:
    """A tree whose names nobody has checked."""
    count = len(names)
    ids = hash_bytes(blob) * count
    return b"".join(
        (
            TYPE_LINE,
            TREE_HEADER.pack(0, count),
            kinds or b"f" * count,
            ids,
            struct.pack(f"<{2 * count}Q", *([len(blob)] * count), *([1] * count)),
            b"\0".join(names),
        )
    )


def push_tree(remote: Remote, tree: bytes) -> MuseError:
    commit = encode_commit(Commit(hash_bytes(tree), (), PERSON, PERSON, "m"))
    return refused(
        remote,
        stream_of(
            hash_bytes(commit),
            frame_of(BLOBS, encode_object(Kind.BLOB, b"x")),
            frame_of(TREES, encode_object(Kind.TREE, tree)),
            frame_of(COMMITS, encode_object(Kind.COMMIT, commit)),
        ),
    )


# ---- frames


def valid_body() -> bytes:
    history = History()
    commit = history.commit_files({"a": b"1", "d/b": b"2"})
    return push_body(header_of([RefUpdate("heads/main", None, commit)]), history.take())


def json_header(**changes: object) -> bytes:
    value = header_of([RefUpdate("heads/main", None, b"n" * 32)]).to_json()
    return encode_json(HEADER, value | changes)


WRONG_STREAMS = [
    (b"", "bad-frame"),
    (b"GET / HTTP/1.1\r\n\r\n", "bad-frame"),
    (FRAME.pack(b"H", 1 << 31) + b"x", "bad-frame"),
    (FRAME.pack(b"H", 20_000_000) + b"x", "bad-frame"),
    (encode_frame(HEADER, b"not json"), "bad-frame"),
    (encode_frame(HEADER, b"[]"), "bad-frame"),
    (encode_frame(HEADER, b"[" * 100_000), "bad-frame"),
    (encode_frame(TREES, b""), "bad-frame"),
    (json_header(protocol=2), "unsupported-version"),
    (json_header(protocol=None), "unsupported-version"),
    (json_header(push_id="00"), "bad-frame"),
    (json_header(push_id=5), "bad-frame"),
    (json_header(updates=[]), "bad-frame"),
    (json_header(updates=[{"name": "heads/a", "new": "zz" * 32}]), "bad-frame"),
    (json_header(updates=[{"name": "heads/a", "kind": "tree", "new": "aa" * 32}]), "bad-frame"),
    (json_header(updates=[{"name": "heads/a"}] * 2), "bad-frame"),
    (json_header(updates=[{"name": f"heads/{n}"} for n in range(10_001)]), "bad-frame"),
    (json_header(create={"visibility": "secret"}), "bad-frame"),
    (json_header(updates=[{"name": "refs/x"}]), "bad-name"),
    (json_header(updates=[{"name": "heads/../x"}]), "bad-name"),
    (json_header(updates=[{"name": "heads/a\0b"}]), "bad-name"),
    (json_header(updates=[{"name": "heads/" + "a" * 300}]), "bad-name"),
    (json_header(), "truncated"),
    (json_header() + encode_frame(b"P", b"{}"), "bad-frame"),
    (json_header() + json_header(), "bad-frame"),
    (json_header() + b"Z" + bytes(4), "bad-frame"),
    (json_header() + FRAME.pack(b"S", 100) + b"short", "truncated"),
    (json_header() + encode_frame(TREES, b"\x20"), "truncated"),
    (json_header() + encode_frame(TREES, b"\xff" * 9), "bad-record"),
    (json_header() + encode_json(END, {"counts": {}, "sha256": "00" * 32}), "truncated"),
    (json_header() + encode_json(END, {"counts": {"S": -1}, "sha256": "00" * 32}), "bad-frame"),
    (finish_body([json_header()]), "missing-objects"),
]


@pytest.mark.parametrize(("body", "code"), WRONG_STREAMS, ids=numbered(WRONG_STREAMS))
def test_a_stream_that_is_wrong(ada: Remote, body: bytes, code: str) -> None:
    assert refused(ada, body).code == code


def test_a_count_that_does_not_fit(ada: Remote) -> None:
    body = valid_body()
    end = body.rindex(b"E")
    frames = body[: body.rindex(FRAME.pack(b"E", len(body) - body.rindex(b'{"counts"')))]
    value = json.loads(body[body.rindex(b'{"counts"') :])
    value["counts"]["S"] += 1
    assert end
    assert refused(ada, frames + encode_json(END, value)).code == "truncated"
    value["counts"]["S"] -= 1
    assert ada.stream(frames + encode_json(END, value)).result()["counts"]["trees"] == 2


def test_no_prefix_of_a_push_moves_a_branch(ada: Remote) -> None:
    body = valid_body()
    for end in range(0, len(body), max(1, len(body) // 25)):
        assert refused(ada, body[:end]).code in {"truncated", "bad-frame"}
    assert ada.refs().status == 404 or ada.refs().json()["refs"] == {}
    assert ada.stream(body).result()


def test_no_flipped_byte_is_accepted(ada: Remote) -> None:
    body = valid_body()
    for position in range(0, len(body), max(1, len(body) // 40)):
        changed = bytearray(body)
        changed[position] ^= 0x55
        with pytest.raises(MuseError) as caught:
            ada.stream(bytes(changed)).result()
        assert caught.value.code != "internal", position
    assert ada.stream(body).result()


# ---- records


def bomb(announced: int) -> Record:
    real = encode_object(Kind.BLOB, bytes(4_000_000))
    return real._replace(raw_size=announced)


WRONG_RECORDS = [
    (bomb(1000), "bad-record"),
    (bomb(4_000_001), "bad-record"),
    (Record(Kind.BLOB, Encoding.ZSTD, 10, None, b"not zstd"), "bad-record"),
    (Record(Kind.BLOB, Encoding.PREFIX, 10, b"b" * 32, b"x"), "missing-objects"),
    (Record(Kind.TREE, Encoding.RAW, 1, None, b"x"), "bad-frame"),
]


@pytest.mark.parametrize(("record", "code"), WRONG_RECORDS, ids=numbered(WRONG_RECORDS))
def test_a_blob_record_that_is_wrong(ada: Remote, record: Record, code: str) -> None:
    assert refused(ada, stream_of(b"n" * 32, frame_of(BLOBS, record))).code == code


def test_a_frame_that_inflates_without_end_is_refused(ada: Remote) -> None:
    zeros = encode_object(Kind.BLOB, bytes(16 << 20))
    body = stream_of(b"n" * 32, frame_of(BLOBS, *[zeros] * 300))
    assert refused(ada, body).code == "too-large"


def test_a_frame_of_very_many_records_is_refused(ada: Remote) -> None:
    empty = encode_object(Kind.BLOB, b"")
    assert refused(ada, stream_of(b"n" * 32, frame_of(BLOBS, *[empty] * 70_000))).code == "too-large"


def test_more_blobs_than_a_stream_may_hold_are_refused(start_hub: Callable[..., RunningHub]) -> None:
    hub = start_hub(stream_max_size_bytes=10_000, frame_max_bytes=100_000)
    blobs = [encode_object(Kind.BLOB, os.urandom(90_000)) for _ in range(3)]
    body = stream_of(b"n" * 32, *(frame_of(BLOBS, blob) for blob in blobs))
    assert refused(hub.user("ada").repository("x"), body).code == "too-large"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (b"..", "bad-path"),
        (b".", "bad-path"),
        (b".muse", "bad-path"),
        (b".MUSE", "bad-path"),
        (b"a/b", "bad-path"),
        (b"", "bad-path"),
        (b"\xff\xfe", "bad-object"),
        (b"n" * 256, "bad-path"),
    ],
)
def test_a_tree_with_a_forbidden_name(ada: Remote, name: bytes, code: str) -> None:
    assert push_tree(ada, tree_of([name])).code == code
    assert ada.refs().json()["refs"] == {}


WRONG_TREES = [
    tree_of([b"a\0b"]),
    tree_of([b"b", b"a"]),
    tree_of([b"a", b"a"]),
    tree_of([b"a"], b"?"),
    tree_of([b"a"], b"p"),
    tree_of([b"a"])[:-20],
    TYPE_LINE + TREE_HEADER.pack(0, 1 << 31),
    b"muse tree 2\n" + TREE_HEADER.pack(0, 0),
    b"",
]


@pytest.mark.parametrize("tree", WRONG_TREES, ids=numbered(WRONG_TREES))
def test_a_tree_that_is_not_canonical(ada: Remote, tree: bytes) -> None:
    assert push_tree(ada, tree).code == "bad-object"


def test_a_signature_that_does_not_verify(ada: Remote) -> None:
    history = History()
    tree = history.snapshot({"a": b"1"})
    signed = Commit(tree, (), PERSON, PERSON, "m", signature=Signature(b"k" * 32, b"v" * 64))
    commit = history.put(Kind.COMMIT, encode_commit(signed))
    error = refused(ada, push_body(header_of([RefUpdate("heads/main", None, commit)]), history.take()))
    assert error.code == "bad-signature"
    assert error.details["id"] == commit.hex()


# ---- closure


@pytest.mark.parametrize("kind", [Kind.BLOB, Kind.TREE, Kind.COMMIT])
def test_a_push_that_lacks_an_object_names_it(ada: Remote, kind: Kind) -> None:
    history = History()
    first = history.commit_files({"a": b"1", "d/b": b"2"})
    second = history.commit_files({"a": b"3"}, first)
    taken = history.take(deltas=False)
    left_out = next(index for index, item in enumerate(taken) if item[0] is kind)
    missing = taken.pop(left_out)
    error = refused(ada, push_body(header_of([RefUpdate("heads/main", None, second)]), taken))
    assert error.code == "missing-objects"
    assert {"kind": kind.name.lower(), "id": missing[1].hex()} in error.details["missing"]
    assert ada.refs().json()["refs"] == {}


def test_parents_come_first(ada: Remote) -> None:
    history = History()
    first = history.commit_files({"a": b"1"})
    second = history.commit_files({"a": b"2"}, first)
    taken = history.take(deltas=False)
    commits = [item for item in taken if item[0] is Kind.COMMIT]
    rest = [item for item in taken if item[0] is not Kind.COMMIT]
    header = header_of([RefUpdate("heads/main", None, second)])
    assert refused(ada, push_body(header, rest + commits[::-1])).code == "missing-objects"
    assert ada.stream(push_body(header, rest + commits)).result()


def test_objects_of_another_repository_do_not_count(place: Place) -> None:
    history = History()
    commit = history.commit_files({"secret": b"plans"})
    place.user("ada").repository("vault").push_main(history, commit)
    bob = place.user("bob").repository("copy")
    error = refused(bob, stream_of(commit))
    assert error.code == "missing-objects"
    tree = history.graph(commit).tree
    own = encode_commit(Commit(tree, (), PERSON, PERSON, "mine now"))
    stolen = stream_of(hash_bytes(own), frame_of(COMMITS, encode_object(Kind.COMMIT, own)))
    assert refused(bob, stolen).code == "missing-objects"
    delta = encode_object(Kind.BLOB, b"plans, improved" * 40, (hash_bytes(b"plans"), b"plans" * 40))
    if delta.base is not None:
        assert refused(bob, stream_of(commit, frame_of(BLOBS, delta))).code == "missing-objects"
    assert bob.missing(Kind.BLOB, [hash_bytes(b"plans")]) == [hash_bytes(b"plans")]


# ---- who


def test_a_private_repository_does_not_exist_for_others(place: Place) -> None:
    history = History()
    commit = history.commit_files({"a": b"1"})
    ada = place.user("ada")
    push_id = os.urandom(16)
    body = push_body(header_of([RefUpdate("heads/main", None, commit)], push_id=push_id), history.take())
    ada.repository("diary").stream(body).result()
    for other in (place.user("bob"), place.hub.nobody()):
        theirs = other.repository("diary", ada.name)
        nowhere = other.repository("nothing", ada.name)
        for remote in (theirs, nowhere):
            answers = [
                remote.refs(),
                remote.fetch(),
                remote.receipt(push_id),
                remote.presign(push_id, b"d" * 32, 10),
            ]
            codes = {answer.error().code for answer in answers}
            assert codes <= {"repository-not-found", "not-logged-in"}, codes
            assert refused(remote, body).code in {"repository-not-found", "not-logged-in"}
        for ask in (
            lambda remote: remote.refs().error(),
            lambda remote: remote.presign(push_id, b"d" * 32, 10).error(),
            lambda remote: refused(remote, body),
        ):
            first, second = (
                (error.code, error.message.replace(remote.path.strip("/"), ""), error.hint, error.details)
                for remote in (theirs, nowhere)
                for error in [ask(remote)]
            )
            assert first == second


def test_a_token_may_only_do_what_its_scope_says(place: Place) -> None:
    reader = place.user("reader", scope="read").repository("notes")
    assert refused(reader, valid_body()).code == "wrong-scope"


def test_a_wrong_token_is_refused_and_the_request_read_to_its_end(place: Place) -> None:
    answer = HubUser(place.url, "eve", "nonsense").repository("notes").stream(b"x" * 5_000_000)
    assert (answer.status, answer.error().code) == (401, "bad-credentials")
    assert answer.headers["www-authenticate"] == 'Bearer realm="musehub", error="invalid_token"'


def test_a_repository_is_not_created_unless_that_is_said(ada: Remote) -> None:
    history = History()
    commit = history.commit_files({"a": b"1"})
    with pytest.raises(MuseError) as caught:
        ada.push_main(history, commit, create=None)
    assert caught.value.code == "repository-not-found"
    assert caught.value.details["may_create"]
    assert ada.refs().error().details["may_create"]


@pytest.mark.parametrize("name", ["a b", "x.git", "a..b", ".hidden", "n" * 101, "%2e%2e"])
def test_a_repository_has_a_plain_name(place: Place, name: str) -> None:
    remote = place.user("ada").repository(name.replace(" ", "%20"))
    assert refused(remote, valid_body()).code in {"bad-name", "page-not-found"}


# ---- packs


def lying_index(pack: bytes) -> bytes:
    return pack.replace(hash_bytes(b"one"), hash_bytes(b"two"))


def confirm_refused(remote: Remote, pack: bytes) -> str:
    push_id = os.urandom(16)
    assert remote.upload(push_id, pack).status == 200
    with pytest.raises(MuseError) as caught:
        remote.confirm(push_id, pack).result()
    return caught.value.code


def test_packs_that_lie_are_refused_before_anything_is_visible(ada: Remote) -> None:
    good = pack_of([(hash_bytes(b"one"), encode_object(Kind.BLOB, b"one"))])
    assert confirm_refused(ada, lying_index(good)) == "wrong-hash"
    assert confirm_refused(ada, good[:-1]) in {"truncated", "bad-pack"}
    assert confirm_refused(ada, good[:12] + good[13:]) in {"truncated", "bad-pack", "bad-record"}
    assert confirm_refused(ada, b"") in {"truncated", "bad-pack"}
    assert confirm_refused(ada, pack_of([(b"i" * 32, bomb(10))])) == "bad-record"
    tree = tree_of([])
    assert confirm_refused(ada, pack_of([(hash_bytes(tree), encode_object(Kind.TREE, tree))])) == "bad-pack"
    ids = [hash_bytes(b"one"), hash_bytes(b"two"), hash_bytes(tree)]
    assert ada.missing(Kind.BLOB, ids) == ids


@pytest.mark.parametrize(
    "body", [b"", b"\x01" + b"x" * 31, b"\x00" + b"x" * 32, b"\x09" + b"x" * 32, b"nonsense"]
)
def test_a_question_that_makes_no_sense(ada: Remote, body: bytes) -> None:
    answer = ada.user.request("POST", f"{ada.path}/push/missing", body)
    assert answer.status == 422
    assert answer.error().code == "bad-frame"


@pytest.mark.parametrize("path", ["push/presign", "push/confirm", "fetch", "fetch/presign"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"protocol": 1}', b'{"protocol": 7}'])
def test_a_request_that_makes_no_sense(ada: Remote, path: str, body: bytes) -> None:
    if path == "fetch":
        history = History()
        ada.push_main(history, history.commit_files({"a": b"a"}))
    answer = ada.user.request("POST", f"{ada.path}/{path}", body)
    assert answer.status in {400, 422}
    assert answer.error().code in {"bad-frame", "unsupported-version"}


# ---- sizes and counts


def entry_tree(*entries: Entry) -> bytes:
    return encode_entries(list(entries))


BLOB_X = hash_bytes(b"x")
GOOD_TREE = entry_tree(Entry("b", "f", BLOB_X, 1), Entry("c", "f", BLOB_X, 1))
GOOD = hash_bytes(GOOD_TREE)
WRONG_TREES = [
    entry_tree(Entry("a", "f", BLOB_X, 10**15)),
    entry_tree(Entry("a", "f", BLOB_X, 2**64 - 1)),
    entry_tree(Entry("a", "f", BLOB_X, 1, 2)),
    entry_tree(Entry("a", "d", GOOD, 3, 2)),
    entry_tree(Entry("a", "d", GOOD, 2, 2**63)),
    entry_tree(Entry("a", "f", BLOB_X, 7), Entry("d", "d", GOOD, 2, 2)),
    encode_pages(1, [Page("c", GOOD, 2, 2, 2), Page("d", GOOD, 2, 2, 2)]),
    encode_pages(1, [Page("d", GOOD, 2, 2, 2)]),
    encode_pages(1, [Page("c", GOOD, 2, 2, 3)]),
    encode_pages(2, [Page("c", GOOD, 2, 2, 2)]),
    tree_of([b".git"]),
    tree_of([b".GIT"]),
]


@pytest.mark.parametrize("tree", WRONG_TREES, ids=numbered(WRONG_TREES))
@pytest.mark.parametrize("blob_is_there", [False, True])
def test_trees_that_no_client_checks_out(ada: Remote, tree: bytes, blob_is_there: bool) -> None:
    blob = encode_object(Kind.BLOB, b"x")
    before = []
    if blob_is_there:
        first = encode_commit(Commit(GOOD, (), PERSON, PERSON, "m"))
        frames = frame_of(BLOBS, blob), frame_of(TREES, encode_object(Kind.TREE, GOOD_TREE))
        commits = frame_of(COMMITS, encode_object(Kind.COMMIT, first))
        header = header_of([RefUpdate("heads/other", None, hash_bytes(first))])
        ada.stream(finish_body([encode_json(HEADER, header.to_json()), *frames, commits])).result()
    else:
        before = [frame_of(BLOBS, blob)]
    commit = encode_commit(Commit(hash_bytes(tree), (), PERSON, PERSON, "m"))
    trees = [encode_object(Kind.TREE, GOOD_TREE), encode_object(Kind.TREE, tree)]
    body = stream_of(
        hash_bytes(commit),
        *before,
        frame_of(TREES, *trees),
        frame_of(COMMITS, encode_object(Kind.COMMIT, commit)),
    )
    assert refused(ada, body).code in ("bad-object", "bad-path")


def test_a_chain_of_tags_is_bounded_in_one_push_and_over_many(hub: RunningHub) -> None:
    """Whoever resolves the first of them asks for one after the other."""
    ada = hub.user("ada").repository("notes")
    history = History()
    target, kind = history.commit_files({"f": b"1"}), Kind.COMMIT
    ada.push_main(history, target)
    for number in range(16):
        target, kind = history.tag(f"t{number}", target, kind), Kind.TAG
        if number in (7, 15):
            ada.push(history, [RefUpdate(f"tags/t{number}", None, target, Kind.TAG)])
    longer = history.tag("t16", target, Kind.TAG)
    with pytest.raises(MuseError) as caught:
        ada.push(history, [RefUpdate("tags/t16", None, longer, Kind.TAG)])
    assert caught.value.code == "too-large"

    at_once = History()
    target, kind = at_once.commit_files({"f": b"2"}), Kind.COMMIT
    for number in range(17):
        target, kind = at_once.tag(f"u{number}", target, kind), Kind.TAG
    with pytest.raises(MuseError) as caught:
        ada.push(at_once, [RefUpdate("tags/u16", None, target, Kind.TAG)])
    assert caught.value.code == "too-large"
