"""A push in several streams: objects come first, in parts, and the last stream moves the branches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.musehub.hub import (
    PRIVATE,
    Answer,
    History,
    Remote,
    RunningHub,
    finish_body,
    header_of,
    hub_settings,
    pack_of,
    push_body,
)

from muse.errors import MuseError
from muse.objects.ids import Kind
from muse.packs.record import Record
from muse.wire.frames import HEADER, encode_json
from muse.wire.push import PartResult, PushHeader, PushResult, RefUpdate, parse_part_result
from musehub.settings import Settings

Taken = list[tuple[Kind, bytes, Record]]


def part_body(push_id: bytes, objects: Taken, **members: Any) -> bytes:
    return push_body(PushHeader(push_id, [], PRIVATE, "test", more=True)._replace(**members), objects)


def send_part(remote: Remote, push_id: bytes, objects: Taken, **members: Any) -> PartResult:
    result = parse_part_result(remote.stream(part_body(push_id, objects, **members)).result())
    assert isinstance(result, PartResult)
    return result


def last_body(push_id: bytes, new: bytes, objects: Taken, old: bytes | None = None) -> bytes:
    return push_body(header_of([RefUpdate("heads/main", old, new)], push_id=push_id), objects)


def is_metadata(kind: Kind) -> bool:
    return kind is not Kind.BLOB


def grow(history: History, tip: bytes | None, commits: int) -> bytes:
    for number in range(commits):
        files: dict[str, bytes | None] = {f"d{number % 7}/f{number}": os.urandom(100)}
        tip = history.commit_files(files, *([tip] if tip else []))
    assert tip is not None
    return tip


def test_parts_bring_objects_and_the_last_stream_moves_the_branch(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    push_id = os.urandom(16)
    blobs: list[bytes] = []
    tip: bytes | None = None
    for _round in range(3):
        tip = grow(history, tip, 20)
        taken = history.take()
        pack = pack_of([(object_id, record) for kind, object_id, record in taken if kind is Kind.BLOB])
        assert ada.upload(push_id, pack).status == 200
        ada.confirm(push_id, pack).result()
        part = send_part(ada, push_id, [item for item in taken if is_metadata(item[0])])
        assert part.push_id == push_id
        assert part.repository == "ada/notes"
        assert part.counts["commits"] == 20
        assert part.counts["blobs"] == 0
        assert ada.refs().json()["refs"] == {}
        receipt = ada.receipt(push_id).json()
        assert (receipt["state"], receipt["result"]) == ("receiving", None)
        blobs.append(pack)
    assert tip is not None
    end = grow(history, tip, 5)

    result = ada.stream(last_body(push_id, end, history.take())).result()

    assert ada.refs().json()["refs"]["heads/main"]["target"] == end.hex()
    counts = result["counts"]
    assert (counts["commits"], counts["blobs"]) == (65, 65)
    assert counts["trees"] == sum(1 for kind, _ in history.objects if kind is Kind.TREE)
    assert counts["received_bytes"] > sum(map(len, blobs))
    parts = result["timeline"]["parts"]
    assert (parts["streams"], parts["commits"]) == (3, 60)
    assert parts["statements"] > 0
    assert parts["longest_transaction_s"] > 0
    assert sum(phase["s"] for phase in parts["phases"]) == pytest.approx(parts["s"], rel=0.05)
    assert result["timeline"]["uploads"]["packs"] == 3
    receipt = ada.receipt(push_id).json()
    assert (receipt["state"], receipt["counts"]) == ("done", counts)
    assert receipt["timeline"] == result["timeline"]


def test_a_part_may_make_the_repository_and_the_last_stream_be_empty(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    push_id = os.urandom(16)
    tip = grow(history, None, 3)
    assert send_part(ada, push_id, history.take()).created
    body = encode_json(HEADER, header_of([RefUpdate("heads/main", None, tip)], push_id=push_id).to_json())
    counts = ada.stream(finish_body([body])).result()["counts"]
    assert (counts["commits"], counts["blobs"]) == (3, 3)
    assert ada.refs().json()["refs"]["heads/main"]["target"] == tip.hex()


def test_a_part_sent_again_is_counted_once(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    push_id = os.urandom(16)
    tip = grow(history, None, 4)
    taken = history.take()
    first = send_part(ada, push_id, taken)
    assert send_part(ada, push_id, taken).counts == first.counts
    result = ada.stream(last_body(push_id, tip, [])).result()
    assert result["counts"]["commits"] == 4
    assert result["timeline"]["parts"]["streams"] == 2


def test_a_part_of_a_push_that_has_landed_gets_its_receipt(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    push_id = os.urandom(16)
    tip = grow(history, None, 2)
    taken = history.take()
    result = ada.stream(last_body(push_id, tip, taken)).result()
    again = ada.stream(part_body(push_id, taken)).result()
    assert again == result
    assert isinstance(parse_part_result(again), PushResult)


def test_a_part_needs_what_it_names_and_a_later_one_may_bring_it(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    push_id = os.urandom(16)
    tip = grow(history, None, 1)
    taken = history.take()
    metadata = [item for item in taken if is_metadata(item[0])]
    with pytest.raises(MuseError) as caught:
        send_part(ada, push_id, metadata)
    assert caught.value.code == "missing-objects"
    send_part(ada, push_id, [item for item in taken if not is_metadata(item[0])])
    send_part(ada, push_id, metadata)
    ada.stream(last_body(push_id, tip, [])).result()
    assert ada.missing(Kind.COMMIT, [tip]) == []


def test_a_part_that_fails_late_is_said_in_the_receipt_until_the_push_goes_on(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    push_id = os.urandom(16)
    tip = grow(history, None, 30)
    taken = history.take()
    pack = pack_of([(object_id, record) for kind, object_id, record in taken if kind is Kind.BLOB])
    assert ada.upload(push_id, pack).status == 200
    ada.confirm(push_id, pack).result()
    metadata = [item for item in taken if is_metadata(item[0])]
    send_part(ada, push_id, metadata[:-1])
    cut = part_body(push_id, [*metadata[-1:]])[:-10]
    with pytest.raises(MuseError) as caught:
        ada.stream(cut).result()
    assert caught.value.code == "truncated"
    part = send_part(ada, push_id, metadata[-1:])
    assert part.counts["commits"] == 1
    receipt = ada.receipt(push_id).json()
    assert (receipt["state"], receipt["error"]) == ("receiving", None)
    result = ada.stream(last_body(push_id, tip, [])).result()
    assert result["counts"]["commits"] == 30
    assert result["timeline"]["uploads"]["packs"] == 1
    assert result["timeline"]["parts"]["streams"] == 2


def test_a_failed_stream_keeps_the_figures_of_packs_and_parts(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    push_id = os.urandom(16)
    first = grow(history, None, 3)
    send_part(ada, push_id, history.take())
    second = grow(history, first, 2)
    taken = history.take()
    with pytest.raises(MuseError) as caught:  # recorded, then refused: the branch is not where it should be
        ada.stream(
            push_body(header_of([RefUpdate("tags/x", None, b"?" * 32)], push_id=push_id), taken)
        ).result()
    assert caught.value.code == "missing-objects"
    receipt = ada.receipt(push_id).json()
    assert receipt["state"] == "failed"
    assert receipt["timeline"]["parts"]["commits"] == 3
    result = ada.stream(last_body(push_id, second, taken)).result()
    assert result["counts"]["commits"] == 5


def test_headers_without_sense_are_refused(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    tip = grow(history, None, 1)
    taken = history.take()
    for header in (
        PushHeader(os.urandom(16), [RefUpdate("heads/main", None, tip)], PRIVATE, more=True),
        PushHeader(os.urandom(16), [], PRIVATE),
    ):
        with pytest.raises(MuseError) as caught:
            ada.stream(push_body(header, taken)).result()
        assert caught.value.code == "bad-frame"


def test_a_quota_holds_in_parts(start_hub: Callable[..., RunningHub]) -> None:
    hub = start_hub(quota_repository_objects=10)
    ada = hub.user("ada").repository("notes")
    history = History()
    push_id = os.urandom(16)
    grow(history, None, 2)
    send_part(ada, push_id, history.take())
    grow(history, None, 5)
    taken = history.take()
    for members in ({"counts": {"S": 20}}, {}):
        with pytest.raises(MuseError) as caught:
            send_part(ada, push_id, taken, **members)
        assert caught.value.code == "quota-exceeded"


def test_two_hubs_may_receive_parts_of_one_push(
    settings: Settings, start_hub: Callable[..., RunningHub]
) -> None:
    hub = start_hub()
    other = RunningHub(hub_settings(settings))
    try:
        user = hub.user("ada")
        first = user.repository("notes")
        second = type(user)(other.url, user.name, user._token).repository("notes")
        history = History()
        push_id = os.urandom(16)
        one = grow(history, None, 10)
        send_part(first, push_id, history.take())
        two = grow(history, one, 10)
        send_part(second, push_id, history.take())
        three = grow(history, two, 1)
        result = first.stream(last_body(push_id, three, history.take())).result()
    finally:
        other.stop()
    assert result["counts"]["commits"] == 21
    assert result["timeline"]["parts"]["streams"] == 2


def test_two_parts_of_one_push_at_once_do_no_harm(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    push_id = os.urandom(16)
    tip = grow(history, None, 3)
    taken = history.take()
    body = part_body(push_id, taken)

    answers: list[Answer] = []

    def pieces() -> Iterator[bytes]:
        yield body[:-20]
        while len(answers) < 200 and not answers_collide():
            answers.append(ada.stream(body))
        yield body[-20:]

    def answers_collide() -> bool:
        return any(b'"push-in-progress"' in answer.body for answer in answers)

    path = f"{ada.path}/push/stream"
    answers.append(ada.user.request("POST", path, pieces(), {"Content-Length": str(len(body))}))

    assert answers_collide()  # whichever of them came first
    assert any(b'"more"' in answer.body for answer in answers)
    assert ada.stream(last_body(push_id, tip, [])).result()["counts"]["commits"] == 3
