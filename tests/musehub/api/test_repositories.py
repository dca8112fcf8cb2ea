"""Repositories over the JSON API: contents, and what owners do."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from tests.musehub.hub import Answer, History, HubUser, RunningHub

from muse.objects.ids import Kind, hash_bytes
from muse.wire.push import Create, RefUpdate
from muse.wire.refs import Ref
from musehub.db.instants import utc_now
from musehub.db.refs import replace_refs
from musehub.db.state import load_state
from musehub.db.tables import repositories

ROOT = "/api/v1/repositories"


@pytest.fixture
def ada(hub: RunningHub) -> HubUser:
    return hub.user("ada", scope="admin")


def send(user: HubUser, method: str, path: str, value: Any = None) -> Answer:
    body = None if value is None else json.dumps(value).encode()
    return user.request(method, ROOT + path, body, {"Content-Type": "application/json"})


def read(user: HubUser, path: str) -> Any:
    answer = send(user, "GET", path)
    assert answer.status == 200, answer.body
    return answer.json()


def test_a_repository_is_created_changed_and_deleted(hub: RunningHub, ada: HubUser) -> None:
    created = send(ada, "POST", "", {"name": "songs", "description": "all of them"})
    assert created.status == 201
    assert created.json()["full_name"] == "ada/songs"
    assert created.json()["visibility"] == "private"
    assert send(ada, "POST", "", {"name": "songs"}).error().code == "already-exists"
    assert send(ada, "POST", "", {"name": "a/b"}).error().code == "bad-name"
    assert send(ada, "POST", "", {"name": "x", "owner": "bob"}).error().code == "repository-not-found"

    changed = send(
        ada, "PATCH", "/ada/songs", {"visibility": "public", "name": "tunes", "description": "some"}
    )
    assert changed.json()["full_name"] == "ada/tunes"
    assert read(hub.nobody(), "/ada/tunes")["description"] == "some"
    assert send(ada, "GET", "/ada/songs").status == 404
    assert send(ada, "PATCH", "/ada/tunes", {"visibility": "half"}).error().code == "bad-arguments"
    assert send(ada, "PATCH", "/ada/tunes", {"default_branch": "none"}).error().code == "unknown-branch"

    assert send(hub.user("bob", scope="admin"), "DELETE", "/ada/tunes").error().code == "permission-denied"
    assert send(ada, "DELETE", "/ada/tunes").status == 204
    assert send(ada, "GET", "/ada/tunes").status == 404


def test_a_deleted_repository_leaves_nothing_to_its_successor(hub: RunningHub, ada: HubUser) -> None:
    history = History()
    commit = history.commit_files({"a": b"first", "d/b": b"second"})
    remote = ada.repository("box")
    remote.push_main(history, commit)
    assert send(ada, "DELETE", "/ada/box").status == 204
    assert remote.refs().status == 404
    assert send(ada, "POST", "", {"name": "box"}).status == 201
    assert remote.refs().json()["refs"] == {}
    assert remote.missing(Kind.COMMIT, [commit]) == [commit]
    assert remote.missing(Kind.BLOB, [hash_bytes(b"first")]) == [hash_bytes(b"first")]
    history._sent.clear()
    remote.push_main(history, commit)
    assert send(ada, "GET", "/ada/box/file?path=d/b").body == b"second"


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_a_repository_is_deleted_while_a_push_to_it_ends(hub: RunningHub, ada: HubUser) -> None:
    """On SQLite, writers wait for each other anyway."""
    history = History()
    commit = history.commit_files({"a": b"1"})
    ada.repository("box").push_main(history, commit)
    waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")

    locked = threading.Event()

    async def end_push() -> None:
        async with hub.database.transaction("as a push ends") as conn:
            repository_id = await conn.scalar(sa.select(repositories.c.id))
            assert repository_id is not None
            await load_state(conn, repository_id, lock=True)
            locked.set()
            others = 0
            while not others:
                async with hub.database.read("look") as other:
                    others = await other.scalar(waiting) or 0
            await replace_refs(conn, repository_id, {"heads/next": Ref(commit)}, utc_now())

    with ThreadPoolExecutor() as pool:
        ended = pool.submit(lambda: hub.call(end_push()))
        assert locked.wait(30)
        deleting = pool.submit(send, ada, "DELETE", "/ada/box")
        ended.result()
        assert deleting.result().status == 204
    assert ada.repository("box").refs().status == 404


def test_collaborators_read_and_write(hub: RunningHub, ada: HubUser) -> None:
    bob = hub.user("bob")
    history = History()
    first = history.commit_files({"a": b"1"})
    ada.repository("band").push_main(history, first)
    assert send(bob, "GET", "/ada/band").error().code == "repository-not-found"

    assert send(ada, "PUT", "/ada/band/collaborators/bob", {"role": "read"}).status == 204
    assert read(bob, "/ada/band")["name"] == "band"
    theirs = bob.repository("band", "ada")
    second = history.commit_files({"a": b"2"}, first)
    with pytest.raises(Exception, match="may not write"):
        theirs.push_main(history, second, first)
    assert send(ada, "PUT", "/ada/band/collaborators/bob", {"role": "write"}).status == 204
    theirs.push_main(history, second, first)
    assert read(ada, "/ada/band/collaborators") == [{"user": "bob", "role": "write"}]
    assert send(bob, "GET", "/ada/band/collaborators").error().code == "permission-denied"
    assert send(ada, "PUT", "/ada/band/collaborators/bob", {"role": "king"}).error().code == "bad-arguments"
    assert send(ada, "PUT", "/ada/band/collaborators/eve", {"role": "read"}).error().code == "user-not-found"
    assert send(ada, "DELETE", "/ada/band/collaborators/bob").status == 204
    assert send(bob, "GET", "/ada/band").error().code == "repository-not-found"


def test_contents_are_read(hub: RunningHub, ada: HubUser) -> None:
    history = History()
    first = history.commit_files({"README.md": b"# Hi", "src/main.py": b"print()"}, message="first\n\nbody")
    commits = [first]
    for number in range(5):
        commits.append(history.commit_files({"src/n": b"%d" % number}, commits[-1], message=f"n{number}"))
    remote = ada.repository("code")
    remote.push(history, [RefUpdate("heads/main", None, commits[-1]), RefUpdate("tags/v1", None, first)])

    names = {ref["name"]: ref["target"] for ref in read(ada, "/ada/code/refs")}
    assert names == {"heads/main": commits[-1].hex(), "tags/v1": first.hex()}
    page = read(ada, "/ada/code/commits?limit=4")
    rest = read(ada, "/ada/code/commits?limit=4&starts=" + ",".join(page["next"]))
    listed = [commit["id"] for commit in page["commits"] + rest["commits"]]
    assert listed == [commit.hex() for commit in reversed(commits)]
    assert rest["next"] == []
    one = read(ada, f"/ada/code/commits/{first.hex()[:12]}")
    assert (one["summary"], one["message"], one["parents"]) == ("first", "first\n\nbody", [])

    assert [entry["name"] for entry in read(ada, "/ada/code/tree")] == ["README.md", "src"]
    assert [entry["name"] for entry in read(ada, "/ada/code/tree?path=src&rev=v1")] == ["main.py"]
    assert send(ada, "GET", "/ada/code/file?path=src/n").body == b"4"
    assert send(ada, "GET", f"/ada/code/file?path=src/n&rev={commits[2].hex()}").body == b"1"
    assert send(ada, "GET", "/ada/code/file?path=nothing").error().code == "unknown-path"
    assert send(ada, "GET", "/ada/code/file?path=src").error().code == "unknown-path"
    assert send(ada, "GET", "/ada/code/tree?path=README.md").error().code == "unknown-path"
    assert send(ada, "GET", "/ada/code/tree?rev=nothing").error().code == "unknown-revision"
    pushes = read(ada, "/ada/code/pushes")
    assert [push["state"] for push in pushes] == ["done"]
    assert read(ada, f"/ada/code/pushes/{pushes[0]['push_id']}") == pushes[0]
    assert send(ada, "GET", "/ada/code/pushes/" + os.urandom(16).hex()).error().code == "receipt-not-found"


def test_repositories_are_listed_for_those_who_may_see_them(hub: RunningHub, ada: HubUser) -> None:
    history = History()
    commit = history.commit_files({"a": b"1"})
    ada.repository("hidden").push_main(history, commit)
    history._sent.clear()
    ada.repository("open").push_main(history, commit, create=Create("public"))
    assert {item["name"] for item in read(ada, "")} == {"hidden", "open"}
    assert {item["name"] for item in read(hub.nobody(), "")} == {"open"}
    assert {item["name"] for item in read(hub.user("bob"), "?owner=ada")} == {"open"}
    for path in ("", "/refs", "/commits", "/tree", "/file?path=a", "/pushes"):
        assert send(hub.nobody(), "GET", "/ada/hidden" + path).error().code == "repository-not-found"


@pytest.mark.parametrize("path", ["../../etc/passwd", "..", "%00", "a/../../b", ".muse"])
def test_a_path_stays_in_the_tree(ada: HubUser, path: str) -> None:
    history = History()
    ada.repository("code").push_main(history, history.commit_files({"a": b"1"}))
    for address in (f"/ada/code/file?path={path}", f"/ada/code/tree?path={path}"):
        assert send(ada, "GET", address).error().code == "unknown-path"


@pytest.mark.parametrize(
    "value",
    [
        {"description": "x" * 501},
        {"description": "a\0b"},
        {"description": "a\x1bb"},
        {"description": "\ud800"},
        {"default_branch": "../x"},
        {"default_branch": "x" * 5_000},
        {"default_branch": "\ud800"},
    ],
)
def test_a_new_repository_is_described_by_the_rules_of_a_change(ada: HubUser, value: dict[str, str]) -> None:
    assert send(ada, "POST", "", {"name": "songs", **value}).status == 400
    assert send(ada, "GET", "/ada/songs").status == 404


@pytest.mark.parametrize(
    ("method", "path", "value"),
    [
        ("GET", "/repositories?offset=99999999999999999999", None),
        ("GET", "/repositories?limit=99999999999999999999", None),
        ("GET", "/users?limit=99999999999999999999", None),
        ("GET", "/jobs?before=99999999999999999999", None),
        ("GET", "/repositories/ada/songs/activity?before=99999999999999999999", None),
        ("DELETE", "/tokens/99999999999999999999", None),
        ("DELETE", "/keys/99999999999999999999", None),
        ("DELETE", "/repositories/ada/songs/webhooks/99999999999999999999", None),
        ("POST", "/tokens", {"label": "x", "ttl_days": 999999999999}),
        ("POST", "/tokens", {"label": "x", "repository_id": 10**30}),
    ],
)
def test_numbers_larger_than_a_database_holds_are_bad_arguments(
    ada: HubUser, method: str, path: str, value: dict[str, Any] | None
) -> None:
    body = None if value is None else json.dumps(value).encode()
    answer = ada.request(method, f"/api/v1{path}", body, {"Content-Type": "application/json"})
    assert (answer.status, answer.error().code) == (400, "bad-arguments")
