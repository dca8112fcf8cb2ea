"""Quotas: refused before bytes move and again when they are recorded; clean-up makes room."""

from __future__ import annotations

import copy
import hashlib
import os
import threading
from typing import Any

import pytest
from tests.musehub.hub import History, Remote, RunningHub, header_of, pack_of, push_body
from tests.musehub.upkeep.conftest import Upkeep

from muse.errors import MuseError
from muse.objects.ids import Kind, hash_bytes
from muse.packs.record import encode_object
from muse.wire.push import RefUpdate
from musehub.upkeep.room import load_room, set_room


def limit(upkeep: Upkeep, name: str, max_bytes: int | None = None, max_objects: int | None = None) -> None:
    upkeep.call(set_room(upkeep.database, upkeep.settings, name, max_bytes, max_objects))


def used(upkeep: Upkeep, name: str) -> tuple[int, int]:
    room = upkeep.call(load_room(upkeep.database, upkeep.settings, name))
    return room.used_bytes, room.used_objects


def refused(call: Any) -> MuseError:
    with pytest.raises(MuseError) as caught:
        call()
    assert caught.value.code == "quota-exceeded"
    assert not caught.value.retry
    assert caught.value.hint
    return caught.value


def blob_pack(size: int) -> bytes:
    data = os.urandom(size)
    return pack_of([(hash_bytes(data), encode_object(Kind.BLOB, data))])


@pytest.fixture
def ada(hub: RunningHub) -> Remote:
    return hub.user("ada").repository("notes")


def test_a_push_that_has_no_room_is_refused_and_the_next_smaller_one_is_not(
    upkeep: Upkeep, ada: Remote
) -> None:
    history = History()
    first = history.commit_files({"a": os.urandom(1000)})
    ada.push_main(history, first)
    size, objects = used(upkeep, "ada/notes")
    assert size > 1000
    assert objects == 3
    assert used(upkeep, "ada") == (size, objects)
    limit(upkeep, "ada/notes", max_bytes=size + 5000)

    small = copy.deepcopy(history)
    large = history.commit_files({"b": os.urandom(6000)}, first)
    error = refused(lambda: ada.push_main(history, large, first))
    assert error.details["limit"] == size + 5000
    assert error.details["unit"] == "bytes"
    assert used(upkeep, "ada/notes") == (size, objects)
    assert ada.refs().json()["refs"]["heads/main"]["target"] == first.hex()

    second = small.commit_files({"b": b"2"}, first)
    ada.push_main(small, second, first)
    assert upkeep.fsck(deep=True) == []


def test_what_the_header_announces_is_refused_before_anything_else_is_sent(
    upkeep: Upkeep, ada: Remote
) -> None:
    history = History()
    first = history.commit_files({"a": b"1"})
    ada.push_main(history, first)
    limit(upkeep, "ada/notes", max_objects=5)
    header = header_of([RefUpdate("heads/main", first, b"n" * 32)])._replace(counts={"O": 3})
    refused(lambda: ada.stream(push_body(header, [])).result())
    limit(upkeep, "ada/notes", max_bytes=10_000)
    header = header._replace(counts={"O": 1}, size_bytes=20_000)
    refused(lambda: ada.stream(push_body(header, [])).result())
    header = header_of([RefUpdate("heads/main", first, first)])
    assert ada.stream(push_body(header, [])).result()["up_to_date"]


def test_packs_are_refused_at_presign_counting_those_under_way(upkeep: Upkeep, ada: Remote) -> None:
    history = History()
    ada.push_main(history, history.commit_files({"a": b"1"}))
    size, _objects = used(upkeep, "ada/notes")
    limit(upkeep, "ada/notes", max_bytes=size + 10_000)
    first, second = blob_pack(6000), blob_pack(6000)
    push_id = os.urandom(16)

    assert ada.upload(push_id, first).status == 200
    answer = ada.presign(push_id, hashlib.sha256(second).digest(), len(second))
    assert answer.status == 413
    assert answer.error().code == "quota-exceeded"
    assert ada.confirm(push_id, first).result()["objects"] == 1
    assert ada.presign(push_id, hashlib.sha256(second).digest(), len(second)).status == 413


def test_a_pack_is_refused_at_confirm_when_the_room_went_meanwhile(upkeep: Upkeep, ada: Remote) -> None:
    history = History()
    ada.push_main(history, history.commit_files({"a": b"1"}))
    pack = blob_pack(6000)
    push_id = os.urandom(16)
    assert ada.upload(push_id, pack).status == 200
    before = used(upkeep, "ada/notes")
    limit(upkeep, "ada/notes", max_bytes=before[0] + 1000)
    refused(lambda: ada.confirm(push_id, pack).result())
    assert used(upkeep, "ada/notes") == before


def test_two_pushers_cannot_exceed_a_quota_together(upkeep: Upkeep) -> None:
    """Of a user, in two repositories: totals are looked at under a lock when they grow."""
    user = upkeep.hub.user("ada")
    remotes = [user.repository(name) for name in ("one", "two")]
    for remote in remotes:
        history = History()
        remote.push_main(history, history.commit_files({"a": b"1"}))
    size, _objects = used(upkeep, "ada")
    limit(upkeep, "ada", max_bytes=size + 50_000)
    codes: list[str] = []

    def work(remote: Remote) -> None:
        for _ in range(6):
            pack = blob_pack(9000)
            push_id = os.urandom(16)
            try:
                if remote.upload(push_id, pack).status == 200:
                    remote.confirm(push_id, pack).result()
            except (MuseError, KeyError) as error:
                codes.append(error.code if isinstance(error, MuseError) else "presign")

    threads = [threading.Thread(target=work, args=(remote,)) for remote in remotes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total, _objects = used(upkeep, "ada")
    assert total <= size + 50_000
    assert total > size + 35_000
    assert set(codes) <= {"quota-exceeded", "presign"}
    assert codes
    assert upkeep.fsck(deep=True) == []


def test_clean_up_makes_room(upkeep: Upkeep, ada: Remote) -> None:
    history = History()
    first = history.commit_files({"a": b"1"})
    ada.push_main(history, first)
    second = history.commit_files({"big": os.urandom(20_000)}, first)
    ada.push_main(history, second, first)
    ada.push(history, [RefUpdate("heads/main", second, first, Kind.COMMIT, True)])
    limit(upkeep, "ada/notes", max_bytes=used(upkeep, "ada/notes")[0] + 100)
    third = history.commit_files({"other": os.urandom(15_000)}, first)
    refused(lambda: ada.push_main(history, third, first))
    upkeep.gc(days_later=2)
    ada.push_main(history, third, first)


def test_quota_over_the_api(hub: RunningHub, ada: Remote) -> None:
    history = History()
    ada.push_main(history, history.commit_files({"a": b"1"}))
    path = "/api/v1/repositories/ada/notes/quota"
    shown = ada.user.request("GET", path).json()
    assert shown["used_objects"] == 3
    assert (shown["max_bytes"], shown["own_max_bytes"]) == (0, None)
    body = b'{"max_bytes": 5, "max_objects": null}'
    headers = {"Content-Type": "application/json"}
    assert ada.user.request("PUT", path, body, headers).status == 403
    assert ada.user.request("GET", "/api/v1/users/ada/quota").json()["used_objects"] == 3
    bob = hub.user("bob")
    assert bob.request("GET", path).status == 404
    assert bob.request("GET", "/api/v1/users/ada/quota").status == 403
