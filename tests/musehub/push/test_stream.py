"""Small pushes: one stream of frames, one receipt."""

from __future__ import annotations

import os

import pytest
from tests.musehub.hub import History, RunningHub, finish_body, header_of, push_body

from muse.errors import MuseError
from muse.objects.ids import Kind
from muse.wire.frames import HEADER, encode_json
from muse.wire.push import RefUpdate


def test_a_first_push_creates_a_private_repository_and_its_branch(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    commit = history.commit_files({"a.txt": b"one", "src/b.txt": b"two"})

    result = ada.push_main(history, commit)

    assert result["created"]
    assert not result["up_to_date"]
    assert result["repository"] == "ada/notes"
    assert {name: result["counts"][name] for name in ("commits", "trees", "blobs")} == {
        "commits": 1,
        "trees": 2,
        "blobs": 2,
    }
    refs = ada.refs().json()
    assert refs["visibility"] == "private"
    assert refs["default_branch"] == "main"
    assert refs["may_write"]
    assert refs["refs"] == {"heads/main": {"target": commit.hex(), "kind": "commit"}}
    assert hub.nobody().repository("notes", "ada").refs().error().code == "repository-not-found"


def test_the_next_push_sends_only_what_is_new(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    first = history.commit_files({"a.txt": b"one" * 500, "b.txt": b"two"})
    ada.push_main(history, first)
    second = history.commit_files({"a.txt": b"one" * 500 + b"!"}, first)

    result = ada.push_main(history, second, first)

    assert not result["created"]
    assert result["counts"]["blobs"] == result["counts"]["trees"] == result["counts"]["commits"] == 1
    assert ada.refs().json()["refs"]["heads/main"]["target"] == second.hex()


def test_pushing_what_is_there_is_one_constant_request(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    commits = [history.commit_files({"a": b"0"})]
    ada.push_main(history, commits[0])
    costs = []
    for _round in range(2):
        body = encode_json(HEADER, header_of([RefUpdate("heads/main", None, commits[-1])]).to_json())
        result = ada.stream(finish_body([body])).result()
        assert result["up_to_date"]
        costs.append((result["timeline"]["statements"], result["timeline"]["store_calls"]))
        more = [history.commit_files({f"f{n}": os.urandom(100)}, commits[-1]) for n in range(50)]
        ada.push_main(history, more[-1], commits[-1])
        commits += more
    assert costs[0] == costs[1]
    assert costs[0][0] <= 4
    assert costs[0][1] == 0


def test_a_push_sent_again_gets_its_receipt(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    push_id = os.urandom(16)
    first = history.commit_files({"a": b"1"})
    body = push_body(header_of([RefUpdate("heads/main", None, first)], push_id=push_id), history.take())
    result = ada.stream(body).result()
    second = history.commit_files({"a": b"2"}, first)
    ada.push_main(history, second, first)

    assert ada.stream(body).result() == result

    receipt = ada.receipt(push_id).json()
    assert receipt["state"] == "done"
    assert receipt["result"]["refs"] == {"heads/main": {"target": first.hex(), "kind": "commit"}}
    assert receipt["timeline"] == result["timeline"]
    assert ada.refs().json()["refs"]["heads/main"]["target"] == second.hex()
    assert ada.receipt(os.urandom(16)).error().code == "receipt-not-found"


def test_a_stale_head_is_refused_with_the_current_one(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    first = history.commit_files({"a": b"1"})
    ada.push_main(history, first)
    second = history.commit_files({"a": b"2"}, first)
    with pytest.raises(MuseError) as caught:
        ada.push_main(history, second, None)
    assert caught.value.code == "stale-head"
    assert caught.value.details["refs"] == {"heads/main": {"target": first.hex(), "kind": "commit"}}
    assert ada.refs().json()["refs"]["heads/main"]["target"] == first.hex()


def test_of_two_pushers_one_wins(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    base = history.commit_files({"a": b"1"})
    ada.push_main(history, base)
    mine = history.commit_files({"a": b"mine"}, base)
    theirs = history.commit_files({"a": b"theirs"}, base)
    ada.push(history, [RefUpdate("heads/main", base, mine)])
    with pytest.raises(MuseError) as caught:
        ada.push(history, [RefUpdate("heads/main", base, theirs, force=True)])
    assert caught.value.code == "stale-head"
    assert ada.refs().json()["refs"]["heads/main"]["target"] == mine.hex()


def test_a_branch_moves_forward_unless_forced(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    base = history.commit_files({"a": b"1"})
    tip = base
    for number in range(5):
        tip = history.commit_files({"a": b"%d" % number}, tip)
    ada.push_main(history, tip)
    other = history.commit_files({"a": b"other"}, base)
    with pytest.raises(MuseError) as caught:
        ada.push_main(history, other, tip)
    assert caught.value.code == "not-fast-forward"
    assert caught.value.details["current"]["target"] == tip.hex()
    with pytest.raises(MuseError):
        ada.push_main(history, base, tip)
    merge = history.commit_files({"a": b"merged"}, other, tip)
    ada.push_main(history, merge, tip)
    ada.push(history, [RefUpdate("heads/main", merge, base, force=True)])
    assert ada.refs().json()["refs"]["heads/main"]["target"] == base.hex()
    ada.push_main(history, merge, base)  # nothing of it is new: ancestry comes from the database alone


def test_several_refs_move_together_or_not_at_all(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    one = history.commit_files({"a": b"1"})
    two = history.commit_files({"a": b"2"}, one)
    tag = history.tag("v1", one)
    updates = [
        RefUpdate("heads/main", None, two),
        RefUpdate("heads/feature/x", None, one),
        RefUpdate("tags/v1", None, tag, Kind.TAG),
        RefUpdate("tags/light", None, two),
    ]
    ada.push(history, updates)
    assert ada.refs().json()["refs"] == {
        update.name: {"target": update.new.hex(), "kind": update.kind.name.lower()}
        for update in updates
        if update.new
    }

    three = history.commit_files({"a": b"3"}, two)
    with pytest.raises(MuseError) as caught:
        ada.push(history, [RefUpdate("heads/main", two, three), RefUpdate("heads/feature/x", two, three)])
    assert caught.value.code == "stale-head"
    with pytest.raises(MuseError) as caught:
        ada.push(history, [RefUpdate("heads/main", two, three), RefUpdate("tags/v1", tag, three)])
    assert caught.value.code == "already-exists"
    assert ada.refs().json()["refs"]["heads/main"]["target"] == two.hex()

    deletions = [RefUpdate("heads/feature/x", one, None), RefUpdate("tags/light", two, None)]
    ada.push(history, [*deletions, RefUpdate("tags/v1", tag, three, force=True)])
    assert set(ada.refs().json()["refs"]) == {"heads/main", "tags/v1"}
    with pytest.raises(MuseError) as caught:
        ada.push(history, [RefUpdate("heads/main", two, None)])
    assert caught.value.code == "checked-out"


def test_the_first_branch_becomes_the_default_one(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    commit = history.commit_files({"a": b"1"})
    ada.push(history, [RefUpdate("tags/v0", None, commit)])
    assert ada.refs().json()["default_branch"] == "main"
    ada.push(history, [RefUpdate("heads/trunk", None, commit)])
    assert ada.refs().json()["default_branch"] == "trunk"


def test_deltas_are_resolved_within_the_stream_and_against_the_repository(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    text = os.urandom(4000)
    files: dict[str, bytes | None] = {f"dir/file-{n}": b"%d" % n for n in range(200)}
    tip = history.commit_files(files | {"text": text})
    ada.push_main(history, tip)
    pushed = tip
    for number in range(40):
        old = history.file("text", text)
        text += b"%d" % number
        history.bases[Kind.BLOB, history.file("text", text).id] = old.id
        new = history.commit_files({f"dir/file-{number}": text[-8:], "text": text}, tip)
        if number % 10 == 9:
            ada.push_main(history, new, pushed)
            pushed = new
        tip = new
    assert ada.refs().json()["refs"]["heads/main"]["target"] == tip.hex()
    assert ada.missing(Kind.BLOB, [history.file("text", text).id]) == []


def test_frames_may_arrive_in_pieces_and_be_many(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    tip = history.commit_files({"a": b"0"})
    for number in range(1, 120):
        tip = history.commit_files({f"d{number % 7}/f{number}": os.urandom(50)}, tip)
    header = header_of([RefUpdate("heads/main", None, tip)])
    body = push_body(header, history.take())
    pieces = (body[start : start + 1000] for start in range(0, len(body), 1000))
    answer = ada.user.request("POST", f"{ada.path}/push/stream", pieces)
    assert answer.result()["counts"]["commits"] == 120
