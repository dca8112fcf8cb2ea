"""Policies about signatures: who signed what a push brings."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.musehub.hub import History, HubUser, Remote, RunningHub
from tests.musehub.upkeep.conftest import Upkeep

from muse.errors import MuseError
from muse.objects.commit import Commit, Person, Signature, Tag, decode_commit, encode_commit, encode_tag
from muse.objects.ids import Kind
from muse.objects.signature import sign
from muse.wire.push import RefUpdate
from musehub.upkeep.room import set_signature_policy

ADA = Person("Ada", "ada@example.org", 1_700_000_000, 60)


def signed_commit(
    history: History, key: Ed25519PrivateKey | None, *parents: bytes, text: bytes = b"1"
) -> bytes:
    commit = Commit(history.snapshot({"a": text}), parents, ADA, ADA, "m")
    value = sign(commit, key) if key is not None else commit
    assert isinstance(value, Commit)
    return history.put(Kind.COMMIT, encode_commit(value))


def add_key(user: HubUser, key: Ed25519PrivateKey) -> int:
    answer = user.post_json("/api/v1/keys", {"public_key": key.public_key().public_bytes_raw().hex()})
    assert answer.status == 201, answer.body
    return int(answer.json()["id"])


def demand(upkeep: Upkeep, policy: str) -> None:
    upkeep.call(set_signature_policy(upkeep.database, upkeep.repository("notes").id, policy))


def refused(call: Any, code: str, object_id: bytes) -> None:
    with pytest.raises(MuseError) as caught:
        call()
    assert caught.value.code == code
    assert caught.value.details["id"] == object_id.hex()


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


class Scene:
    def __init__(self, hub: RunningHub) -> None:
        self.user = hub.user("ada", "admin")
        self.remote: Remote = self.user.repository("notes")
        self.history = History()
        self.first = signed_commit(self.history, None)
        self.remote.push_main(self.history, self.first)

    def push(self, new: bytes, old: bytes | None = None) -> dict[str, Any]:
        return self.remote.push_main(self.history, new, old or self.first)


@pytest.fixture
def scene(hub: RunningHub) -> Scene:
    return Scene(hub)


def test_signed_takes_any_valid_signature(upkeep: Upkeep, scene: Scene, key: Ed25519PrivateKey) -> None:
    demand(upkeep, "signed")
    other = copy.deepcopy(scene.history)
    plain = signed_commit(other, None, scene.first, text=b"2")
    refused(lambda: scene.remote.push_main(other, plain, scene.first), "signature-required", plain)
    good = signed_commit(scene.history, key, scene.first, text=b"3")
    scene.push(good)
    row = decode_commit(scene.history.objects[Kind.COMMIT, good])
    assert row.signature is not None


def test_known_takes_keys_of_writers_until_they_are_revoked(
    upkeep: Upkeep, scene: Scene, key: Ed25519PrivateKey
) -> None:
    demand(upkeep, "known")
    theirs = copy.deepcopy(scene.history)
    commit = signed_commit(scene.history, key, scene.first, text=b"2")
    refused(lambda: scene.push(commit), "unknown-signer", commit)
    other = Ed25519PrivateKey.generate()
    add_key(upkeep.hub.user("bob", "admin"), other)
    foreign = signed_commit(theirs, other, scene.first, text=b"3")
    refused(lambda: scene.remote.push_main(theirs, foreign, scene.first), "unknown-signer", foreign)

    number = add_key(scene.user, key)
    scene.push(commit)
    assert scene.user.request("DELETE", f"/api/v1/keys/{number}").status == 204
    later = signed_commit(scene.history, key, commit, text=b"4")
    refused(lambda: scene.push(later, commit), "unknown-signer", later)


def test_a_wrong_signature_is_refused_whatever_the_policy(scene: Scene, key: Ed25519PrivateKey) -> None:
    commit = Commit(scene.history.snapshot({"a": b"2"}), (scene.first,), ADA, ADA, "m")
    forged = scene.history.put(
        Kind.COMMIT,
        encode_commit(commit._replace(signature=Signature(key.public_key().public_bytes_raw(), bytes(64)))),
    )
    refused(lambda: scene.push(forged), "bad-signature", forged)


def test_annotated_tags_are_held_to_it_too(upkeep: Upkeep, scene: Scene, key: Ed25519PrivateKey) -> None:
    demand(upkeep, "signed")
    tag = Tag(scene.first, Kind.COMMIT, "v1", ADA, "one")
    plain = scene.history.put(Kind.TAG, encode_tag(tag))
    update = RefUpdate("tags/v1", None, plain, Kind.TAG)
    refused(lambda: scene.remote.push(scene.history, [update]), "signature-required", plain)
    value = sign(tag, key)
    assert isinstance(value, Tag)
    history = History()
    good = history.put(Kind.TAG, encode_tag(value))
    scene.remote.push(history, [RefUpdate("tags/v1", None, good, Kind.TAG)])


def test_what_a_dead_push_left_behind_does_not_slip_in(upkeep: Upkeep, scene: Scene) -> None:
    """Recorded under no policy, reachable only now: nothing of it is sent again."""
    plain = signed_commit(scene.history, None, scene.first, text=b"2")
    scene.remote.push(scene.history, [RefUpdate("heads/side", None, plain)])
    scene.remote.push(History(), [RefUpdate("heads/side", plain, None)])
    demand(upkeep, "signed")
    refused(lambda: scene.push(plain), "signature-required", plain)
    assert scene.remote.refs().json()["refs"]["heads/main"]["target"] == scene.first.hex()


def test_the_policy_over_the_api(upkeep: Upkeep, scene: Scene) -> None:
    path = "/api/v1/repositories/ada/notes/signatures"
    headers = {"Content-Type": "application/json"}
    assert scene.user.request("GET", path).json() == {"policy": "none"}
    assert scene.user.request("PUT", path, b'{"policy": "known"}', headers).json() == {"policy": "known"}
    assert scene.user.request("PUT", path, b'{"policy": "some"}', headers).status == 400
    assert upkeep.hub.user("bob").request("PUT", path, b'{"policy": "none"}', headers).status == 404
    assert upkeep.repository("notes").signatures == "known"
