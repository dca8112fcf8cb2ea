"""The right to push is taken away while a stream is open: it does not land and hears what a new one would."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Iterator

import pytest
from tests.musehub.hub import History, HubUser, Remote, RunningHub, header_of, push_body

from muse.errors import MuseError
from muse.wire.push import RefUpdate
from musehub.db.transaction import TransactionRecord

FILES = {"a": b"1", "d/b": os.urandom(5000)}


def push_meanwhile(
    hub: RunningHub, remote: Remote, meanwhile: Callable[[], object], headers: dict[str, str] | None = None
) -> MuseError | None:
    """Push a branch; `meanwhile` happens when the hub has let the push in and has not seen its end."""
    history = History()
    commit = history.commit_files(FILES)
    body = push_body(header_of([RefUpdate("heads/next", None, commit)]), history.take())
    admitted = threading.Event()

    def watch(record: TransactionRecord) -> None:
        if record.name == "open push":
            admitted.set()

    def send() -> Iterator[bytes]:
        yield body[:-10]
        assert admitted.wait(30)
        meanwhile()
        yield body[-10:]

    hub.database.observers.append(watch)
    try:
        remote.user.request("POST", f"{remote.path}/push/stream", send(), headers).result()
    except MuseError as error:
        return error
    finally:
        hub.database.observers.remove(watch)
    return None


def heads(remote: Remote) -> set[str]:
    return set(remote.refs().json()["refs"])


@pytest.fixture
def root(hub: RunningHub) -> HubUser:
    hub.call(hub.accounts.users.create("root", is_admin=True))
    return hub.log_in("root", "admin")


@pytest.fixture
def ada(hub: RunningHub) -> HubUser:
    return hub.user("ada", "admin")


@pytest.fixture
def notes(ada: HubUser) -> Remote:
    """With a branch that is not the one pushed to."""
    remote = ada.repository("notes")
    history = History()
    remote.push_main(history, history.commit_files({"first": b"1"}))
    return remote


def test_a_push_whose_rights_stay_lands(hub: RunningHub, notes: Remote) -> None:
    assert push_meanwhile(hub, notes, lambda: None) is None
    assert heads(notes) == {"heads/main", "heads/next"}


def test_a_token_that_is_revoked(hub: RunningHub, notes: Remote) -> None:
    def revoke() -> None:
        assert notes.user.request("DELETE", "/api/v1/auth/token").status == 204

    error = push_meanwhile(hub, notes, revoke)
    assert error is not None
    assert (error.code, error.to_json()) == ("token-revoked", notes.refs().error().to_json())
    again = hub.log_in("ada").repository("notes")
    assert heads(again) == {"heads/main"}
    assert push_meanwhile(hub, again, lambda: None) is None, "with another token it lands"


def test_a_user_who_is_disabled(hub: RunningHub, notes: Remote, root: HubUser) -> None:
    def disable(disabled: bool = True) -> None:
        answer = root.request(
            "PATCH",
            "/api/v1/users/ada",
            b'{"disabled": true}' if disabled else b'{"disabled": false}',
            {"Content-Type": "application/json"},
        )
        assert answer.status == 200

    error = push_meanwhile(hub, notes, disable)
    assert error is not None
    assert (error.code, error.to_json()) == ("bad-credentials", notes.refs().error().to_json())
    disable(False)
    assert heads(notes) == {"heads/main"}


@pytest.mark.parametrize(("role", "code"), [("read", "permission-denied"), (None, "repository-not-found")])
def test_a_collaborator_who_may_write_no_more(
    hub: RunningHub, notes: Remote, ada: HubUser, role: str | None, code: str
) -> None:
    place = "/api/v1/repositories/ada/notes/collaborators/bob"
    json = {"Content-Type": "application/json"}
    theirs = hub.user("bob").repository("notes", "ada")
    assert ada.request("PUT", place, b'{"role": "write"}', json).status == 204

    def take_away() -> None:
        if role is None:
            assert ada.request("DELETE", place).status == 204
        else:
            assert ada.request("PUT", place, b'{"role": "read"}', json).status == 204

    error = push_meanwhile(hub, theirs, take_away)
    assert error is not None
    history = History()
    with pytest.raises(MuseError) as caught:
        theirs.push_main(history, history.commit_files(FILES), create=None)
    assert error.to_json() == caught.value.to_json()
    assert error.code == code
    assert heads(notes) == {"heads/main"}


def test_a_password_that_is_changed(hub: RunningHub, notes: Remote) -> None:
    def change(password: str) -> None:
        hub.call(hub.accounts.users.set_password("ada", password))

    change("correct horse")
    basic = {"Authorization": "Basic " + base64.b64encode(b"ada:correct horse").decode()}
    remote = HubUser(hub.url, "ada", None).repository("notes")
    error = push_meanwhile(hub, remote, lambda: change("another horse"), basic)
    refused = remote.user.request("GET", f"{remote.path}/refs", headers=basic).error()
    assert error is not None
    assert (error.code, error.to_json()) == ("bad-credentials", refused.to_json())

    change("correct horse")
    assert push_meanwhile(hub, remote, lambda: None, basic) is None
